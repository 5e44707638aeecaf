"""System E: recurrent layers with attention on MFCC and on faces, joined by their dense layers.

Source: SYSTEMS.md's document E. Claims, RAVDESS speech, 8 classes, random 10-fold, accuracy: audio 76.52, video 78.19, fusion 91.25.
"""

from ml_collections import ConfigDict

VARIANTS = ("gru_attention",)


def apply(config: ConfigDict, variant: str) -> None:
    """Set the paper's audio subsystem: 13 MFCC, three GRU layers of 256, attention, dense layer, batch norm."""
    config.system.name = variant
    config.system.streams = ("audio",)
    config.system.audio_view = "mfcc"
    config.model.audio.num_layers = 3
    config.model.audio.num_units = 256
    config.train.stages = ("audio",)
