"""Low-level descriptors of speech: spectrum, level and voice in every 10 ms, from which the view `functionals` takes its statistics."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from data_prep.views.mel import mel_triangles
from data_prep.views.pitch import track_pitch
from data_prep.views.sound_frames import RATE_HZ, frames_of, hann, to_db

_WINDOW_SAMPLES = 400
_FFT_SAMPLES = 512
_NUM_MELS = 26
_NUM_CEPSTRA = 13
_LEAST_POWER = 1e-10  # added to every bin, so that the moments of a silent frame are those of a flat spectrum
_BANDS_HZ = ((250, 650), (1000, 4000), (4000, 8000))
_SLOPES_HZ = ((0, 500), (500, 1500), (500, 6000))

SPECTRAL_DESCRIPTORS: tuple[str, ...] = (
    *(f"mel_db_{band}" for band in range(_NUM_MELS)),
    *(f"mfcc_{index}" for index in range(_NUM_CEPSTRA)),
    *("level_db", "zero_crossing_share"),
    *("centroid_hz", "rolloff_50_hz", "rolloff_90_hz", "spread_hz", "skewness", "log_kurtosis", "entropy", "flatness_db"),
    *(f"slope_{low}_{high}_hz" for low, high in _SLOPES_HZ),
    *("alpha_ratio_db", "hammarberg_db"),
    *(f"band_{low}_{high}_hz_db" for low, high in _BANDS_HZ),
)


@dataclasses.dataclass(frozen=True)
class Descriptors:
    """Descriptors of T frames, 10 ms apart; frame t is centred at t * 10 ms.

    Attributes:
      spectral: (T, len(SPECTRAL_DESCRIPTORS)) float64.
      pitch: (T, len(PITCH_DESCRIPTORS)) float64; those that need a voice are 0 in frames without one.
      is_voiced: (T,) bool.
    """

    spectral: np.ndarray
    pitch: np.ndarray
    is_voiced: np.ndarray

    @property
    def level_db(self) -> np.ndarray:
        """(T,) mean power of the samples of each frame in dB re full scale."""
        return self.spectral[:, SPECTRAL_DESCRIPTORS.index("level_db")]


def describe(samples: np.ndarray) -> Descriptors:
    """Return the descriptors of a sound.

    The spectrum is that of 25 ms under a Hann window, the power of a frame divided by that of the window; levels are in dB of it.

    mel_db, mfcc       26 mel bands up to 8 kHz, and cepstral coefficients 0 to 12 of them
    level_db           mean power of the samples
    zero_crossing_share  share of neighbouring samples with different signs
    centroid_hz to log_kurtosis  moments of the power spectrum; frequencies below which are 50 % and 90 % of the power
    entropy, flatness_db  of the power spectrum; geometric over arithmetic mean
    slope_LOW_HIGH_hz  slope of the spectrum in dB a kHz
    alpha_ratio_db     power of 1 to 5 kHz over that of 50 Hz to 1 kHz
    hammarberg_db      strongest bin of 0 to 2 kHz over that of 2 to 5 kHz
    band_LOW_HIGH_hz_db  power of a band
    pitch              `data_prep.views.pitch.PITCH_DESCRIPTORS`

    Args:
      samples: (S,) float32, mono, [-1, 1], 16 kHz; S may be 0.

    Source: the alpha ratio, the Hammarberg index and the spectral slopes are those of Eyben et al. 2016 (GeMAPS), section 3.
    Differs: their slopes are of a spectrum in linear power.
    """
    samples = np.asarray(samples, dtype=np.float32)
    spectral = np.concatenate([_spectral(frames) for frames in frames_of(samples, _WINDOW_SAMPLES)])
    level_db = spectral[:, SPECTRAL_DESCRIPTORS.index("level_db")]
    pitch = track_pitch(samples, level_db)
    return Descriptors(spectral, pitch.values, pitch.is_voiced)


def _spectral(frames: np.ndarray) -> np.ndarray:
    """Return the spectral descriptors of frames (F, 400)."""
    window = hann(_WINDOW_SAMPLES)
    power = np.square(np.abs(np.fft.rfft(frames * window, _FFT_SAMPLES))) / np.square(window).sum()
    mel_db = to_db(power @ mel_triangles(_NUM_MELS, 20, RATE_HZ / 2))
    level_db = to_db(np.square(frames, dtype=np.float64).mean(axis=1))
    crossings = (np.signbit(frames[:, 1:]) != np.signbit(frames[:, :-1])).mean(axis=1)
    columns = [mel_db, mel_db @ _cosines(), level_db, crossings, *_shape(power), *_tilt(power)]
    return np.column_stack(columns)


def _shape(power: np.ndarray) -> list[np.ndarray]:
    """Return centroid to flatness of power spectra (F, 257); a silent frame has a flat spectrum."""
    hz = _bin_hz()
    share = (power + _LEAST_POWER) / (power + _LEAST_POWER).sum(axis=1, keepdims=True)
    centroid = share @ hz
    below = np.cumsum(share, axis=1)
    rolloffs = [hz[np.argmax(below >= part * below[:, -1:], axis=1)] for part in (0.5, 0.9)]
    distance = hz - centroid[:, None]
    squared = np.square(distance)
    variance = np.maximum((share * squared).sum(axis=1), 1.0)  # a bin is 31 Hz wide
    skewness = (share * squared * distance).sum(axis=1) / variance**1.5
    kurtosis = (share * np.square(squared)).sum(axis=1) / np.square(variance)
    entropy = -(share * np.log(share)).sum(axis=1)
    flatness = to_db(power).mean(axis=1) - to_db(power.mean(axis=1))
    return [centroid, *rolloffs, np.sqrt(variance), skewness, np.log1p(kurtosis), entropy, flatness]


def _tilt(power: np.ndarray) -> list[np.ndarray]:
    """Return slopes, alpha ratio, Hammarberg index and bands of power spectra (F, 257)."""
    hz, power_db = _bin_hz(), to_db(power)

    def band(low_hz: float, high_hz: float) -> slice:
        return slice(*np.searchsorted(hz, (low_hz, high_hz)))

    def slope(low_hz: float, high_hz: float) -> np.ndarray:
        own = band(low_hz, high_hz)
        khz = hz[own] / 1000 - hz[own].mean() / 1000
        return power_db[:, own] @ khz / (khz @ khz)

    def level(low_hz: float, high_hz: float) -> np.ndarray:
        return to_db(power[:, band(low_hz, high_hz)].sum(axis=1))

    hammarberg = power_db[:, band(0, 2000)].max(axis=1) - power_db[:, band(2000, 5000)].max(axis=1)
    slopes, bands = ([measure(*edges) for edges in table] for measure, table in ((slope, _SLOPES_HZ), (level, _BANDS_HZ)))
    return [*slopes, level(1000, 5000) - level(50, 1000), hammarberg, *bands]


@lru_cache(maxsize=1)
def _bin_hz() -> np.ndarray:
    return np.linspace(0, RATE_HZ / 2, _FFT_SAMPLES // 2 + 1)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """(26, 13) orthonormal cosine transform, of type II."""
    angles = np.pi * np.outer(np.arange(_NUM_MELS) + 0.5, np.arange(_NUM_CEPSTRA)) / _NUM_MELS
    return np.cos(angles) * np.where(np.arange(_NUM_CEPSTRA) == 0, np.sqrt(1 / _NUM_MELS), np.sqrt(2 / _NUM_MELS))
