"""Every published system from media to a finished run on the demo corpus, with all stages, at the smallest size that runs them."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from demo_run import NUM_ACTORS, NUM_CLIPS, NUM_FOLDS
from results_schema import check_results

from avemo_jax import api
from avemo_jax.config import Experiment, parse
from avemo_jax.config.overrides import with_fields
from avemo_jax.modes.train import train
from configs import demo, systems

pytestmark = pytest.mark.slow

SMALL = {
    "corpus.num_actors": NUM_ACTORS,
    "corpus.num_takes": 1,
    "protocol.num_folds": NUM_FOLDS,
    "protocol.baseline": False,
    "train.num_epochs": 2,
    "train.batch_size": 16,
    "train.tensorboard": False,
    "late.num_inner_folds": 2,
    "views.keyframes.num_frames": 2,
    "views.keyframes.size_px": 75,
    "views.faces.rate_fps": 2.0,
    "views.faces.size_px": 32,
    "views.speech_faces.num_frames": 2,
    "views.speech_faces.size_px": 32,
    "fusion.width": 4,
    "fusion.num_units": 4,
}
SMALL_STREAM = {"context_units": (4,), "dense_units": (4,)}
# VGG19 takes nearly the same time for small pictures, so B has two or three segments a clip instead of five.
SMALL_B = {
    "streams.video.frame_units": 512,
    "encoders.vgg19.end_point": "global_avg",
    "encoders.vgg19.resize_px": 32,
    "views.speech_segments.shift_frames": 100,
    "views.speech_faces.shift_frames": 100,
}
# System -> further fields that make it small. Parity tests elsewhere cover VGG19's fully connected layers and I3D. Unit tests cover the
# variants that are not run here to save time: a second view of a stream, and B's segments.
OWN: dict[str, dict[str, Any]] = {
    "handcrafted_late_fusion": {"views.hog.rate_fps": 2.0, "views.faces.size_px": 112},
    "vgg19_lstm_attention": SMALL_B,
    "image_audio_fusion": {
        "streams.image.encoder_units": (4, 4),
        "streams.video.encoder_units": (4, 4),
        "train.overrides": ("audio:train.num_epochs=3",),
    },
    "gru_attention:fused": {"views.mfcc.sample_rate_hz": 16000},
}
# System -> its stages.
AUDIO_VISUAL = {
    "contextual_temporal": ["audio", "video", "fused"],
    "contextual_temporal:attention": ["audio", "video", "fused"],
    "handcrafted_late_fusion": ["audio", "video", "late"],
    "vgg19_lstm_attention": ["audio", "video", "fused"],
    "image_audio_fusion": ["image", "video", "image+video", "audio", "fused"],
    "stacking": ["audio", "video", "stacked"],
    "stacking:out_of_fold": ["audio", "video", "late"],
    "gru_attention:fused": ["audio", "video", "fused"],
}


def small(system: str, shelf: Path) -> Experiment:
    """Return a small demo of a system with its own run directory and the shared corpus and prepared sets."""
    experiment = parse(demo.get_config(system).to_dict())
    places = {"workdir": str(shelf / system), "corpus.root": str(shelf / "corpus"), "prepared_dir": str(shelf / "prepared")}
    narrow = {f"streams.{stream}.{name}": value for stream in experiment.system.streams for name, value in SMALL_STREAM.items()}
    return with_fields(experiment, places | SMALL | narrow | OWN.get(system, {}))


@pytest.fixture(scope="module")
def finished(shelf):
    """Return a function: system -> its experiment; the first call trains it."""
    made: dict[str, Experiment] = {}

    def of(system: str) -> Experiment:
        if system not in made:
            made[system] = experiment = small(system, shelf)
            api.make_features(experiment)  # in this process; other tests cover the separate one
            train(experiment, api.prepare(experiment))
        return made[system]

    return of


# Systems that are run on request, because each takes more than a minute: their stages, networks and encoders have tests of their own, and
# the two systems that are always run have a fused and a late last stage.
REPEATED = (
    "contextual_temporal:attention",
    "stacking:out_of_fold",
    "vgg19_lstm_attention",
    "image_audio_fusion",
    "stacking",
    "gru_attention:fused",
)


@pytest.mark.parametrize("system", [pytest.param(one, marks=pytest.mark.long if one in REPEATED else ()) for one in AUDIO_VISUAL])
def test_a_system_runs_through_all_of_its_stages(system, finished):
    experiment = finished(system)
    clips = NUM_CLIPS if experiment.corpus.label_set == "ravdess8" else NUM_CLIPS - NUM_ACTORS
    results = check_results(json.loads((experiment.run_directory / "results.json").read_text()))
    assert results["num_clips"] == clips and sum(map(sum, results["confusion"]["counts"])) == clips
    assert [entry["stage"] for entry in results["stages"]] == AUDIO_VISUAL[system]
    assert all(entry["num_params"] > 0 for entry in results["stages"])
    rows = [json.loads(line) for line in (experiment.run_directory / "metrics.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows} == set(AUDIO_VISUAL[system]) - {"late"} and not any(row["failed"] for row in rows)
    with (experiment.run_directory / "predictions.csv").open(newline="") as stream:
        predictions = list(csv.DictReader(stream))
    assert len({row["clip"] for row in predictions}) == len(predictions) == clips
    assert all(0 <= float(value) <= 1 for row in predictions for name, value in row.items() if name.startswith("p_"))


@pytest.mark.parametrize(
    "system",
    [
        "handcrafted_late_fusion",
        pytest.param("stacking", marks=pytest.mark.long),
        pytest.param("vgg19_lstm_attention", marks=pytest.mark.long),
    ],
)
def test_evaluate_writes_the_same_bytes(system, finished):
    experiment = finished(system)
    before = (experiment.run_directory / "predictions.csv").read_bytes()
    api.evaluate(experiment)
    assert (experiment.run_directory / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize(
    "system",
    [
        "handcrafted_late_fusion",
        pytest.param("vgg19_lstm_attention", marks=pytest.mark.long),
        pytest.param("contextual_temporal", marks=pytest.mark.long),
        pytest.param("stacking", marks=pytest.mark.long),
    ],
)
def test_new_media_are_predicted_without_problems(system, finished, tmp_path):
    experiment = finished(system)
    film = sorted((experiment.run_directory.parent / "corpus").rglob("*.mp4"))[0]
    (predicted,) = api.predict(experiment, [str(film)], output=str(tmp_path))
    assert predicted.segments and not predicted.problems
    assert all(abs(sum(segment.probabilities) - 1) < 1e-5 for segment in predicted.segments)


def test_every_system_is_in_the_demo():
    assert set(systems.SYSTEMS) <= set(importlib.import_module("configs.demo").SYSTEMS)
