"""What predict writes beside predictions: a folder of its own for each call, and what the models were trained on."""

from __future__ import annotations

import numpy as np

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.modes.predict import new_folder, trained_on

CLASSES = ("calm", "happy")


def recording(*absent: str) -> RecordingPrediction:
    """Return the prediction of one segment a word; each segment lacks what the word says."""
    segments = [
        SegmentPrediction(index, index + 1, np.array([0.2, 0.8]), absent={"audio": word} if word else {})
        for index, word in enumerate(absent)
    ]
    return RecordingPrediction("a.wav", tuple(segments), ())


def test_each_call_has_a_folder_of_its_own(tmp_path):
    for expected in ("predict", "predict-2", "predict-3"):
        folder = new_folder(tmp_path / "predict")
        assert folder.name == expected
        folder.mkdir()


def test_every_answer_says_what_the_models_were_trained_on():
    assert trained_on("synthetic", "acted") == "drawn faces and made-up voices (synthetic); it says nothing about real people"
    assert trained_on("ravdess", "acted").startswith("ravdess (acted emotions)")
    text = format_prediction(recording(""), CLASSES, trained_on=trained_on("synthetic", "acted"))
    assert "  happy   (" in text and "trained on drawn faces" in text


def test_a_silent_file_has_no_emotion(tmp_path):
    silent, partly = recording("silence", "silence"), recording("", "silence", "no speech")
    assert format_prediction(silent, CLASSES) == "a.wav\n  no emotion: silence"
    assert as_json(silent, CLASSES, "mean")["predicted"] is None and as_json(partly, CLASSES, "mean")["predicted"] == "happy"
    assert [one["label"] for one in as_json(partly, CLASSES, "mean")["timeline"]] == ["happy", "silence", "no speech"]
    write_csv(tmp_path / "p.csv", [silent, partly], CLASSES)
    rows = [line.split(",")[4:6] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    assert rows == [["", ""], ["", "silence"], ["", "silence"], ["happy", ""], ["happy", ""], ["", "silence"], ["", "no speech"]]
