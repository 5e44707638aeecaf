"""Every published system from media to a finished run on the demo corpus: all of its stages, at the smallest size that still runs them."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from demo_run import NUM_ACTORS, NUM_CLIPS, NUM_FOLDS

import run as entry
from avemo_jax.experiment import run
from avemo_jax.modes import predict
from configs import demo, systems
from data_prep.live import LiveViews

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
    "streams.audio.context_units": (4,),
    "streams.video.context_units": (4,),
    "streams.video.frame_units": 512,  # B joins tokens of one width
    "streams.audio.dense_units": (4,),
    "streams.video.dense_units": (4,),
    "fusion.width": 4,
    "fusion.num_units": 4,
}
# VGG19 costs nearly the same however small its pictures are, so B looks at two or three segments of a clip in place of five.
SMALL_B = {"encoders.vgg19.end_point": "global_avg", "encoders.vgg19.resize_px": 32, "views.speech_segments.shift_frames": 100}
# What shrinks a system further; VGG19's fully connected layers and I3D are held to their references elsewhere. So are the parts of the
# variants that are not run here, since the gate has half an hour: a second view beside the first, and B's segments.
OWN: dict[str, dict[str, Any]] = {
    "handcrafted_late_fusion": {"views.hog.rate_fps": 2.0, "views.faces.size_px": 112},
    "vgg19_lstm_attention": SMALL_B,
    "image_audio_fusion": {"streams.video.encoder_units": (4, 4), "train.overrides": ("audio:train.num_epochs=3",)},
    "gru_attention:fused": {"views.mfcc.sample_rate_hz": 16000},
}
JOINING = {"fused", "stacked", "late"}
AUDIO_VISUAL = [
    name
    for name in (
        *("contextual_temporal", "contextual_temporal:attention", "handcrafted_late_fusion"),
        *("vgg19_lstm_attention", "image_audio_fusion", "stacking", "stacking:out_of_fold"),
        "gru_attention:fused",
    )
    if name in systems.SYSTEMS
]


def small(system: str, shelf: Path) -> dict[str, Any]:
    """The demo's config of a system, shrunk, in a folder of its own beside the shared corpus and prepared sets."""
    config = demo.get_config(system)
    config.workdir, config.corpus.root, config.prepared_dir = (str(shelf / name) for name in (system, "corpus", "prepared"))
    with config.unlocked():
        for name, value in (SMALL | OWN.get(system, {})).items():
            config.update_from_flattened_dict({name: value})
    return config.to_dict()


@pytest.fixture(scope="module")
def finished(shelf):
    """system -> its config and results; trains it on the first call."""
    made: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def train(system: str):
        if system not in made:
            config = small(system, shelf)
            entry.make_features(config)  # here and not in a process of its own, which other tests watch
            made[system] = config, train(config, entry.prepared(config))
        return made[system]

    return train


@pytest.mark.parametrize("system", AUDIO_VISUAL)
def test_a_system_runs_through_all_of_its_stages(system, finished):
    config, results = finished(system)
    clips = NUM_CLIPS if config.corpus.label_set == "ravdess8" else NUM_CLIPS - NUM_ACTORS
    assert results["num_clips"] == clips and sum(map(sum, results["confusion"]["counts"])) == clips
    stages = [entry["stage"] for entry in results["stages"]]
    assert stages[:2] == ["audio", "video"] and len(stages) == 3 and stages[2] in JOINING
    assert all(entry["num_params"] > 0 for entry in results["stages"])
    rows = [json.loads(line) for line in (Path(config.workdir) / "metrics.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows} == {stage for stage in stages if stage != "late"} and not any(row["failed"] for row in rows)
    with (Path(config.workdir) / "predictions.csv").open(newline="") as stream:
        predictions = list(csv.DictReader(stream))
    assert len({row["clip"] for row in predictions}) == len(predictions) == clips
    named = {name: row for name in predictions[0] if name.startswith("p_") for row in predictions}
    assert all(0 <= float(row[name]) <= 1 for name, row in named.items())


@pytest.mark.parametrize("system", ["handcrafted_late_fusion", "stacking", "vgg19_lstm_attention"])
def test_evaluate_gives_the_same_bytes(system, finished):
    if system not in systems.SYSTEMS:
        pytest.skip(f"{system} is not there")
    config, _ = finished(system)
    before = (Path(config.workdir) / "predictions.csv").read_bytes()
    evaluate(config, entry.prepared(config))
    assert (Path(config.workdir) / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize("system", ["contextual_temporal", "handcrafted_late_fusion", "vgg19_lstm_attention", "stacking"])
def test_new_media_is_judged_as_the_corpus_was(system, finished, tmp_path):
    if system not in systems.SYSTEMS:
        pytest.skip(f"{system} is not there")
    config, _ = finished(system)
    film = sorted(Path(config.corpus.root).rglob("*.mp4"))[0]
    views = LiveViews({name: (name, params) for name, params in entry.views_of(config).items()})
    (judged,) = predict.predict(config, [str(film)], views, output=tmp_path)
    assert judged.segments and not judged.problems
    assert all(abs(sum(segment.probabilities) - 1) < 1e-5 for segment in judged.segments)


def test_every_system_is_named_in_the_demo():
    assert set(systems.SYSTEMS) <= set(importlib.import_module("configs.demo").SYSTEMS)
