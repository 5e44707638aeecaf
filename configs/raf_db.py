"""RAF-DB (Li et al. 2017): 15,339 faces found on the web, seven basic emotions.

    python run.py --config=configs/raf_db.py --config.corpus.root=/data/raf_db

Protocol: official, the owner's test part, every fifth picture of the training part to validate. The people are not known.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn"):
    config = base.get_config()
    config.corpus.name = "raf_db"
    config.corpus.label_set = "basic7"
    config.corpus.label_target = "crowd"
    config.protocol.name = "official"
    systems.apply(config, system, has=HAS)
    return config
