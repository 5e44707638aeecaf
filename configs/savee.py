"""SAVEE (Haq and Jackson 2010): four men, six emotions and neutral: 480 clips with sound and picture.

    python run.py --config=configs/savee.py:gru_attention_small --config.corpus.root=/data/SAVEE

Protocol: loso, one speaker held out. Document D adds it to RAVDESS, see configs/ravdess_savee.py.
"""

from configs import base, systems

HAS = systems.FILM
SYSTEMS = systems.fitting(HAS)


def get_config(system: str = "gru_attention_small"):
    config = base.get_config()
    config.corpus.name = "savee"
    config.corpus.label_set = "basic7"
    config.protocol.name = "loso"
    systems.apply(config, system, has=HAS)
    # Readings last 2 to 7 s, and RAVDESS's limit would cut most of them.
    config.views.mfcc.max_frames = 0
    config.views.logmel_frames.max_frames = 0
    return config
