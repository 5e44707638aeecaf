"""What predict writes beside predictions: a folder of its own for each call, and what the models were trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from avemo_jax.config import Experiment
from avemo_jax.config.overrides import with_fields
from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import RecordingPrediction, as_json, format_prediction, write_csv
from avemo_jax.modes.predict import new_folder
from avemo_jax.modes.predictor import learned_without_streams, trained_on

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


def test_a_long_timeline_is_not_printed_whole():
    lines = format_prediction(recording(*["", "silence"] * 40), CLASSES).splitlines()
    assert len(lines) == 2 + 60 + 1 and lines[-1] == "  ... and 20 more spans, which the files have"


def test_an_answer_says_which_streams_it_lacks(tmp_path):
    def film(*without):
        segments = [SegmentPrediction(at, at + 1, np.array([0.2, 0.8]), own, num_streams=2) for at, own in enumerate(without)]
        return RecordingPrediction("a.mp4", tuple(segments), ())

    sound, partly, empty, whole = film(("video",), ("video",)), film((), ("video",)), film(("audio", "video")), film(())
    assert "  without video: predicted from the other streams" in format_prediction(sound, CLASSES).splitlines()
    assert "  without video in 1 of 2 segments: predicted from the other streams" in format_prediction(partly, CLASSES).splitlines()
    assert "without" not in format_prediction(whole, CLASSES) and format_prediction(empty, CLASSES) == "a.mp4\n  no emotion: no data"
    assert as_json(sound, CLASSES, "mean")["without"] == {"video": 2} and as_json(whole, CLASSES, "mean")["without"] == {}
    write_csv(tmp_path / "p.csv", [sound, partly], CLASSES)
    table = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()]
    assert table[0][5:7] == ["problem", "without"]
    assert [row[6] for row in table[1:]] == ["video", "video", "video", "", "", "video"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, "on whole clips alone, so these answers may be poor"),
        ({"train.stream_dropout_rate": 0.3}, "on such clips too"),
        ({"train.overrides": ("fused:train.stream_dropout_rate=0.3",)}, "on such clips too"),
        ({"train.overrides": ("audio:train.stream_dropout_rate=0.3",)}, "on whole clips alone"),
        ({"search.space": ("stream_dropout_rate=0.1..0.5",)}, "on such clips too"),
    ],
)
def test_it_is_said_whether_a_system_has_learned_to_do_without_a_stream(changes, found):
    stages = {"system.streams": ("audio", "video"), "train.stages": ("audio", "video", "fused")}
    assert found in learned_without_streams(with_fields(Experiment(), stages | changes))


def test_dimensions_are_beside_classes_or_alone(tmp_path):
    pairs = [(1.0, "silence"), (2.0, ""), (4.0, "")]
    segments = tuple(
        SegmentPrediction(at, at + 1, np.array([0.2, 0.8]), absent={"audio": word} if word else {}, values={"valence": value})
        for at, (value, word) in enumerate(pairs)
    )
    one = RecordingPrediction("a.wav", segments, ())
    assert format_prediction(one, CLASSES).splitlines()[1:3] == ["  happy   (happy 0.80, calm 0.20)", "  valence 3.00"]
    assert [as_json(one, CLASSES, "mean")["dimensions"], as_json(one, CLASSES, "mean")["segments"][2]["dimensions"]] == [
        {"valence": 3.0},
        {"valence": 4.0},
    ]
    write_csv(tmp_path / "p.csv", [one, RecordingPrediction("b.wav", (), ())], CLASSES, dimensions=("valence",))
    rows = [line.split(",") for line in (tmp_path / "p.csv").read_text().splitlines()]
    assert rows[0][-1] == "value_valence" and rows[1][-1] == "3.000000" and {len(row) for row in rows} == {10}
    alone = RecordingPrediction("a.wav", tuple(dataclasses.replace(segment, probabilities=np.ones(1)) for segment in segments), ())
    assert format_prediction(alone, ("any",)) == "a.wav\n  valence 3.00"
