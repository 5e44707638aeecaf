"""FER2013 (Goodfellow et al. 2013): 35,887 grey faces of 48 x 48, seven emotions.

    python run.py --config=configs/fer2013.py --config.corpus.root=/data/fer2013

Protocol: official, the owner's parts: Training, PublicTest (validation), PrivateTest (test). The people are not known, so no protocol can
keep them apart. image_cnn:xception is refused by the leak audit, because its weights were trained on this corpus.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn"):
    config = base.get_config()
    config.corpus.name = "fer2013"
    config.corpus.label_set = "basic7"
    config.corpus.label_target = "found"
    config.protocol.name = "official"
    # The owner's parts are known to share pictures that are nearly the same; every table lists this leak.
    config.protocol.allow_leaks = ("near_duplicate_in_two_parts",)
    systems.apply(config, system, has=HAS)
    return config
