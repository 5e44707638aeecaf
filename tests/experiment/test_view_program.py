"""Views that a program computes from samples have the numbers of `data_prep.views`."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from avemo_jax.experiment.view_program import mel_steps, num_samples_of
from data_prep.views import make_view

LENGTHS_S = (2.3, 0.9, 0.02)


def sound(seconds: float, rate_hz: int) -> np.ndarray:
    """A chirp in noise, between quiet ends."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = np.clip(1.2 * np.sin(np.pi * time_s / seconds) - 0.3, 1e-4, None)
    return (swell * (0.1 * np.random.default_rng(0).normal(size=len(time_s)) + 0.3 * np.sin(900 * time_s**2))).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "parameters", "num_steps"),
    [
        ("mfcc", {"sample_rate_hz": 16000, "window_ms": 64.0, "hop_ms": 32.0, "num_coefficients": 20}, 90),
        ("mfcc", {"trim_db": 30.0, "max_frames": 24, "segment_s": 3.0, "pre_emphasis": 0.97, "window": "hamming"}, 30),
        ("mfcc", {"padded_s": 2.5, "segment_s": 2.5}, 60),
        ("logmel_frames", {"max_frames": 64, "segment_s": 3.0}, 64),
        ("logmel_frames", {"sample_rate_hz": 16000, "window_ms": 25.0, "hop_ms": 10.0}, 240),
        ("mfcc_mean", {"segment_s": 3.0}, 40),
    ],
)
def test_the_steps_of_a_program_are_those_of_the_view(name, parameters, num_steps):
    view = make_view(name, **parameters)
    own = view.arithmetic()
    sounds = [sound(seconds, own.sample_rate_hz) for seconds in LENGTHS_S] + [np.zeros(own.sample_rate_hz, np.float32)]
    samples = np.full((len(sounds), num_samples_of(own, num_steps)), 0.5, np.float32)  # what is behind a sound does not count
    mask = np.zeros(samples.shape, bool)
    for row, one in enumerate(sounds):
        samples[row, : len(one)], mask[row, : len(one)] = one, True
    steps, is_step = jax.jit(lambda *arrays: mel_steps(*arrays, own, num_steps))(samples, mask)
    for row, one in enumerate(sounds):
        (expected,) = view.segments(iter([one]))
        np.testing.assert_array_equal(is_step[row], np.arange(num_steps) < len(expected.values))
        np.testing.assert_allclose(steps[row][: len(expected.values)], expected.values, atol=2e-3)  # dB, of spectra in float32


def test_derivatives_are_not_among_the_arithmetic():
    assert make_view("mfcc", num_deltas=1).arithmetic() is None
