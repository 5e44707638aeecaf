"""Small encoders that train from scratch on two cores: MFCC and small face crops, each into a GRU with attention.

No published system; used by the demo, and a first thing to try on a new corpus. See docs/systems/small.md.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "small_audio": ("audio",),
    "small_video": ("video",),
    "small_audio_video": ("audio", "video"),
    "small_three": ("audio", "video"),
}


def apply(config: ConfigDict, variant: str) -> None:
    """Set the streams that the variant names, and the recipe."""
    config.views.mfcc.num_coefficients = 20
    config.views.mfcc.sample_rate_hz = 16000
    config.views.mfcc.window_ms = 64.0
    config.views.mfcc.hop_ms = 32.0
    for view in ("faces", "mouths"):
        config.views[view].rate_fps = 5.0
        config.views[view].size_px = 32
        config.views[view].gray = True
    pictures = dict(encoder="cnn", encoder_units=(8, 16, 32), context_units=(32,), dense_units=(32,))
    names = ("audio", "face", "mouth") if variant == "small_three" else VARIANTS[variant]
    base.use(
        config,
        variant,
        names,
        audio=base.stream(view="mfcc", context_units=(48,), dense_units=(32,)),
        video=base.stream(view="faces", **pictures),
        face=base.stream(view="faces", **pictures),
        mouth=base.stream(view="mouths", **pictures),
    )
    config.train.batch_size = 16
    config.train.learning_rate = 3e-3
    config.train.schedule = "cosine"
    config.train.num_epochs = 25
    config.train.stages = (*names, "fused") if len(names) > 1 else names
