"""CREMA-D (Cao et al. 2014): 91 actors, twelve sentences, six emotions: 7,442 clips with sound and picture.

    python run.py --config=configs/crema_d.py:gru_attention_small --config.corpus.root=/data/CREMA-D

Protocol: seq5, five groups of actors in order. None of the documents uses this corpus.
"""

from configs import base, systems

HAS = systems.FILM
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "crema_d"
    config.corpus.label_set = "crema_d6"
    config.protocol.name = "seq5"
    systems.apply(config, system, has=HAS)
    # Sound at 16 kHz; the same analysis window and hop as at 48 kHz.
    config.views.mfcc.sample_rate_hz = 16000
    config.views.logmel_frames.sample_rate_hz = 16000
    return config
