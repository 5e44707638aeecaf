"""A run directory is restored as an ensemble, or refused with a reason."""

from __future__ import annotations

import json

import pytest
from small_experiment import STEP, small_config

from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.runs.run_directory import ConfigMismatch, open_run


def test_a_directory_without_a_finished_run_is_refused(tmp_path):
    experiment = small_config(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"no finished run; train it first: .*--mode=train"):
        load_ensemble(experiment, {"audio": STEP}, 10.0, None)
    with open_run(experiment.run_directory, experiment) as run:
        run.write_run_json()
    with pytest.raises(FileNotFoundError, match="training has not started"):
        load_ensemble(experiment, {"audio": STEP}, 10.0, None)
    with pytest.raises(ConfigMismatch, match=r"train\.num_epochs: stored 2, given 3"):
        load_ensemble(small_config(tmp_path / "run", train__num_epochs=3), {"audio": STEP}, 10.0, None)


def test_a_run_of_an_earlier_version_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "run").mkdir()
    for name, content in (("config.json", {"model": {"audio": {}}, "system": {"streams": ["audio"]}}), ("run.json", {"num_trials": 3})):
        (tmp_path / "run" / name).write_text(json.dumps(content))
    with pytest.raises(ConfigMismatch, match=r"holds a run of an earlier version .* another --config\.workdir$"):
        load_ensemble(small_config(tmp_path / "run"), {"audio": STEP}, 10.0, None)


@pytest.mark.parametrize("num_trials", [1_000_000, 10**30, 0, -3, 7, "three", None, 3.5, [3]])
def test_a_changed_number_of_trials_is_refused(tmp_path, num_trials):
    experiment = small_config(tmp_path / "run", train__seeds=(0, 1))
    with open_run(experiment.run_directory, experiment) as run:
        run.write_run_json(num_trials=num_trials, num_steps={"audio": 3})
    with pytest.raises(ValueError, match=r"run\.json has num_trials=.*; expected a multiple of 2"):
        load_ensemble(experiment, {"audio": STEP}, 10.0, None)
