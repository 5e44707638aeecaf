"""RAVDESS (Livingstone and Russo 2018): 24 actors, two sentences, eight emotions; speech, unless corpus.channel is set.

    python run.py --config=configs/ravdess.py:gru_attention --config.corpus.root=/data/RAVDESS

Protocol: luna5 (speaker-independent, published validation actors). Most published results use --config.protocol.name=random10. Results:
README.md and docs/systems/.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "gru_attention"):
    config = base.get_config()
    config.corpus.name = "ravdess"
    config.corpus.label_set = "ravdess8"
    config.protocol.name = "luna5"
    # Actor 7's two takes of one happy sentence are the same file; where a random protocol separates them, every table lists the leak.
    config.protocol.allow_leaks = ("same_bytes_in_two_parts",)
    systems.apply(config, system)
    return config
