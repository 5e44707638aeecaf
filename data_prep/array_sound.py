"""Samples of an array as a sound file, so that they take the same way as every recording."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile


@contextlib.contextmanager
def as_sound_file(samples: np.ndarray, rate_hz: int) -> Iterator[Path]:
    """Yield the path of a WAV file of 32 bits with these samples, which is deleted afterwards.

    Args:
      samples: (S,) or (S, channels), in [-1, 1].
      rate_hz: their rate.

    Raises:
      ValueError: another shape, no samples, integers, or values that are not finite.
    """
    check_samples(samples)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.wav"
        soundfile.write(path, samples, rate_hz, subtype="FLOAT")
        yield path


def check_samples(samples: np.ndarray) -> None:
    """Raise ValueError unless samples are (S,) or (S, channels), not empty, floating and finite."""
    if samples.ndim not in (1, 2) or samples.size == 0 or not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"expected samples (S,) or (S, channels) as floats in [-1, 1], got shape {samples.shape} of {samples.dtype}; integers of 16 "
            "bits are brought there by samples / 32768"
        )
    if not np.isfinite(samples).all():
        raise ValueError("expected finite samples, got some that are not")
