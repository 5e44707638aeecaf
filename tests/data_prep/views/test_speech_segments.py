"""System B's segments of speech and their pictures: where they lie, what they hold."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np
import pytest
import scipy.fft
from made_speech import RATE_HZ, speech_like

from configs import base
from data_prep.views.segments import check_same_cut
from data_prep.views.speech_cut import SpeechCut
from data_prep.views.speech_faces import SpeechFaces
from data_prep.views.speech_segments import SpeechSegments, cepstra_picture, slope


def segments(view, *pieces: np.ndarray):
    return list(view.segments(iter(pieces)))


def test_both_views_of_a_config_are_cut_alike_whichever_is_changed():
    config = base.get_config()
    assert SpeechSegments(**config.views.speech_segments).cut == SpeechFaces(**config.views.speech_faces).cut
    for name in (field.name for field in dataclasses.fields(SpeechCut)):
        changed = config.views.speech_segments[name] * 2
        config.views.speech_faces[name] = changed
        assert config.views.speech_segments[name] == changed


def test_a_segment_lasts_655_ms_and_the_next_begins_300_ms_later():
    view = SpeechSegments()
    assert view.segment_samples == 10480 and view.step_s == 0.655
    found = segments(view, speech_like(3.0))
    # 298 frames of 25 ms: (298 - 64) // 30 + 1 whole segments
    assert len(found) == 8
    for number, segment in enumerate(found):
        assert segment.values.shape == (1, 64, 64, 3) and segment.values.dtype == np.uint8
        np.testing.assert_allclose(segment.times_s, [0.3 * number + 0.3275], atol=1e-6)
        assert segment.mask.tolist() == [True] and segment.has_speech


def test_only_the_span_of_speech_is_cut():
    sound = np.concatenate([np.zeros(RATE_HZ, np.float32), speech_like(2.0), np.zeros(2 * RATE_HZ, np.float32)])
    view = SpeechSegments()
    ((_, speech),) = view.speech(iter([sound]))
    assert speech.is_active and speech.starts_s[0] == pytest.approx(0.8, abs=0.025)
    assert len(speech.samples) / RATE_HZ == pytest.approx(2.4, abs=0.05)
    assert len(speech.starts_s) == 1 + ((len(speech.samples) - 400) // 160 + 1 - 64) // 30
    first = round(speech.starts_s[0] * RATE_HZ)
    np.testing.assert_array_equal(speech.samples, sound[first : first + len(speech.samples)])


def test_without_speech_all_of_the_clip_is_used_and_it_is_said():
    found = segments(SpeechSegments(), np.random.default_rng(0).normal(scale=0.1, size=2 * RATE_HZ).astype(np.float32))
    assert len(found) == 5 and not any(segment.has_speech for segment in found)
    assert found[0].times_s[0] == pytest.approx(0.3275)


@pytest.mark.parametrize("num_samples", [1, 100, 400, 5000, 10479, 10480])
def test_a_clip_shorter_than_a_segment_is_padded(num_samples):
    view = SpeechSegments()
    sound = speech_like(1.0)[:num_samples]
    ((_, speech),) = view.speech(iter([sound]))
    assert speech.starts_s.tolist() == [0] and len(speech.samples) == 10480
    np.testing.assert_array_equal(speech.samples[:num_samples], sound)
    assert not speech.samples[num_samples:].any()
    (segment,) = segments(view, sound)
    assert segment.values.shape == (1, 64, 64, 3)


def test_a_short_span_in_a_longer_clip_grows_where_there_is_sound():
    view = SpeechSegments(speech_before_s=0.0, speech_after_s=0.0)
    for start_s, expected_s in ((1.0, 1.05 - 0.3275), (0.1, 0.0), (1.9, 2.0 - 0.655)):
        sound = np.zeros(2 * RATE_HZ, np.float32)
        first = round(start_s * RATE_HZ)
        sound[first : first + 1600] = speech_like(0.1)
        ((_, speech),) = view.speech(iter([sound]))
        assert speech.is_active and len(speech.starts_s) == 1 and len(speech.samples) == 10480
        assert speech.starts_s[0] == pytest.approx(expected_s, abs=0.03)


@pytest.mark.parametrize(("size", "lengths"), [(1, [1] * 8), (3, [3, 3, 2]), (8, [8]), (0, [8])])
def test_segments_are_examples_or_steps(size, lengths):
    alone = segments(SpeechSegments(), speech_like(3.0))
    joined = segments(SpeechSegments(segments_per_example=size), speech_like(3.0))
    assert [len(segment.mask) for segment in joined] == lengths
    for name in ("values", "times_s", "mask"):
        expected = np.concatenate([getattr(segment, name) for segment in alone])
        np.testing.assert_array_equal(np.concatenate([getattr(segment, name) for segment in joined]), expected)


def test_long_clips_are_cut_into_pieces_and_a_short_tail_is_left_out():
    view = SpeechSegments(segment_s=3.0)
    sound = speech_like(6.5)
    pieces = [sound[:48000], sound[48000:96000], sound[96000:]]
    found = segments(view, *pieces)
    assert len(found) == 16
    assert found[8].times_s[0] == pytest.approx(3.3275)
    np.testing.assert_array_equal(found[8].values, segments(view, pieces[1])[0].values)


class TestPicture:
    def test_cepstra_are_librosas_and_lose_nothing(self):
        sound = speech_like(1.0) + np.random.default_rng(1).normal(scale=0.01, size=RATE_HZ).astype(np.float32)
        found = SpeechSegments()._cepstra(sound)
        expected = librosa.feature.mfcc(
            y=sound, sr=RATE_HZ, n_mfcc=64, n_fft=400, hop_length=160, window="hamming", center=False, n_mels=64, fmin=20, fmax=8000
        )
        assert found.shape == (98, 64)
        np.testing.assert_allclose(found, expected.T, atol=1e-3)  # librosa's call limits the range to 80 dB, which this sound keeps
        frame = sound[1600:2000] * np.hamming(401)[:400]  # frame 10, periodic window
        mel = librosa.filters.mel(sr=RATE_HZ, n_fft=400, n_mels=64, fmin=20, fmax=8000) @ np.abs(np.fft.rfft(frame)) ** 2
        np.testing.assert_allclose(scipy.fft.idct(found[10], norm="ortho"), 10 * np.log10(np.maximum(mel, 1e-10)), atol=1e-2)

    def test_change_is_equation_4(self):
        values = np.array([[0.0], [1.0], [4.0], [9.0], [16.0], [25.0]])
        # (1 (c[t+1] - c[t-1]) + 2 (c[t+2] - c[t-2])) / 10, ends repeated
        expected = [
            (1 - 0 + 2 * (4 - 0)) / 10,
            (4 - 0 + 2 * (9 - 0)) / 10,
            4.0,
            6.0,
            (25 - 9 + 2 * (25 - 4)) / 10,
            (25 - 16 + 2 * (25 - 9)) / 10,
        ]
        np.testing.assert_allclose(slope(values)[:, 0], expected)
        noise = np.random.default_rng(0).normal(size=(20, 3))
        np.testing.assert_allclose(slope(noise), librosa.feature.delta(noise, width=5, axis=0, mode="nearest"), atol=1e-12)

    def test_each_channel_is_stretched_by_itself(self):
        ramp = np.arange(6, dtype=float)[:, None] * np.array([1.0, 3.0])
        picture = cepstra_picture(ramp)
        assert picture.shape == (6, 2, 3) and picture.dtype == np.uint8
        np.testing.assert_array_equal(picture[:, 1, 0], [0, 51, 102, 153, 204, 255])  # 0, 3, .. 15
        np.testing.assert_array_equal(picture[:, 0, 0], [0, 17, 34, 51, 68, 85])
        # changes of the second column are 1.5, 2.4, 3, 3, 2.4, 1.5 and of the first a third of that: 0.5 is 0, 3 is 255
        np.testing.assert_array_equal(picture[:, 1, 1], np.round((np.array([1.5, 2.4, 3, 3, 2.4, 1.5]) - 0.5) * 102))
        assert (picture.reshape(-1, 3).min(axis=0) == 0).all() and (picture.reshape(-1, 3).max(axis=0) == 255).all()

    def test_silence_has_no_slope(self):
        (segment,) = segments(SpeechSegments(), np.zeros(10480, np.float32))
        assert not segment.values[..., 1:].any() and segment.has_speech is False
        np.testing.assert_array_equal(segment.values[0, :, :, 0], [[0, *[255] * 63]] * 64)  # the zeroth is the level, the others 0

    def test_loudness_is_in_the_coefficients_and_not_in_their_slope(self):
        sound = speech_like(0.655) + np.random.default_rng(1).normal(scale=0.01, size=10480).astype(np.float32)
        (loud,), (soft,) = (segments(SpeechSegments(), sound * scale) for scale in (1.0, 0.1))
        difference = np.abs(loud.values.astype(int) - soft.values).max(axis=(0, 1, 2))
        assert difference[0] > 5 and difference[1:].max() <= 1


def test_views_that_do_not_belong_together_are_refused():
    check_same_cut({"audio": SpeechSegments(num_mels=32), "video": SpeechFaces(size_px=8)})
    with pytest.raises(ValueError, match=r"speech_segments and config.views.speech_faces differ: speech_threshold 0.5 and 0.6"):
        check_same_cut({"audio": SpeechSegments(speech_threshold=0.5), "video": SpeechFaces()})
    with pytest.raises(ValueError, match=r"one of the streams audio \(speech_segments\) and video \(other\) is cut by speech"):
        check_same_cut({"audio": SpeechSegments(), "video": type("Other", (), {"name": "other"})()})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"segment_s": 0.5}, "segment_s must be at least 0.655"),
        ({"speech_max_hz": 9000.0}, "half of 16000 Hz, got 9000"),
        ({"max_hz": 9000.0}, "half of 16000 Hz, got 20 and 9000"),
        ({"speech_threshold": 2.0}, "share of energy"),
    ],
)
def test_impossible_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SpeechSegments(**params)
