"""The demo: a synthetic corpus, small encoders from scratch, speaker-independent folds.

    python run.py --config=configs/demo.py:audio_video        (or :audio, :video, or a published system with random encoders)

Protocol: speaker_k, 4 folds. Results: README.md; `make demo` prints them.
"""

from configs import base, systems

SYSTEMS = ("audio", "video", "audio_video", *systems.fitting(systems.FILM))


def get_config(system: str = "audio_video"):
    config = base.get_config()
    config.corpus.name = "synthetic"
    config.corpus.root = "corpora/synthetic"
    config.protocol.name = "speaker_k"
    config.protocol.num_folds = 4
    systems.apply(config, f"small_{system}" if system in ("audio", "video", "audio_video") else system)
    for encoder in config.encoders.values():
        encoder.weights = "random"  # nothing needs to be fetched to see a system work
    return config
