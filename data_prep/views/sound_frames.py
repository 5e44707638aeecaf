"""Overlapping frames of a sound at 16 kHz, 10 ms apart, for the descriptors of the view `functionals`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

RATE_HZ = 16000
HOP_SAMPLES = 160
_FLOOR = 1e-10  # power of silence: -100 dB
_FRAMES_AT_ONCE = 2048  # spectra of a long segment are not all in memory


def num_frames_of(num_samples: int) -> int:
    """Return the number of frames of a sound of num_samples."""
    return 1 + num_samples // HOP_SAMPLES


def frames_of(samples: np.ndarray, window_samples: int) -> Iterator[np.ndarray]:
    """Yield the frames of a sound in order, (F, window_samples) float32 with F at most 2048.

    Frame t is centred at t * 10 ms; zeros surround the sound.

    Args:
      samples: (S,) float32, mono, 16 kHz; S may be 0.
      window_samples: length of a frame.
    """
    num_frames = num_frames_of(len(samples))
    padded = np.pad(samples, (window_samples // 2, window_samples))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::HOP_SAMPLES][:num_frames]
    for start in range(0, num_frames, _FRAMES_AT_ONCE):
        yield frames[start : start + _FRAMES_AT_ONCE]


@lru_cache(maxsize=4)
def hann(num_samples: int) -> np.ndarray:
    """Return a periodic Hann window, (num_samples,) float32."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(num_samples) / num_samples)).astype(np.float32)


def to_db(power: np.ndarray) -> np.ndarray:
    """Return power in dB, at least -100."""
    return 10 * np.log10(np.maximum(power, _FLOOR))
