"""Small encoders that train from scratch in a minute: MFCC and small face crops, each into a GRU with attention.

No published system; used by the demo, and a first thing to try on a new corpus. See docs/systems/small.md.
"""

from ml_collections import ConfigDict

VARIANTS = {"small_audio": ("audio",), "small_video": ("video",), "small_audio_video": ("audio", "video")}


def apply(config: ConfigDict, variant: str) -> None:
    """Set both streams up and use the one or two that the variant names."""
    config.system.name = variant
    config.system.audio_view = "mfcc"
    config.system.video_view = "faces"
    config.views.mfcc.num_coefficients = 20
    config.views.mfcc.sample_rate_hz = 16000
    config.views.mfcc.window_ms = 64.0
    config.views.mfcc.hop_ms = 32.0
    config.views.faces.rate_fps = 5.0
    config.views.faces.size_px = 32
    config.views.faces.gray = True
    for stream, units in (("audio", 48), ("video", 32)):
        config.model[stream].context_units = (units,)
        config.model[stream].dense_units = (32,)
    config.model.video.encoder = "cnn"
    config.model.video.encoder_units = (8, 16, 32)
    config.train.batch_size = 16
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine"
    config.train.num_epochs = 25
    config.system.streams = VARIANTS[variant]
    config.train.stages = (*config.system.streams, "fused") if variant == "small_audio_video" else config.system.streams
