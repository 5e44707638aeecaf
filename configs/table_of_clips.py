"""A table of your own: a row a clip, with file and emotion, and speaker, start, end and split where they are known.

    python run.py --config=configs/table_of_clips.py:functionals_linear --config.corpus.root=/data/mine --config.corpus.table=clips.csv

Protocol: speaker_k; without known speakers random_k, or official where parts are named. Classes are declared with corpus.label_set; see
docs/corpora.md.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "functionals_linear"):
    config = base.get_config()
    config.corpus.name = "table_of_clips"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system)
    return config
