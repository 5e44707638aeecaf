"""The view `logmel_whisper`: equal to the transformers library's frames, whatever the length of the sound."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.views import make_view
from data_prep.views.logmel_whisper import LogmelWhisper

RATE_HZ = 16000


def sound(num_samples: int) -> np.ndarray:
    times_s = np.arange(num_samples) / RATE_HZ
    rng = np.random.default_rng(0)
    return (0.2 * np.sin(2 * np.pi * (200 + 300 * times_s) * times_s) + 0.01 * rng.normal(size=num_samples)).astype(np.float32)


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("num_samples", [1, 100, 1600, 3 * RATE_HZ + 77])
def test_frames_equal_those_of_the_transformers_library(num_samples, num_mels):
    transformers = pytest.importorskip("transformers")
    samples = sound(num_samples)
    (segment,) = LogmelWhisper(num_mels=num_mels).segments(iter([samples]))
    expected = transformers.WhisperFeatureExtractor(feature_size=num_mels)(samples, sampling_rate=RATE_HZ, return_tensors="np")
    num_frames = max(1, -(-num_samples // 160))
    assert segment.values.shape == (num_frames, num_mels) and segment.values.dtype == np.float32
    np.testing.assert_allclose(segment.values, expected.input_features[0, :, :num_frames].T, atol=1e-4)
    assert segment.mask.all()
    np.testing.assert_allclose(segment.times_s, np.arange(num_frames) * 0.01, atol=1e-6)


def test_a_second_segment_goes_on_in_time():
    first, second = LogmelWhisper(segment_s=2.0).segments(iter([sound(2 * RATE_HZ), sound(RATE_HZ)]))
    assert (len(first.times_s), len(second.times_s)) == (200, 100)
    assert second.times_s[0] == 2.0


@pytest.mark.parametrize("params", [{"segment_s": 31.0}, {"segment_s": 0.0}, {"num_mels": 0}])
def test_impossible_parameters_are_refused(params):
    with pytest.raises(ValueError, match=f"views.logmel_whisper.{next(iter(params))} must be at least"):
        make_view("logmel_whisper", **params)
