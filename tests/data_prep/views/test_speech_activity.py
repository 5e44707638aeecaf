"""Speech activity by the share of energy in the speech band, on sounds whose share is known."""

from __future__ import annotations

import numpy as np
import pytest
from made_speech import RATE_HZ, tone

from data_prep.views.speech_activity import SpeechActivity


def silence(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


@pytest.mark.parametrize(
    ("sound", "ratio"),
    [
        (tone(1000, 0.5), 1.0),
        (tone(100, 0.5), 0.0),
        (tone(5000, 0.5), 0.0),
        (tone(1000, 0.5) + tone(5000, 0.5), 0.5),
        (tone(1000, 0.5, 0.2) + tone(5000, 0.5, 0.1), 0.8),  # energies 4 to 1
        (tone(1000, 0.5, 0.1) + tone(5000, 0.5, 0.2), 0.2),
        (tone(1000, 0.5) + 0.5, 1.0),  # an offset is no sound
        (silence(0.5), 0.0),
        (silence(0.5) + 0.5, 0.0),
        (tone(1000, 0.5, 1e-6), 0.0),  # under the rounding of 16 bits
    ],
)
def test_ratio_is_the_share_of_energy(sound, ratio):
    ratios = SpeechActivity().ratios(sound, RATE_HZ)
    assert len(ratios) == 1 + (8000 - 400) // 160
    np.testing.assert_allclose(ratios, ratio, atol=0.01)


def test_ratio_of_white_noise_is_the_width_of_the_band():
    noise = np.random.default_rng(0).normal(scale=0.1, size=10 * RATE_HZ)
    assert SpeechActivity().ratios(noise, RATE_HZ).mean() == pytest.approx(2700 / 8000, abs=0.01)


def test_the_threshold_itself_is_active():
    quiet, loud = tone(1000, 0.5), tone(1000, 0.5) + tone(5000, 0.5)
    activity = SpeechActivity(threshold=float(SpeechActivity().ratios(loud, RATE_HZ).max()), before_s=0, after_s=0)
    assert activity.span(loud, RATE_HZ) is not None and activity.span(quiet, RATE_HZ) == (0, 7920)
    assert SpeechActivity(threshold=0.6).span(loud, RATE_HZ) is None


def test_span_keeps_pauses_and_margins_and_nothing_else():
    sound = np.concatenate([silence(1.0), tone(1000, 0.5), silence(0.7), tone(600, 0.3), tone(100, 1.5)])
    first, end = SpeechActivity(before_s=0, after_s=0).span(sound, RATE_HZ)
    # windows of 25 ms every 10 ms that touch the tones: to within a window
    assert 1.0 - 0.025 <= first / RATE_HZ <= 1.0 and 2.5 <= end / RATE_HZ <= 2.5 + 0.025
    assert SpeechActivity().span(sound, RATE_HZ) == (first - 3200, end + 3200)
    assert SpeechActivity(before_s=2.0, after_s=2.0).span(sound, RATE_HZ) == (0, len(sound))


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_any_rate_gives_the_same_span(rate_hz):
    time_s = np.arange(2 * rate_hz) / rate_hz
    sound = np.where((time_s > 0.8) & (time_s < 1.2), np.sin(2 * np.pi * 1000 * time_s), 0)
    first, end = SpeechActivity().span(sound, rate_hz)
    # from and to the windows of 25 ms that touch the tone
    assert 0.575 <= first / rate_hz <= 0.6 and 1.4 <= end / rate_hz <= 1.425


def test_sound_shorter_than_a_window():
    assert SpeechActivity().span(tone(1000, 0.01), RATE_HZ) == (0, 160)
    assert SpeechActivity().span(np.zeros(1, np.float32), RATE_HZ) is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_hz": 3000.0}, "min_hz < max_hz, got 3000 and 3000"),
        ({"threshold": 0.0}, "share of energy: expected above 0 and at most 1, got 0"),
        ({"threshold": 60.0}, "got 60"),
        ({"hop_ms": 0.0}, "windows and hops above 0"),
        ({"after_s": -0.1}, "no negative margins"),
    ],
)
def test_impossible_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SpeechActivity(**params)
