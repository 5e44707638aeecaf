"""CK+48: the last three frames of each labelled CK+ sequence, 48 x 48, six emotions and contempt: 981 images.

    python run.py --config=configs/ck48.py --config.corpus.root=/data/CK+48

Protocol: subject10, ten groups of subjects. Document C uses --config.protocol.name=holdout_80_20, which has nearly equal frames of one
sequence in both parts. The leak audit stops such a run without
    --config.protocol.allow_leaks="('segments_in_two_parts','near_duplicate_in_two_parts')"
See docs/systems/image_cnn.md.
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
