"""System C's mean MFCC: librosa's own numbers, coefficients as steps."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from shared_data import shared_data
from written_media import chirp, write_sound

from data_prep.decoding.sound import stream_audio
from data_prep.views.mfcc_mean import MfccMean


def test_steps_are_the_means_of_librosas_defaults():
    sound = chirp(2.0, 22050)
    (segment,) = MfccMean().segments(iter([sound]))
    assert segment.values.shape == (40, 1) and segment.values.dtype == np.float32 and segment.mask.all()
    np.testing.assert_allclose(segment.values[:, 0], librosa.feature.mfcc(y=sound, sr=22050, n_mfcc=40).mean(axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(segment.times_s, 1.0, atol=0.01)


@pytest.mark.golden
def test_a_file_gives_what_librosa_gives(tmp_path):
    path = tmp_path / "sound.wav"
    write_sound(path, chirp(2.0, 24414), rate_hz=24414, codec="pcm_s16le")
    (segment,) = MfccMean().segments(stream_audio(path, rate_hz=22050, segment_s=30.0))
    samples, rate_hz = librosa.load(path)
    assert rate_hz == 22050
    np.testing.assert_allclose(segment.values[:, 0], librosa.feature.mfcc(y=samples, sr=rate_hz, n_mfcc=40).mean(axis=1), atol=0.05)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["OAF_angry/OAF_bath_angry", "YAF_sad/YAF_bath_sad"])
def test_a_recording_gives_what_librosa_gives(name):
    path = shared_data("tess", f"{name}.flac")
    (segment,) = MfccMean().segments(stream_audio(path, rate_hz=22050, segment_s=30.0))
    samples, rate_hz = librosa.load(path)
    np.testing.assert_allclose(segment.values[:, 0], librosa.feature.mfcc(y=samples, sr=rate_hz, n_mfcc=40).mean(axis=1), atol=0.05)


def test_impossible_parameters_are_refused():
    with pytest.raises(ValueError, match="num_coefficients must be 1 to 128"):
        MfccMean(num_coefficients=129)
