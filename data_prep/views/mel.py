"""Mel spectra: the log-mel spectrum of VGGish, and derivatives of features."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from data_prep.views.librosa_loading import load_librosa

# VGGish's front end: Hershey et al. 2017, section 2; numbers as in the published feature code.
VGGISH_RATE_HZ = 16000
VGGISH_NUM_MELS = 64
_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_FFT_SAMPLES = 512
_MEL_RANGE_HZ = (125.0, 7500.0)
_LOG_OFFSET = 0.01
_DELTA_FRAMES = 9


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrum of VGGish.

    Args:
      samples: (S,) mono, [-1, 1], 16 kHz; fewer than a window of 400 are padded with zeros.

    Returns:
      (T, 64) float32, log(mel + 0.01); T = 1 + (S - 400) // 160 windows that lie wholly inside.

    Source: Hershey et al. 2017, section 2; magnitudes, not powers, and a periodic Hann window, as in the published feature code.
    """
    samples = np.pad(samples, (0, max(0, _WINDOW_SAMPLES - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES)
    magnitudes = np.abs(np.fft.rfft(frames * hann, _FFT_SAMPLES))
    return as_float32(np.log(magnitudes @ mel_triangles(VGGISH_NUM_MELS, *_MEL_RANGE_HZ) + _LOG_OFFSET))


def padded_log_mel(samples: np.ndarray, segment_s: float, num_frames: int) -> np.ndarray:
    """Return the first num_frames of `log_mel`, (num_frames, 64) float32, of the samples padded with zeros to segment_s."""
    return log_mel(np.pad(samples, (0, round(segment_s * VGGISH_RATE_HZ) - len(samples))))[:num_frames]


def num_log_mel_frames(segment_s: float) -> int:
    """Return how many frames `log_mel` gives for segment_s of samples."""
    return 1 + (round(segment_s * VGGISH_RATE_HZ) - _WINDOW_SAMPLES) // _HOP_SAMPLES


def as_float32(values) -> np.ndarray:
    """Return the values as a contiguous float32 array."""
    return np.ascontiguousarray(values, dtype=np.float32)


def with_deltas(features: np.ndarray, num_deltas: int) -> np.ndarray:
    """Return features (D, T) followed by their first `num_deltas` derivatives, ((1 + num_deltas) * D, T).

    A derivative is that of a line or parabola fitted to 9 frames; features of fewer frames repeat their first and last one.
    """
    if not num_deltas:
        return features
    mode = "interp" if features.shape[1] >= _DELTA_FRAMES else "nearest"
    delta = load_librosa().feature.delta
    return np.concatenate([features, *(delta(features, width=_DELTA_FRAMES, order=order, mode=mode) for order in range(1, num_deltas + 1))])


@lru_cache(maxsize=4)
def mel_triangles(num_mels: int, min_hz: float, max_hz: float) -> np.ndarray:
    """Return filters for 512 samples at 16 kHz, (257, num_mels), that are triangular on the mel scale; librosa's are triangular in Hz."""
    mel = 1127 * np.log1p(np.linspace(0, VGGISH_RATE_HZ / 2, _FFT_SAMPLES // 2 + 1) / 700)[:, None]
    lowest, highest = 1127 * np.log1p(np.array([min_hz, max_hz]) / 700)
    edges = np.linspace(lowest, highest, num_mels + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre)))
