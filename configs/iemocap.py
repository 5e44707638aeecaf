"""IEMOCAP (Busso et al. 2008): ten speakers in five sessions; neutral, happy with excited, sad, angry: 5,531 utterances.

    python run.py --config=configs/iemocap.py --config.corpus.root=/data/IEMOCAP_full_release

Protocol: session5, one session held out. Results of document A: docs/systems/contextual_temporal.md.
"""

from configs import base, systems

SYSTEMS = systems.fitting(systems.FILM)


def get_config(system: str = "gru_attention"):
    config = base.get_config()
    config.corpus.name = "iemocap"
    config.corpus.label_set = "iemocap4"
    config.corpus.label_target = "crowd"
    config.corpus.dimension_bounds = (1.0, 5.0)
    config.protocol.name = "session5"
    systems.apply(config, system)
    # Sound at 16 kHz; the same analysis window and hop as at 48 kHz.
    config.views.mfcc.sample_rate_hz = 16000
    config.views.logmel_frames.sample_rate_hz = 16000
    # Utterances last 3 to 15 s, and RAVDESS's limit would cut most of them.
    config.views.mfcc.max_frames = 0
    config.views.logmel_frames.max_frames = 0
    return config
