"""CFE (Du et al. 2014): 230 subjects, the seven basic of its 22 categories: 1,610 images.

    python run.py --config=configs/cfe.py --config.corpus.root=/data/CFEE

Protocol: speaker_k, 5 folds over subjects. Document C uses --config.protocol.name=holdout_80_20; see docs/systems/image_cnn.md.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn:vgg16"):
    config = base.get_config()
    config.corpus.name = "cfe"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system, has=HAS)
    config.views.still.crop = "face"  # the owner's pictures are 1000 x 750
    return config
