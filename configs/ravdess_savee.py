"""RAVDESS speech and SAVEE together, as in document D: seven emotions without calm.

    python run.py --config=configs/ravdess_savee.py:stacking:audio \\
        --config.corpus.root=ravdess=/data/RAVDESS,savee=/data/SAVEE

Protocol: speaker_k, 5 folds over the 28 speakers. Document D uses --config.protocol.name=holdout_50_25_25 and reports that SAVEE does not
help; see docs/systems/stacking.md.
"""

from configs import base, systems

HAS = systems.FILM
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "stacking:audio"):
    config = base.get_config()
    config.corpus.name = "ravdess+savee"
    config.corpus.label_set = "basic7"
    config.protocol.name = "speaker_k"
    systems.apply(config, system, has=HAS)
    return config
