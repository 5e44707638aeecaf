"""The demo: a corpus that the project makes itself, small encoders from scratch, speaker-independent folds.

    python run.py --config=configs/demo.py:audio_video        (or :audio, :video)

Protocol: speaker_k, 4 folds. No claim: the corpus is synthetic. Ours, UAR: audio 62.2, video 37.2, both 81.6; `make demo` prints them.
"""

from configs import base, systems

SYSTEMS = ("audio", "video", "audio_video")


def get_config(streams: str = "audio_video"):
    if streams not in SYSTEMS:
        raise ValueError(f"configs/demo.py takes one of {', '.join(SYSTEMS)} after the colon, got {streams!r}")
    config = base.get_config()
    config.corpus.name = "synthetic"
    config.corpus.root = "corpora/synthetic"
    config.protocol.name = "speaker_k"
    config.protocol.num_folds = 4
    systems.apply(config, f"small_{streams}")
    return config
