"""The Python API: samples and files take the same way, and results save themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avemo_jax import api
from avemo_jax.model import Model, Result
from data_prep.array_sound import as_sound_file
from data_prep.live import LiveViews


class OnlySegments:
    """Stands for a trained system: the probabilities of a file are the mean level and the rest."""

    classes, dimensions, trained_on, num_models = ("loud", "quiet"), (), "nothing", 1

    def __init__(self, experiment, recordings):
        self._recordings = recordings

    def predict(self, file):
        from avemo_jax.inference.predict import SegmentPrediction
        from avemo_jax.inference.recording import RecordingPrediction

        streams, problems = self._recordings.open(Path(file))
        levels = [float(np.abs(one.values).mean()) for one in streams["waveform"]]
        found = tuple(SegmentPrediction(at, at + 1, np.array([level, 1 - level])) for at, level in enumerate(levels))
        return RecordingPrediction(file, found, tuple(problems), self.classes, trained_on=self.trained_on)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr("avemo_jax.model.Predictor", OnlySegments)
    monkeypatch.setattr("avemo_jax.model.IsolatedViews", lambda live: live)
    monkeypatch.setattr(LiveViews, "__exit__", lambda *_: None, raising=False)
    with Model(None, LiveViews({"waveform": ("waveform", {})}, (1.0, 1.0))) as made:
        yield made


def test_samples_and_their_file_are_predicted_alike(model, tmp_path):
    samples = np.repeat([0.777, 0.333], 16000)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    of_file, of_samples = model.predict(tmp_path / "a.wav"), model.predict(samples, 16000)
    assert of_file.probabilities == of_samples.probabilities and of_samples.file == "samples"
    assert of_file.predicted in ("loud", "quiet") and of_file.probabilities["loud"] == pytest.approx(0.555, abs=1e-3)
    assert [(one.start_s, one.label) for one in of_file.spans] == [(0, "loud"), (1, "quiet")]
    frame = of_file.to_frame()
    assert list(frame.columns) == ["file", "start_s", "end_s", "predicted", "problem", "without", "p_loud", "p_quiet"] and len(frame) == 2


def test_wrong_inputs_are_sentences(model, tmp_path):
    for samples, rate_hz, message in (
        (np.zeros(10), None, "rate_hz=16000"),
        (np.zeros((2, 2, 2)), 8000, "expected samples"),
        (np.zeros(10, np.int16), 8000, "samples / 32768"),
        (np.array([np.nan]), 8000, "finite"),
        ("a.wav", 8000, "leave rate_hz=8000 out"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(samples, rate_hz)
    with pytest.raises(FileNotFoundError, match=r"no file .*a\.wav"):
        model.predict(tmp_path / "a.wav")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        api.load(tmp_path)


def test_a_result_saves_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = Result("sounds/a.wav", (), (), ("loud", "quiet"))
    assert result.save("audformat") == Path("a.audformat.csv") and Path("a.audformat.csv").is_file()
    with pytest.raises(ValueError, match="one file for all recordings"):
        result.save("json")


def test_two_channels_stay_two(tmp_path):
    with as_sound_file(np.stack([np.ones(100), np.zeros(100)], axis=1), 8000) as path:
        assert soundfile.info(path).channels == 2
    assert not path.exists()


@pytest.mark.slow
def test_a_stream_gives_the_numbers_of_the_recording():
    """The shipped model, its views in processes of their own."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(6.4 * 22050)) / 22050
    samples = 0.2 * np.sign(np.sin(2 * np.pi * (120 + 40 * np.sin(time_s)) * time_s)) * (time_s % 2 < 1.5) + rng.normal(
        scale=0.01, size=len(time_s)
    )
    with api.load(Path(__file__).parents[1] / "models" / "ravdess_functionals_linear") as model:
        expected = model.predict(samples, 22050).segments
        with model.stream(22050) as stream:
            found = [hop for part in np.array_split(samples, 37) for hop in stream.push(part)]
            assert len(found) == 4, "hops come before the end"
            found += stream.close()
    assert [(one.start_s, one.end_s, one.nothing) for one in found] == [(one.start_s, one.end_s, one.nothing) for one in expected]
    np.testing.assert_allclose([one.probabilities for one in found], [one.probabilities for one in expected], atol=1e-5)
    assert np.ptp([one.probabilities for one in found], axis=0).max() > 0.01
