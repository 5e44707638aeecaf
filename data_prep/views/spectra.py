"""Spectra, mel filters and cepstra with the numbers of librosa, to the bit, without importing it.

librosa's import takes seconds, most of them for scipy.signal and numba, which these functions do not use; a process that decodes one sound
would wait for it longer than for everything else. `tests/data_prep/views/test_spectra.py` compares every function with librosa's.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_BLOCK_BYTES = 1 << 20  # of frames that are transformed together
_LEAST_POWER = 1e-10
# Slaney's scale of pitch: linear up to 1 kHz, logarithmic above.
_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_COSINE_SHARES = {"hann": 0.5, "hamming": 0.54}


def stft(samples: np.ndarray, window_samples: int, hop_samples: int, *, window: str = "hann", pad_mode: str = "constant") -> np.ndarray:
    """Return the short-time Fourier transform, (1 + window_samples // 2, T) complex64, as `librosa.stft`: frames centred at the hops.

    Args:
      samples: (S,) float32.
      window: "hann" or "hamming".
      pad_mode: of `np.pad`, for half a window at both ends; "reflect" has librosa's numbers for hops below half a window and sounds
        of two windows and more.

    Raises:
      ValueError: the samples are not finite.
    """
    from scipy import fft  # late: the view's parameters are read without it

    if not np.isfinite(samples).all():
        raise ValueError("expected finite samples, got some that are not")
    frames = _frames(samples, window_samples, hop_samples, pad_mode)
    shape = window_shape(window, window_samples)[:, None]
    found = np.zeros((1 + window_samples // 2, frames.shape[1]), np.complex64, order="F")
    at_once = max(1, _BLOCK_BYTES // (8 * window_samples))
    for start in range(0, frames.shape[1], at_once):
        found[:, start : start + at_once] = fft.rfft(shape * frames[:, start : start + at_once], axis=0)
    return found


def _frames(samples: np.ndarray, window_samples: int, hop_samples: int, pad_mode: str) -> np.ndarray:
    """Return frames centred at the hops, (window_samples, T), as a view."""
    padded = np.pad(samples, window_samples // 2, mode=pad_mode)  # type: ignore[call-overload]  # any mode of NumPy
    return np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop_samples].T


@lru_cache(maxsize=8)
def window_shape(name: str, num_samples: int) -> np.ndarray:
    """Return a periodic window of that name, (num_samples,) float64."""
    share = _COSINE_SHARES[name]
    angles = np.linspace(-np.pi, np.pi, num_samples + 1)
    return (share + (1 - share) * np.cos(angles))[:-1]


def power_to_db(power: np.ndarray, *, range_db: float | None = None) -> np.ndarray:
    """Return powers in dB; levels further than `range_db` below the highest are raised to that limit."""
    level = 10.0 * np.log10(np.maximum(_LEAST_POWER, power))
    level -= 10.0 * np.log10(np.maximum(_LEAST_POWER, 1.0))
    return level if range_db is None else np.maximum(level, level.max() - range_db)


@lru_cache(maxsize=8)
def mel_filters(sample_rate_hz: int, window_samples: int, num_mels: int, min_hz: float, max_hz: float) -> np.ndarray:
    """Return triangular filters of equal area, (num_mels, 1 + window_samples // 2) float32; a max_hz of 0 stands for half the sample rate.

    Source: Slaney 1998, Auditory Toolbox, whose scale librosa has.
    """
    edges_hz = _hz_of(np.linspace(_mel_of(min_hz), _mel_of(max_hz or sample_rate_hz / 2), num_mels + 2))
    distance_hz = np.fft.rfftfreq(window_samples, 1.0 / sample_rate_hz) - edges_hz[:, None]
    width_hz = np.diff(edges_hz)[:, None]
    rising, falling = distance_hz[:-2] / width_hz[:-1], -distance_hz[2:] / width_hz[1:]
    heights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return (heights * (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]).astype(np.float32)


def _mel_of(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else _BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP


def _hz_of(mels: np.ndarray) -> np.ndarray:
    is_high = mels >= _BREAK_MEL
    return np.where(is_high, _BREAK_HZ * np.exp(_LOG_STEP * (np.where(is_high, mels, _BREAK_MEL) - _BREAK_MEL)), _LINEAR_HZ * mels)


def cepstra(mel_db: np.ndarray, num_coefficients: int) -> np.ndarray:
    """Return the first coefficients of the orthonormal cosine transform of a mel spectrum (M, T) in dB, (num_coefficients, T)."""
    from scipy import fft

    return fft.dct(mel_db, axis=-2, type=2, norm="ortho")[:num_coefficients]


def loud_span(samples: np.ndarray, range_db: float, window_samples: int, hop_samples: int) -> tuple[int, int]:
    """Return the first sample of the loud part and the one after its last, (0, 0) where there is none, as `librosa.effects.trim`.

    Args:
      samples: (S,) float32.
      range_db: frames further below the loudest one are not loud.
    """
    frames = _frames(samples, window_samples, hop_samples, "constant")
    amplitude = np.sqrt(np.mean(np.square(frames, dtype=np.float32), axis=0))
    level = 10.0 * np.log10(np.maximum(_LEAST_POWER, np.square(amplitude)))
    level -= 10.0 * np.log10(np.maximum(_LEAST_POWER, amplitude.max() ** 2))
    loud = np.flatnonzero(level > -range_db)
    if not len(loud):
        return 0, 0
    return int(loud[0]) * hop_samples, min(len(samples), (int(loud[-1]) + 1) * hop_samples)
