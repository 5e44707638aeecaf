"""Pitch and voice quality frame by frame, by autocorrelation."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from data_prep.views.sound_frames import RATE_HZ, frames_of, hann, to_db

_WINDOW_SAMPLES = 800  # 50 ms: three periods of 60 Hz
_FFT_SAMPLES = 1080  # at least a window and the longest lag, of small prime factors
_LONGEST_LAG = RATE_HZ // 60
_SHORTEST_LAG = RATE_HZ // 700
_LEAST_STRENGTH = 0.45  # of a voiced frame, as in Boersma 1993
_RANGE_DB = 45.0  # a frame that is so much below the loudest one is not voiced
_OCTAVE_COST = 0.01
_SHORTEST_SPAN_FRAMES = 3
_REFERENCE_HZ = 27.5

# Those of every frame, then those that are 0 where there is no voice.
PITCH_DESCRIPTORS = (
    "strength",
    "harmonics_to_noise_db",
    "cepstral_peak_db",
    *("f0_semitones", "jitter", "shimmer_db", "h1_h2_db", "h1_h3_db"),
)


@dataclasses.dataclass(frozen=True)
class Pitch:
    """Voice of T frames, 10 ms apart.

    Attributes:
      values: (T, len(PITCH_DESCRIPTORS)) float64.
      is_voiced: (T,) bool.
    """

    values: np.ndarray
    is_voiced: np.ndarray


def track_pitch(samples: np.ndarray, level_db: np.ndarray) -> Pitch:
    """Return the pitch of a sound and what depends on it.

    F0 is the lag of the highest peak of the autocorrelation between 60 and 700 Hz, divided by the autocorrelation of the window. A frame is
    voiced where that peak is at least 0.45 high, the level is not 45 dB below the loudest frame, and so are two of its neighbours.

    strength               height of the peak, 0 to 1
    harmonics_to_noise_db  strength against the rest, -30 to 30
    cepstral_peak_db       height of the cepstral peak between 60 and 700 Hz above a line fitted to the cepstrum there
    f0_semitones           above 27.5 Hz
    jitter, shimmer_db     proxies: absolute change of F0 in semitones, and of the level, from one voiced frame to the next
    h1_h2_db, h1_h3_db     level of the first harmonic above that of the second and third

    Args:
      samples: (S,) float32, mono, [-1, 1], 16 kHz.
      level_db: (T,) level of its frames (`sound_frames.frames_of`).

    Source: Boersma 1993, sections 2 and 3. Differs: no path over frames is searched.
    """
    parts = [_candidates(frames) for frames in frames_of(samples, _WINDOW_SAMPLES)]
    f0_hz, strength, cepstral_peak, first, second, third = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_voiced = _without_short_spans((strength >= _LEAST_STRENGTH) & (level_db > level_db.max() - _RANGE_DB))
    f0 = np.where(is_voiced, 12 * np.log2(f0_hz / _REFERENCE_HZ), 0.0)
    follows = is_voiced & np.concatenate([[False], is_voiced[:-1]])
    jitter, shimmer = (np.where(follows, np.abs(np.diff(track, prepend=track[:1])), 0.0) for track in (f0, level_db))
    share = np.clip(strength, 0.001, 0.999)
    harmonics = [np.where(is_voiced, first - other, 0.0) for other in (second, third)]
    columns = [strength, 10 * np.log10(share / (1 - share)), cepstral_peak, f0, jitter, shimmer, *harmonics]
    return Pitch(np.column_stack(columns), is_voiced)


def _candidates(frames: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return F0 in Hz, strength, cepstral peak and the levels in dB of three harmonics, (F,) each, of frames (F, 800)."""
    from scipy import fft  # late: the view's parameters are read without it; in float32 it is twice as fast as NumPy's

    frames = (frames - frames.mean(axis=1, keepdims=True)) * hann(_WINDOW_SAMPLES)
    power = np.square(np.abs(fft.rfft(frames, _FFT_SAMPLES)))
    lags = np.arange(_SHORTEST_LAG, _LONGEST_LAG + 1)
    autocorrelation = fft.irfft(power)
    normalised = autocorrelation[:, lags] / (autocorrelation[:, :1] + 1e-7 * _WINDOW_SAMPLES) / _window_autocorrelation()[lags]
    inner = normalised[:, 1:-1]
    is_peak = (inner > normalised[:, :-2]) & (inner >= normalised[:, 2:])
    score = np.where(is_peak, inner - _OCTAVE_COST * np.log2(lags[1:-1]), -np.inf)
    best = score.argmax(axis=1) + 1
    row = np.arange(len(frames))
    before, at, after = (normalised[row, best + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0).clip(-0.5, 0.5)
    strength = np.where(is_peak.any(axis=1), at - 0.25 * (before - after) * shift, 0.0).clip(0, 1)
    f0_hz = RATE_HZ / (lags[best] + shift)
    power_db = to_db(power)
    cepstrum = fft.irfft(power_db)[:, lags]
    line = (lags - lags.mean()) / lags.std()
    rest = cepstrum - cepstrum.mean(axis=1, keepdims=True) - (cepstrum @ line / len(lags))[:, None] * line
    return f0_hz, strength, rest.max(axis=1), *(_level_near(power_db, number * f0_hz) for number in (1, 2, 3))


def _level_near(power_db: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return the highest level of the three bins nearest to a frequency a frame."""
    bins = np.rint(hz * _FFT_SAMPLES / RATE_HZ).astype(int)
    return np.max([power_db[np.arange(len(bins)), bins + step] for step in (-1, 0, 1)], axis=0)


def _without_short_spans(is_voiced: np.ndarray) -> np.ndarray:
    """Return the mask without spans shorter than three frames."""
    result = np.zeros_like(is_voiced)
    for start, stop in spans_of(is_voiced):
        result[start:stop] = stop - start >= _SHORTEST_SPAN_FRAMES
    return result


def spans_of(mask: np.ndarray) -> np.ndarray:
    """Return start and stop, (N, 2) int, of each span of True in a mask (T,)."""
    edges = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    return np.column_stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)])


@lru_cache(maxsize=1)
def _window_autocorrelation() -> np.ndarray:
    """(1080,) autocorrelation of the window, 1 at lag 0."""
    values = np.fft.irfft(np.square(np.abs(np.fft.rfft(hann(_WINDOW_SAMPLES), _FFT_SAMPLES)), dtype=np.float64))
    return values / values[0]
