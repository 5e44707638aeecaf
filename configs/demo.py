"""The demo: a synthetic corpus, small encoders from scratch, speaker-independent folds.

    python run.py --config=configs/demo.py:audio_video    (or :audio, :video, :audio_face_mouth, or a published system)

Protocol: speaker_k, 4 folds. Results: README.md; `make demo` prints them.
"""

from configs import base, systems

# Short names of the systems that train from scratch.
SMALL = {
    "audio": "small_audio",
    "video": "small_video",
    "audio_video": "small_audio_video",
    "audio_face_mouth": "small_three",
}
SYSTEMS = (*SMALL, *systems.fitting(systems.FILM))


def get_config(system: str = "audio_video"):
    config = base.get_config()
    config.corpus.name = "synthetic"
    config.corpus.root = "corpora/synthetic"
    config.protocol.name = "speaker_k"
    config.protocol.num_folds = 4
    systems.apply(config, SMALL.get(system, system))
    for encoder in config.encoders.values():
        encoder.weights = "random"  # no weights to download for a demonstration
    return config
