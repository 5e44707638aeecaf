"""D's two corpora in one: RAVDESS speech and SAVEE, seven emotions without calm.

    python run.py --config=configs/ravdess_savee.py:stacking:audio \\
        --config.corpus.root=ravdess=/data/RAVDESS,savee=/data/SAVEE

Protocol: speaker_k, 5 folds over the 28 speakers. D's own is --config.protocol.name=holdout_50_25_25; its claim is that SAVEE does not
help: audio 58 and video 61, as without it. Ours: none yet, SAVEE was not at hand.
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
