"""Audio views: equal to the reference implementations, and the same for every way of cutting."""

from __future__ import annotations

import importlib.util

import librosa
import numpy as np
import pytest
import scipy.fft
import soundfile
from shared_data import shared_data

from data_prep.decoding.sound import stream_audio
from data_prep.views import VIEWS
from data_prep.views.logmel_496 import Logmel496
from data_prep.views.logmel_frames import LogmelFrames
from data_prep.views.logmel_patches import LogmelPatches
from data_prep.views.mel import log_mel
from data_prep.views.mfcc import Mfcc
from data_prep.views.speech_segments import SpeechSegments

HAS_OPENSMILE = importlib.util.find_spec("opensmile") is not None
SOUND_VIEWS = [view for view in VIEWS.values() if view.modality == "audio" and (HAS_OPENSMILE or not hasattr(view, "licence"))]


def noise(duration_s: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=0.1, size=round(duration_s * rate_hz)).astype(np.float32)


@pytest.mark.golden
def test_log_mel_of_a_sine_equals_the_original_vggish_code():
    golden = np.load(shared_data("golden", "vggish_logmel.npz"))["sine_1khz_3s__96"]
    frames = log_mel(np.sin(2 * np.pi * 1000 * np.arange(3 * 16000) / 16000))
    np.testing.assert_allclose(frames[: 3 * 96].reshape(3, 96, 64), golden, atol=1e-4)


@pytest.mark.golden
@pytest.mark.parametrize("clip", ["03-01-03-01-02-02-21", "03-01-04-01-02-02-01", "03-01-02-02-02-02-13"])
@pytest.mark.parametrize(("view", "shape"), [(LogmelPatches(), "5x96x64"), (Logmel496(), "496x64")])
def test_log_mel_of_speech_equals_the_original_vggish_code(clip, view, shape):
    golden = np.load(shared_data("golden", "vggish_logmel.npz"))[f"{clip}__{shape}"]
    samples, rate_hz = soundfile.read(shared_data("golden", f"{clip}.16khz.flac"), dtype="float32")
    assert rate_hz == view.sample_rate_hz
    (segment,) = view.segments(iter([samples]))
    np.testing.assert_allclose(segment.values, golden, atol=1e-4)


@pytest.mark.parametrize("num_deltas", [0, 1, 2])
def test_mfcc_equals_librosa_called_directly(num_deltas):
    samples = noise(2.0, 22050)
    view = Mfcc(num_coefficients=20, num_deltas=num_deltas, sample_rate_hz=22050, window_ms=40.0, hop_ms=10.0)
    (segment,) = view.segments(iter([samples]))
    expected = [librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20, n_fft=882, hop_length=220)]
    expected += [librosa.feature.delta(expected[0], order=order) for order in range(1, num_deltas + 1)]
    np.testing.assert_array_equal(segment.values, np.concatenate(expected).T)
    assert segment.times_s[10] == pytest.approx(10 * 220 / 22050)


def test_mfcc_with_pre_emphasis_and_hamming_windows_equals_librosa():
    """Chapter 2.5 of document E: y[n] = x[n] - 0.97 x[n - 1], then Hamming windows."""
    samples = noise(0.5, 16000)
    view = Mfcc(sample_rate_hz=16000, window_ms=32.0, hop_ms=16.0, pre_emphasis=0.97, window="hamming")
    (segment,) = view.segments(iter([samples]))
    emphasised = np.append(samples[:1], samples[1:] - np.float32(0.97) * samples[:-1])
    expected = librosa.feature.mfcc(y=emphasised, sr=16000, n_mfcc=13, n_fft=512, hop_length=256, window="hamming")
    np.testing.assert_allclose(segment.values[2:], expected.T[2:], atol=0.05)  # the first sample has no previous one
    (plain,) = Mfcc(sample_rate_hz=16000, window_ms=32.0, hop_ms=16.0).segments(iter([samples]))
    assert np.abs(segment.values - plain.values).max() > 1
    with pytest.raises(ValueError, match=r"mfcc\.window must be one of hann, hamming, got 'square'"):
        Mfcc(window="square")


def test_mfcc_defaults_are_4096_and_2048_samples_at_48_khz():
    samples = noise(1.0, 48000)
    (segment,) = Mfcc().segments(iter([samples]))
    np.testing.assert_array_equal(segment.values, librosa.feature.mfcc(y=samples, sr=48000, n_mfcc=13, n_fft=4096, hop_length=2048).T)


def test_log_mel_frames_equal_librosa_and_lose_silent_ends():
    sound = np.concatenate([np.zeros(48000), noise(1.0, 48000), np.zeros(72000)]).astype(np.float32)
    power = librosa.feature.melspectrogram(y=sound, sr=48000, n_fft=4096, hop_length=2048, n_mels=64, fmin=50, fmax=8000)
    expected = librosa.power_to_db(power, top_db=None).T
    (whole,) = LogmelFrames(trim_db=0.0).segments(iter([sound]))
    np.testing.assert_array_equal(whole.values, expected)
    (trimmed,) = LogmelFrames().segments(iter([sound]))
    # frames 23 to 47 overlap the noise by enough; one frame before and two after stay
    first = round(trimmed.times_s[0] * 48000 / 2048)
    assert 20 <= first <= 23 and 27 <= len(trimmed.values) <= 30
    np.testing.assert_array_equal(trimmed.values, expected[first : first + len(trimmed.values)])
    (silence,) = LogmelFrames().segments(iter([np.zeros(48000, np.float32)]))
    np.testing.assert_allclose(silence.values, np.full((24, 64), -100.0), rtol=1e-6)


def test_as_many_coefficients_as_bands_lose_nothing():
    samples = noise(1.0, 48000)
    (frames,) = LogmelFrames(trim_db=30.0, num_deltas=1).segments(iter([samples]))
    (mfcc,) = Mfcc(num_coefficients=64, num_mels=64, min_hz=50.0, max_hz=8000.0, range_db=0.0, trim_db=30.0, num_deltas=1).segments(
        iter([samples])
    )
    inverse = scipy.fft.idct(mfcc.values.reshape(-1, 2, 64), norm="ortho").reshape(-1, 128)
    np.testing.assert_allclose(inverse, frames.values, atol=1e-3)
    np.testing.assert_array_equal(mfcc.times_s, frames.times_s)


@pytest.mark.parametrize("view", [view() for view in SOUND_VIEWS if view is not SpeechSegments], ids=lambda view: view.name)
@pytest.mark.parametrize("duration_s", [0.01, 0.9, 6.0])
def test_every_view_keeps_its_contract(view, duration_s):
    cut = round(view.segment_s * view.sample_rate_hz)
    samples = noise(duration_s, view.sample_rate_hz)
    segments = list(view.segments(samples[start : start + cut] for start in range(0, len(samples), cut)))
    assert len(segments) == (2 if duration_s > view.segment_s else 1)
    for segment in segments:
        assert segment.values.shape == segment.mask.shape + view.step_shape
        assert (segment.values.dtype, segment.mask.dtype, segment.times_s.dtype) == (view.dtype, bool, "float32")
        assert segment.times_s.shape == segment.mask.shape and (np.all(np.diff(segment.times_s) > 0) or view.name == "mfcc_mean")
        assert segment.mask[0] and np.isfinite(segment.values).all()


RECORDINGS = {
    "silence": np.zeros(16000),
    "offset": np.full(16000, 0.7),
    "clipped": np.sign(np.sin(np.arange(16000) / 12)),
    "louder than full scale": 7.9 * np.sin(np.arange(16000) / 12),
    "one sample": np.array([0.5]),
    "one loud sample": np.eye(1, 16000, 9000)[0],
    "faint": 1e-9 * np.sin(np.arange(16000) / 12),
    "impulses": np.arange(16000) % 100 == 0,
}


@pytest.mark.parametrize("view", [view() for view in SOUND_VIEWS], ids=lambda view: view.name)
@pytest.mark.parametrize("recording", RECORDINGS)
def test_no_recording_gives_anything_but_numbers(view, recording):
    samples = RECORDINGS[recording].astype(np.float32)
    one, two = (list(view.segments(iter([samples]))) for _ in range(2))
    assert len(one) >= 1
    for segment, again in zip(one, two, strict=True):
        assert segment.values.shape == segment.mask.shape + view.step_shape and segment.values.dtype == view.dtype
        assert np.isfinite(segment.values).all() and np.isfinite(segment.times_s).all() and segment.mask[0]
        np.testing.assert_array_equal(segment.values, again.values)


@pytest.mark.parametrize("view", [view() for view in SOUND_VIEWS], ids=lambda view: view.name)
def test_other_rates_give_the_same_frames(view, tmp_path):
    shapes, values = set(), {}
    for rate_hz in (8000, 48000, 96000):
        path = tmp_path / f"{rate_hz}.wav"
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * 700 * np.arange(rate_hz) / rate_hz) * np.hanning(rate_hz), rate_hz, subtype="FLOAT")
        segments = list(view.segments(stream_audio(path, rate_hz=view.sample_rate_hz, segment_s=view.segment_s)))
        values[rate_hz] = np.concatenate([segment.values for segment in segments])
        shapes.add(values[rate_hz].shape)
        assert np.isfinite(values[rate_hz]).all()
    assert len(shapes) == 1
    assert np.corrcoef(values[48000].ravel(), values[96000].ravel())[0, 1] > 0.99


def test_padded_segments_have_equally_many_frames():
    """What system D flattens: 13 cepstra of each 10 ms of 5 s."""
    view = Mfcc(sample_rate_hz=16000, window_ms=25.0, hop_ms=10.0, padded_s=5.0, segment_s=5.0)
    (short,), (full,) = (view.segments(iter([noise(duration_s, 16000)])) for duration_s in (2.0, 5.0))
    assert short.values.shape == full.values.shape == (501, 13) and short.mask.all()
    silence = np.concatenate([noise(2.0, 16000), np.zeros(48000, np.float32)])
    np.testing.assert_array_equal(short.values, next(view.segments(iter([silence]))).values)
    (as_it_is,) = Mfcc(sample_rate_hz=16000, window_ms=25.0, hop_ms=10.0).segments(iter([noise(2.0, 16000)]))
    assert as_it_is.values.shape == (201, 13)


def test_patches_without_sound_are_masked_and_hold_the_log_of_silence():
    (segment,) = LogmelPatches().segments(iter([noise(1.5, 16000)]))
    assert segment.mask.tolist() == [True, True, False, False, False]
    np.testing.assert_allclose(segment.values[2:], np.log(0.01), rtol=1e-6)
    np.testing.assert_allclose(segment.times_s, [0.48, 1.44, 2.4, 3.36, 4.32], rtol=1e-6)


def test_a_last_piece_under_a_second_is_left_out():
    view = LogmelPatches()
    assert len(list(view.segments(iter([noise(5.0, 16000), noise(0.9, 16000)])))) == 1
    assert len(list(view.segments(iter([noise(5.0, 16000), noise(1.1, 16000)])))) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogmelPatches(num_patches=6), "must be 1 to 5, got 6"),
        (lambda: Logmel496(segment_s=4.0), "at least 4.975"),
        (lambda: Mfcc(num_coefficients=0), "1 to 128"),
        (lambda: LogmelFrames(sample_rate_hz=8000), "half of 8000 Hz, got 50 and 8000"),
        (lambda: Mfcc(padded_s=31.0), "padded_s must be at most segment_s, 30, .* got 31 and 0"),
        (lambda: LogmelFrames(padded_s=5.0), "trim_db 0, which would cut the padding off, got 5 and 30"),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
