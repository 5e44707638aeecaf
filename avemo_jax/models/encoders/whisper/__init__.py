"""Whisper's encoder, a speech transformer: 20 ms of sound to 384 to 1280 numbers, from any of its layers."""

import functools

import numpy as np

from avemo_jax.models.encoders.record import Encoder
from avemo_jax.models.encoders.whisper.module import FRAMES_A_STEP, MOST_STEPS, Whisper, WhisperSize
from avemo_jax.models.encoders.whisper.weights import LICENCE, layout_of

# Name -> its size and its name at the owner's: Radford et al. 2022, table 1; large-v3 has more bands.
SIZES: dict[str, tuple[WhisperSize, str]] = {
    "whisper_tiny": (WhisperSize(384, 4, 6), "whisper-tiny"),
    "whisper_base": (WhisperSize(512, 6, 8), "whisper-base"),
    "whisper_small": (WhisperSize(768, 12, 12), "whisper-small"),
    "whisper_medium": (WhisperSize(1024, 24, 16), "whisper-medium"),
    "whisper_large_v3": (WhisperSize(1280, 32, 20, num_mels=128), "whisper-large-v3"),
}


def _times(times_s: np.ndarray) -> np.ndarray:
    return times_s[::FRAMES_A_STEP]


RECORDS = tuple(
    Encoder(
        name=name,
        make=functools.partial(Whisper, size=size),
        end_points=size.end_points,
        # Emotion is read best from the middle: the last layers are about words.
        features=size.end_points[size.num_layers // 2],
        layers=size.end_points,
        input_kind="log-mel frame",
        input_rank=1,
        licence=LICENCE,
        trained_on=None,
        weights=(layout_of(size, published_as),),
        takes_lora=True,
        times=_times,
        chunk_steps=FRAMES_A_STEP * MOST_STEPS,
    )
    for name, (size, published_as) in SIZES.items()
)
