"""A folder of your own: a folder an emotion; sound, films or pictures.

    python run.py --config=configs/folder.py:functionals_linear --config.corpus.root=/data/mine --config.corpus.speaker_level=1

Protocol: speaker_k; without known speakers random_k, or official where parts are named. Classes are declared with corpus.label_set; see
docs/corpora.md.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "functionals_linear"):
    config = base.get_config()
    config.corpus.name = "folder"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system)
    return config
