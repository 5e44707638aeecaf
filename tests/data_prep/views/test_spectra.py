"""Spectra without librosa have librosa's numbers, to the bit, so that prepared sets stay what they are."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.views import spectra
from data_prep.views.librosa_loading import load_librosa

pytestmark = pytest.mark.golden
SIZES = [(16000, 400, 160), (48000, 4096, 2048), (22050, 1102, 441)]


def sound(rate_hz: int, seconds: float = 2.3) -> np.ndarray:
    """Noise that swells between quiet ends, around a chirp."""
    rng, time_s = np.random.default_rng(rate_hz), np.arange(round(seconds * rate_hz)) / rate_hz
    swell = np.clip(1.2 * np.sin(np.pi * time_s / seconds) - 0.3, 1e-4, None)
    return (swell * (0.1 * rng.normal(size=len(time_s)) + 0.3 * np.sin(900 * time_s**2))).astype(np.float32)


@pytest.mark.parametrize(
    ("rate_hz", "window", "hop", "shape", "pad_mode"),
    [
        *((*size, shape, "constant") for size in SIZES for shape in ("hann", "hamming")),
        (*SIZES[0], "hann", "reflect"),  # with hops near half a window librosa mirrors parts of a sound otherwise
    ],
)
def test_transforms_are_those_of_librosa(rate_hz, window, hop, shape, pad_mode):
    short = (window + 1, window) if pad_mode == "constant" else (2 * window,)
    for samples in (sound(rate_hz), *(sound(rate_hz)[:length] for length in short)):
        expected = load_librosa().stft(samples, n_fft=window, hop_length=hop, window=shape, pad_mode=pad_mode)
        found = spectra.stft(samples, window, hop, window=shape, pad_mode=pad_mode)
        assert found.strides == expected.strides  # sums over them have the same order
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("rate_hz", "window", "hop"), SIZES)
def test_levels_filters_cepstra_and_spans_are_those_of_librosa(rate_hz, window, hop):
    librosa, samples = load_librosa(), sound(rate_hz)
    for num_mels, min_hz, max_hz in ((20, 0.0, 0.0), (64, 50.0, 7900.0), (128, 0.0, 0.0)):
        expected = librosa.filters.mel(sr=rate_hz, n_fft=window, n_mels=num_mels, fmin=min_hz, fmax=max_hz or None)
        filters = spectra.mel_filters(rate_hz, window, num_mels, min_hz, max_hz)
        assert filters.dtype == expected.dtype
        np.testing.assert_array_equal(filters, expected)
    power = filters @ np.abs(spectra.stft(samples, window, hop)) ** 2.0
    for range_db in (None, 80.0):
        level = spectra.power_to_db(power, range_db=range_db)
        np.testing.assert_array_equal(level, librosa.power_to_db(power, top_db=range_db))
    np.testing.assert_array_equal(spectra.cepstra(level, 13), librosa.feature.mfcc(S=level, n_mfcc=13))
    for range_db in (10.0, 30.0, 60.0):
        _, expected = librosa.effects.trim(samples, top_db=range_db, frame_length=window, hop_length=hop)
        assert spectra.loud_span(samples, range_db, window, hop) == tuple(expected)
    _, expected = librosa.effects.trim(np.zeros(window * 3, np.float32), top_db=30.0, frame_length=window, hop_length=hop)
    assert spectra.loud_span(np.zeros(window * 3, np.float32), 30.0, window, hop) == tuple(expected)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="expected finite samples"):
        spectra.stft(np.array([0.0, np.nan] * 200, np.float32), 400, 160)
