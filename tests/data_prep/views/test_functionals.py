"""The descriptors of known sounds, and statistics that are finite for every sound."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from sklearn.linear_model import LinearRegression

from data_prep.views.descriptors import SPECTRAL_DESCRIPTORS, describe
from data_prep.views.functionals import FEATURE_NAMES, Functionals
from data_prep.views.pitch import PITCH_DESCRIPTORS

RATE_HZ = 16000


def harmonic(f0_hz: float, duration_s: float = 1.0, *, num_harmonics: int = 6, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A tone of harmonics, each half as strong as the one before."""
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.2 * sum(0.5**n * np.sin(2 * np.pi * (n + 1) * f0_hz * times) for n in range(num_harmonics))).astype(np.float32)


def functionals(samples: np.ndarray) -> dict[str, float]:
    (segment,) = Functionals().segments(iter([samples.astype(np.float32)]))
    assert segment.values.shape == (1, *Functionals.step_shape) and segment.values.dtype == np.float32
    assert np.isfinite(segment.values).all()
    return dict(zip(FEATURE_NAMES, segment.values[0], strict=True))


def spectral(samples: np.ndarray, name: str) -> np.ndarray:
    """Return one spectral descriptor of the frames that lie wholly inside."""
    return describe(samples).spectral[3:-3, SPECTRAL_DESCRIPTORS.index(name)]


def pitch(samples: np.ndarray, name: str) -> np.ndarray:
    return describe(samples).pitch[3:-3, PITCH_DESCRIPTORS.index(name)]


@pytest.mark.parametrize("f0_hz", [80.0, 150.0, 333.0, 600.0])
def test_f0_of_a_tone_is_found(f0_hz):
    samples = harmonic(f0_hz)
    assert describe(samples).is_voiced[3:-3].all()
    np.testing.assert_allclose(pitch(samples, "f0_semitones"), 12 * np.log2(f0_hz / 27.5), atol=0.1)
    assert pitch(samples, "harmonics_to_noise_db").min() > 15 and pitch(samples, "jitter").max() < 0.05


def test_the_first_harmonic_stands_6_and_12_db_above_the_next_two():
    samples = harmonic(200.0)
    np.testing.assert_allclose(pitch(samples, "h1_h2_db"), 20 * np.log10(2), atol=1.0)  # bins are 15 Hz wide
    np.testing.assert_allclose(pitch(samples, "h1_h3_db"), 20 * np.log10(4), atol=1.5)


def test_noise_has_no_voice_and_a_flat_spectrum():
    samples = np.random.default_rng(0).normal(scale=0.1, size=RATE_HZ).astype(np.float32)
    assert not describe(samples).is_voiced.any()
    assert spectral(samples, "level_db").mean() == pytest.approx(-20, abs=0.2)
    assert spectral(samples, "centroid_hz").mean() == pytest.approx(4000, abs=100)
    assert spectral(samples, "slope_500_6000_hz").mean() == pytest.approx(0, abs=0.2)
    assert spectral(samples, "zero_crossing_share").mean() == pytest.approx(0.5, abs=0.01)
    voiced, speech = (functionals(samples)[f"{region}_level_db_mean"] for region in ("voiced", "speech"))
    assert voiced == speech  # all speech stands in where there is no voice


def test_level_and_crossings_and_centroid_of_a_sine():
    samples = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    np.testing.assert_allclose(spectral(samples, "level_db"), 20 * np.log10(0.5 / np.sqrt(2)), atol=0.05)
    np.testing.assert_allclose(spectral(samples, "zero_crossing_share"), 2 * 1000 / RATE_HZ, atol=0.005)
    np.testing.assert_allclose(spectral(samples, "centroid_hz"), 1000, atol=2)
    assert spectral(samples, "alpha_ratio_db").min() > -10 and spectral(samples, "hammarberg_db").min() > 60


def test_a_tremolo_moves_the_level_and_repeats_it():
    """4 Hz: at 120 ms the level is near the opposite phase, and it is its own image after a period."""
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    found = functionals(harmonic(200.0, 2.0) * (1 + 0.5 * np.sin(2 * np.pi * 4 * times)))
    steady = functionals(harmonic(200.0, 2.0))
    level_db = 20 * np.log10(1 + 0.5 * np.sin(2 * np.pi * 4 * times))
    assert found["voiced_level_db_std"] == pytest.approx(level_db.std(), abs=0.3)
    assert found["speech_level_db_autocorrelation_120_ms"] < -0.8 and found["speech_level_db_autocorrelation_50_ms"] > 0
    assert found["voiced_shimmer_db_mean"] > 10 * steady["voiced_shimmer_db_mean"]


def test_statistics_of_a_rising_tone():
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    semitones = 36 + 6 * times  # an octave in 2 s, from 220 Hz
    samples = 0.3 * np.sin(2 * np.pi * np.cumsum(27.5 * 2 ** (semitones / 12)) / RATE_HZ)
    found = functionals(samples)
    assert found["voiced_f0_semitones_mean"] == pytest.approx(42, abs=0.2)
    assert found["voiced_f0_semitones_percentile_50"] == pytest.approx(42, abs=0.2)
    assert found["voiced_f0_semitones_slope"] == pytest.approx(6, abs=0.2)  # a half of the way from -1 to 1
    assert found["voiced_f0_semitones_delta_mean"] == pytest.approx(0.06, abs=0.01)  # semitones in 10 ms
    track = describe(samples.astype(np.float32)).pitch[:, PITCH_DESCRIPTORS.index("f0_semitones")]
    line = LinearRegression().fit(np.linspace(-1, 1, len(track))[:, None], track)
    assert found["voiced_f0_semitones_slope"] == pytest.approx(line.coef_[0], abs=0.2)


def test_spans_of_voice_and_pauses():
    """Three tones of 0.3 s with pauses of 0.2 s, in silence."""
    tone, pause = harmonic(200.0, 0.3), np.zeros(round(0.2 * RATE_HZ), np.float32)
    found = functionals(np.concatenate([np.zeros(RATE_HZ), tone, pause, tone, pause, tone, np.zeros(RATE_HZ)]))
    assert found["speech_s"] == pytest.approx(1.3, abs=0.05)
    assert found["voiced_spans_a_s"] * found["speech_s"] == pytest.approx(3, abs=1e-3)
    assert found["pause_spans_a_s"] * found["speech_s"] == pytest.approx(2, abs=1e-3)
    assert found["voiced_mean_s"] == pytest.approx(0.3, abs=0.05) and found["pause_longest_s"] == pytest.approx(0.2, abs=0.05)


def test_silence_around_the_speech_changes_only_levels_of_the_whole():
    tone = harmonic(150.0, 0.8) * np.hanning(12800)
    # The same frames of 10 ms: 0.5 s are 50 of them.
    alone, within = functionals(tone), functionals(np.concatenate([np.zeros(8000), tone, np.zeros(8000)]))
    different = {name for name in FEATURE_NAMES if abs(alone[name] - within[name]) > 1e-3 * (1 + abs(alone[name]))}
    assert different <= {"equivalent_level_db"} | {
        name for name in different if name.startswith(("speech_", "sounding", "pause", "unvoiced"))
    }
    assert "voiced_f0_semitones_mean" not in different and "voiced_mfcc_3_mean" not in different


@pytest.mark.parametrize("rate_hz", [8000, 48000])
def test_a_sound_of_another_rate_has_the_same_voice(rate_hz):
    found = functionals(soxr.resample(harmonic(180.0, rate_hz=rate_hz), rate_hz, RATE_HZ))
    expected = functionals(harmonic(180.0))
    for name in ("voiced_f0_semitones_mean", "voiced_level_db_mean", "voiced_h1_h2_db_mean", "voiced_slope_500_1500_hz_mean"):
        assert found[name] == pytest.approx(expected[name], abs=0.3), name


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.zeros(1),
        np.ones(1),
        np.zeros(RATE_HZ),
        np.ones(RATE_HZ),
        np.clip(50 * harmonic(200.0), -1, 1),
        1e-6 * harmonic(200.0),
        np.eye(1, 8000, 4000)[0],
        np.random.default_rng(0).choice([-1.0, 1.0], 700),
    ],
    ids=["none", "one zero", "one", "silence", "constant", "clipped", "very quiet", "a click", "full-scale noise"],
)
def test_every_sound_has_finite_functionals(samples):
    functionals(samples)


def test_silence_has_a_steady_level_of_minus_100_db():
    found = functionals(np.zeros(RATE_HZ))
    assert found["speech_level_db_mean"] == -100 and found["speech_level_db_std"] == 0 and found["voiced_share"] == 0


def test_a_long_segment_is_described_as_its_frames_are():
    """More than the 2048 frames that are described at once."""
    samples = np.random.default_rng(0).normal(scale=0.1, size=25 * RATE_HZ).astype(np.float32)
    whole, end = describe(samples), describe(samples[20 * RATE_HZ :])
    np.testing.assert_allclose(whole.spectral[2000 + 5 :], end.spectral[5:], rtol=1e-5, atol=1e-5)
