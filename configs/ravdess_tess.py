"""RAVDESS speech and TESS, each trained on and tested on the other: seven emotions, RAVDESS's calm counted as neutral.

    python run.py --config=configs/ravdess_tess.py:functionals_linear --config.corpus.root=ravdess=/data/RAVDESS,tess=/data/TESS

Protocol: cross_corpus. The table "Across corpora" has a row for each corpus that is tested. Any other corpora likewise:
--config.corpus.name=NAME+NAME, with a label set whose classes each of them has.
"""

from configs import base, systems

HAS = systems.SOUND
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "ravdess+tess"
    config.corpus.label_set = "ravdess7_merged"
    config.protocol.name = "cross_corpus"
    systems.apply(config, system, has=HAS)
    # Those of TESS, which has no sound above 12 kHz: the same bands mean the same in both corpora.
    config.views.mfcc.sample_rate_hz = 16000
    config.views.logmel_frames.sample_rate_hz = 16000
    return config
