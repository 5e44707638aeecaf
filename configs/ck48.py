"""CK+48: the last three frames of each labelled CK+ sequence, 48 x 48, six emotions and contempt: 981 stills.

    python run.py --config=configs/ck48.py --config.corpus.root=/data/CK+48

Protocol: subject10, subjects dealt out to ten folds. C's own is --config.protocol.name=holdout_80_20, which has frames of one sequence, all
but equal, in both parts: the leak audit stops it without
    --config.protocol.allow_leaks="('segments_in_two_parts','near_duplicate_in_two_parts')"
C gives no number on this corpus alone. Ours: none yet, the corpus was not at hand.
"""

from configs import base, systems

HAS = systems.STILLS
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "image_cnn:ck48"):
    config = base.get_config()
    config.corpus.name = "ck48"
    config.corpus.label_set = "ck_plus7"
    config.protocol.name = "subject10"
    systems.apply(config, system, has=HAS)
    return config
