"""The demo of three streams, two of them from the picture, as a user runs it: trained, evaluated, degraded, reported, used on new media."""

from __future__ import annotations

import json

import numpy as np
import pytest
from demo_run import NUM_CLIPS, NUM_EPOCHS, NUM_FOLDS
from results_schema import check_results

pytestmark = [pytest.mark.slow, pytest.mark.long]  # tests/experiment/test_three_streams.py trains three streams in every gate
STREAMS = ["audio", "face", "mouth"]


@pytest.fixture(scope="module")
def finished(trained):
    run, _ = trained("audio_face_mouth")
    return run


def test_each_stream_is_trained_and_then_all_together(finished):
    rows = [json.loads(line) for line in finished.file("metrics.jsonl").splitlines()]
    expected = [(stage, epoch) for stage in (*STREAMS, "fused") for epoch in range(NUM_EPOCHS) for _ in range(NUM_FOLDS)]
    assert [(row["stage"], row["epoch"]) for row in rows] == expected and not any(row["failed"] for row in rows)
    results = check_results(json.loads(finished.file("results.json")))
    assert [entry["stage"] for entry in results["stages"]] == [*STREAMS, "fused"]
    parameters = {entry["stage"]: entry["num_params"] for entry in results["stages"]}
    assert parameters["face"] == parameters["mouth"]  # networks of one shape
    assert parameters["fused"] > max(parameters[stream] for stream in STREAMS)


def test_evaluate_gives_the_same_bytes(finished):
    before = finished.file("predictions.csv")
    assert "predictions.csv is unchanged" in finished("--mode=evaluate") and finished.file("predictions.csv") == before


def test_a_film_is_predicted_from_all_streams(finished, tmp_path):
    film = finished.shelf / "corpus" / "Actor_01" / "01-01-05-01-01-01-01.mp4"
    finished("--mode=predict", f"--input={film}", f"--output={tmp_path}")
    (one,) = json.loads((tmp_path / "predictions.json").read_text())["files"]
    assert one["problems"] == [] and all(segment["without"] == [] for segment in one["segments"])
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_each_stream_can_be_missing(finished):
    finished("--mode=robustness", "--config.robustness.conditions=('missing:*',)")
    panel = json.loads(finished.file("robustness.json"))
    assert [entry["condition"] for entry in panel["conditions"]] == [f"no {stream}" for stream in STREAMS] and not panel["left_out"]
    assert [entry["num_lost"] for entry in panel["conditions"]] == [NUM_CLIPS] * len(STREAMS)


def test_the_report_shows_every_stream(finished):
    page = finished.file("report.html").decode()
    assert all(f"{stage}: loss by epoch" in page for stage in (*STREAMS, "fused"))
    with np.load(finished.workdir / "attention.npz") as attention:
        names = set(attention.files)
    assert names >= {f"{stream}_weights" for stream in STREAMS}
    assert all(f"over {stream}" in page for stream in STREAMS)
