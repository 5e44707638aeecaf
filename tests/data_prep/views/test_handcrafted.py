"""Table 2.1's features on sounds whose features are known."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal
from made_speech import RATE_HZ, tone
from shared_data import shared_data

from data_prep.decoding.sound import stream_audio
from data_prep.views.handcrafted import Handcrafted, roots_of

MIDDLE = slice(10, -10)  # frames that the ends of the sound do not touch


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=round(duration_s * RATE_HZ)).astype(np.float32)


def vowel(f0_hz: float, formants_hz: tuple[float, ...], duration_s: float = 1.0, width_hz: float = 80.0) -> np.ndarray:
    """A pulse train through resonators."""
    sound = np.zeros(round(duration_s * RATE_HZ))
    sound[:: round(RATE_HZ / f0_hz)] = 1
    for formant_hz in formants_hz:
        radius, angle = np.exp(-np.pi * width_hz / RATE_HZ), 2 * np.pi * formant_hz / RATE_HZ
        sound = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], sound)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def features(sound: np.ndarray, **params) -> dict[str, np.ndarray]:
    view = Handcrafted(**params)
    (segment,) = view.segments(iter([sound]))
    return dict(zip(view.feature_names, segment.values.T, strict=True))


def test_all_rows_of_the_table_are_there():
    view = Handcrafted()
    assert view.step_shape == (50,) == (len(set(view.feature_names)),)
    cepstra = [name for name in view.feature_names if name.startswith(("mfcc_", "log_energy"))]
    assert len(cepstra) == 39 and cepstra[12] == "log_energy" and cepstra[13] == "mfcc_1_delta" and cepstra[38] == "log_energy_delta_delta"
    assert view.feature_names[-9:] == (
        *("f0", "voiced_probability", "formant_1", "formant_2", "formant_3"),
        *("speaking_rate", "short_term_energy", "spectral_energy", "spectral_rolloff"),
    )
    (segment,) = view.segments(iter([noise(1.0)]))
    assert segment.values.shape == (101, 50)
    np.testing.assert_allclose(segment.times_s, 0.01 * np.arange(101), rtol=1e-6)
    assert Handcrafted(num_formants=4, num_cepstra=5).step_shape == (50 + 1 - 21,)


class TestSpectrum:
    def test_of_a_tone(self):
        found = features(tone(1000))
        # 2 changes a period of 16 samples; a Hamming window's skirts pull the mean of magnitudes up a little
        np.testing.assert_allclose(found["zero_crossing_rate"][MIDDLE], 1 / 8, atol=0.003)
        np.testing.assert_allclose(found["spectral_centroid"][MIDDLE], 1000, atol=60)
        np.testing.assert_allclose(found["spectral_rolloff"][MIDDLE], 1040, atol=41)
        np.testing.assert_allclose(found["short_term_energy"][MIDDLE], 0.1**2 / 2, rtol=1e-3)
        # the tone, pre-emphasised by |1 - 0.97 exp(-i w)|; half a spectrum holds a quarter of the amplitude squared, times the window's
        gain = np.abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / RATE_HZ)) ** 2
        window = (np.hamming(401)[:400] ** 2).mean()
        np.testing.assert_allclose(found["spectral_energy"][MIDDLE], 0.1**2 / 4 * gain * window, rtol=1e-2)

    def test_of_white_noise(self):
        found = features(noise(5.0), pre_emphasis=0.0)
        # magnitudes are spread evenly over 0 to 8 kHz
        assert found["spectral_centroid"].mean() == pytest.approx(4000, rel=0.02)
        assert found["spectral_rolloff"].mean() == pytest.approx(7200, rel=0.02)
        assert found["zero_crossing_rate"].mean() == pytest.approx(0.5, rel=0.02)

    def test_energy_of_the_spectrum_is_that_of_the_window(self):
        """Parseval's theorem: why the short-term energy is taken of the sound as recorded."""
        sound = noise(1.0)
        framed = librosa.util.frame(np.pad(librosa.effects.preemphasis(sound - sound.mean()), 200), frame_length=400, hop_length=160)
        spectrum = np.fft.fft(framed * np.hamming(401)[:400, None], axis=0)
        np.testing.assert_allclose((np.abs(spectrum) ** 2).sum(axis=0), 400 * ((framed * np.hamming(401)[:400, None]) ** 2).sum(axis=0))
        np.testing.assert_allclose(features(sound)["spectral_energy"], (np.abs(spectrum[:201]) ** 2).sum(axis=0) / 400**2, rtol=1e-4)


class TestCepstra:
    def test_are_librosas_without_the_zeroth(self):
        sound = noise(1.0)
        emphasised = librosa.effects.preemphasis(sound - sound.mean(), coef=0.97)
        expected = librosa.feature.mfcc(y=emphasised, sr=RATE_HZ, n_mfcc=13, n_mels=26, n_fft=400, hop_length=160, window="hamming")[1:]
        found = features(sound)
        np.testing.assert_allclose([found[f"mfcc_{number}"] for number in range(1, 13)], expected, atol=1e-3)
        deltas = librosa.feature.delta(expected), librosa.feature.delta(expected, order=2)
        for suffix, delta in zip(("_delta", "_delta_delta"), deltas, strict=True):
            np.testing.assert_allclose([found[f"mfcc_{number}{suffix}"] for number in range(1, 13)], delta, atol=1e-3)

    def test_log_energy_is_relative_to_the_loudest_frame(self):
        found = features(np.concatenate([tone(1000, 0.5, 0.1), tone(1000, 0.5, 0.01)]))["log_energy"]
        assert found.max() == 0
        np.testing.assert_allclose(found[10:40], 0, atol=0.01)
        np.testing.assert_allclose(found[60:90], np.log(0.01), atol=0.01)


class TestVoice:
    @pytest.mark.parametrize("f0_hz", [80.0, 200.0, 500.0])
    def test_pitch_of_a_voice(self, f0_hz):
        found = features(vowel(f0_hz, (600.0, 1500.0, 2500.0)))
        np.testing.assert_allclose(found["f0"][MIDDLE], RATE_HZ / round(RATE_HZ / f0_hz), rtol=0.012)  # within a step of 0.2 semitones
        assert found["voiced_probability"][MIDDLE].min() > 0.4

    def test_equals_librosa_called_directly(self):
        sound = vowel(150.0, (700.0, 1200.0, 2500.0), 0.5)
        f0_hz, voiced, probability = librosa.pyin(
            sound - sound.mean(), fmin=65, fmax=650, sr=RATE_HZ, frame_length=1024, hop_length=160, resolution=0.2
        )
        found = features(sound)
        np.testing.assert_allclose(found["f0"], np.where(voiced, f0_hz, 0), rtol=1e-6)
        np.testing.assert_allclose(found["voiced_probability"], probability, rtol=1e-5, atol=1e-7)

    def test_noise_and_silence_have_no_pitch(self):
        found = features(np.concatenate([np.zeros(RATE_HZ, np.float32), noise(1.0)]))
        assert (found["f0"] == 0).mean() > 0.95 and found["voiced_probability"].mean() < 0.05


class TestFormants:
    def test_of_a_vowel(self):
        found = features(vowel(100.0, (700.0, 1200.0, 2600.0)))
        for number, formant_hz in enumerate((700, 1200, 2600), start=1):
            assert np.median(found[f"formant_{number}"][MIDDLE]) == pytest.approx(formant_hz, rel=0.05)

    def test_wide_and_real_poles_are_none(self):
        view = Handcrafted()
        at = lambda frequency_hz, width_hz: np.exp((-np.pi * width_hz + 2j * np.pi * frequency_hz) / RATE_HZ)  # noqa: E731
        poles = np.array([at(500, 100), at(500, 100).conj(), at(1500, 399), at(1800, 401), at(80, 50), at(5100, 50), 0.9, -0.9, 0])
        np.testing.assert_allclose(sorted(view.pole_frequencies(poles)), [500, 1500])

    def test_roots_are_numpys(self):
        polynomials = np.concatenate([np.ones((3, 1)), np.random.default_rng(0).normal(size=(3, 6))], axis=1)
        for found, polynomial in zip(roots_of(polynomials), polynomials, strict=True):
            np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.roots(polynomial)), atol=1e-9)

    def test_missing_ones_are_zero(self):
        found = features(vowel(100.0, (700.0,), width_hz=40.0) + 1e-4 * noise(1.0), num_formants=9)
        assert np.median(found["formant_1"][MIDDLE]) == pytest.approx(700, rel=0.05) and not found["formant_9"].any()
        assert not features(np.zeros(RATE_HZ, np.float32))["formant_1"].any()


class TestSpeakingRate:
    @pytest.mark.parametrize("rate_hz", [3.0, 5.0])
    def test_syllables_are_swells_of_a_voice(self, rate_hz):
        duration_s = 2.0
        time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
        swell = np.sin(np.pi * rate_hz * time_s) ** 2 + 0.05
        sound = (vowel(120.0, (600.0, 1500.0), duration_s) * swell).astype(np.float32)
        pause = np.zeros(RATE_HZ, np.float32)
        found = features(np.concatenate([pause, sound, pause]))["speaking_rate"]
        assert len(set(found.tolist())) == 1 and found[0] == pytest.approx(rate_hz, rel=0.08)

    def test_swells_without_a_voice_are_no_syllables(self):
        time_s = np.arange(2 * RATE_HZ) / RATE_HZ
        assert features((noise(2.0) * np.sin(np.pi * 4 * time_s) ** 2).astype(np.float32))["speaking_rate"][0] < 0.6

    def test_a_steady_voice_is_one_syllable(self):
        assert features(vowel(120.0, (600.0, 1500.0), 2.0))["speaking_rate"][0] == pytest.approx(0.5, abs=0.05)


def test_loudness_and_an_offset_change_only_the_energies():
    sound = vowel(150.0, (700.0, 1200.0, 2500.0), 0.5) + 1e-3 * noise(0.5)
    one, two = features(sound), features(0.5 * sound + 0.25)
    for name in one:
        if name.endswith("_energy") and not name.startswith("log"):
            np.testing.assert_allclose(two[name], 0.25 * one[name], rtol=1e-2)
        elif name not in ("f0", "voiced_probability"):  # a step of pitch may tip over by rounding
            np.testing.assert_allclose(two[name], one[name], rtol=2e-2, atol=0.02)


@pytest.mark.slow
def test_a_real_sentence():
    """A woman says seven syllables, "kids are talking by the door", in some two seconds."""
    path = shared_data("ravdess", "Actor_02", "03-01-03-01-01-01-02.flac")
    view = Handcrafted()
    (segment,) = view.segments(stream_audio(path, rate_hz=RATE_HZ, segment_s=5.0))
    found = dict(zip(view.feature_names, segment.values.T, strict=True))
    voiced = found["f0"] > 0
    assert 150 < np.median(found["f0"][voiced]) < 350 and 0.2 < voiced.mean() < 0.7
    assert 2.5 < found["speaking_rate"][0] < 6
    loud = found["log_energy"] > -4
    for number, (low_hz, high_hz) in enumerate([(300, 900), (900, 2300), (2000, 3500)], start=1):
        assert low_hz < np.median(found[f"formant_{number}"][loud & voiced]) < high_hz


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_cepstra": 26}, "num_cepstra must be 1 to 25"),
        ({"f0_min_hz": 30.0}, r"expected 31.25 < f0_min_hz < f0_max_hz < 8000"),
        ({"f0_max_hz": 9000.0}, "got 65 and 9000"),
        ({"pre_emphasis": 1.0}, "shares below 1, got 1 and 0.9"),
        ({"num_formants": 10}, "num_formants must be 1 to 9, got 10"),
    ],
)
def test_impossible_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        Handcrafted(**params)
