"""AffectNet (Mollahosseini et al. 2019): faces found on the web, eight expressions.

    python run.py --config=configs/affectnet.py --config.corpus.root=/data/affectnet

Protocol: official, the owner's validation part to test, every fifth picture of the training part to validate. The people are not known.
With seven expressions: --config.corpus.label_set=basic7.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn"):
    config = base.get_config()
    config.corpus.name = "affectnet"
    config.corpus.label_set = "ck_plus8"
    config.corpus.label_target = "crowd"
    config.protocol.name = "official"
    systems.apply(config, system, has=HAS)
    return config
