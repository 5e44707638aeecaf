"""EmoDB (Burkhardt et al. 2005): ten actors, ten German sentences, seven emotions: 535 recordings; sound alone.

    python run.py --config=configs/emodb.py:gru_attention_small --config.corpus.root=/data/EmoDB

Protocol: loso, one speaker held out. None of the documents reports a result on it.
"""

from configs import base, systems

HAS = systems.SOUND
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "emodb"
    config.corpus.label_set = "emodb7"
    config.protocol.name = "loso"
    systems.apply(config, system, has=HAS)
    # Sound at 16 kHz; the same analysis window and hop as at 48 kHz.
    config.views.mfcc.sample_rate_hz = 16000
    config.views.logmel_frames.sample_rate_hz = 16000
    # Recordings last up to 9 s, and RAVDESS's limit would cut most of them.
    config.views.mfcc.max_frames = 0
    config.views.logmel_frames.max_frames = 0
    return config
