"""The latency benchmark at its smallest size: the phases of a process add up, and a new run can be timed."""

from __future__ import annotations

import time

import pytest

from avemo_jax import api
from avemo_jax.config import Experiment
from avemo_jax.config.overrides import with_fields
from benchmarks import predict
from benchmarks.predict import PHASES, demo_experiment, format_row, measure, predict_clips


def test_a_row_by_hand():
    phases = [dict.fromkeys(PHASES, value) | {"all": 5 * value} for value in (1.0, 3.0, 2.0)]
    assert format_row("audio", "cold", phases).split() == ["audio", "cold", "3", *["2.000"] * 5, "10.000", "(5.000-15.000)"]


def test_first_has_an_empty_compilation_cache_and_cold_a_full_one(tmp_path, monkeypatch):
    cache, seen = tmp_path / "xla", []
    cache.mkdir()

    def predicted(experiment, files):
        seen.append(cache.exists())
        cache.mkdir(exist_ok=True)
        return [{"all": float(number)} for number in range(len(files))]

    monkeypatch.setattr(predict, "in_new_process", predicted)
    found = dict(measure(Experiment(prepared_dir=str(tmp_path)), ["a", "b"], 2))
    assert seen == [False, True, True]
    assert found == {"first": [{"all": 0.0}], "cold": [{"all": 0.0}] * 2, "warm": [{"all": 2.0}, {"all": 3.0}] * 2}


@pytest.mark.slow
@pytest.mark.long
def test_a_run_of_the_demo_predicts_clips(tmp_path):
    demo = demo_experiment("audio", tmp_path, num_actors=4, num_takes=2)
    experiment = with_fields(demo, {"protocol.name": "holdout_50_25_25"})  # one net in place of four
    api.train(experiment)
    files = [str(path) for path in sorted((tmp_path / "corpus").rglob("*.mp4"))[:2]]
    started_s = time.time()
    first, second = predict_clips(experiment, files, started_s)
    assert set(first) == set(second) == {*PHASES, "all"}
    assert first["restore"] > 0 and second["restore"] == second["import"] == 0 and second["views"] > 0 and second["networks"] > 0
    assert sum(first[phase] for phase in PHASES) <= first["all"] <= time.time() - started_s
