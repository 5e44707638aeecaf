"""JAFFE (Lyons et al. 1998): ten Japanese women, six expressions and neutral: 213 grey images.

    python run.py --config=configs/jaffe.py --config.corpus.root=/data/jaffe

Protocol: loso, one model held out. Document C uses --config.protocol.name=holdout_80_20, in which all models are in both parts; see
docs/systems/image_cnn.md.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn:jaffe"):
    config = base.get_config()
    config.corpus.name = "jaffe"
    config.corpus.label_set = "basic7"
    config.protocol.name = "loso"
    systems.apply(config, system, has=HAS)
    return config
