"""TESS (Pichora-Fuller and Dupuis 2020): two actresses, 200 words, seven emotions; sound alone.

    python run.py --config=configs/tess.py:gru_attention_small --config.corpus.root=/data/TESS

Protocol: cross_speaker2 (train on one speaker, test on the other). Document C uses --config.protocol.name=holdout_80_20, in which both
speakers and all words are in both parts; see docs/systems/mfcc_lstm.md.
"""

from configs import base, systems

HAS = systems.SOUND
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "tess"
    config.corpus.label_set = "basic7"
    config.protocol.name = "cross_speaker2"
    systems.apply(config, system, has=HAS)
    # 24,414 Hz at the source: sound at 16 kHz, the same analysis window and hop as at 48 kHz.
    config.views.mfcc.sample_rate_hz = 16000
    config.views.logmel_frames.sample_rate_hz = 16000
    return config
