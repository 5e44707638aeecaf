"""Predictions do not depend on how a run is divided over trial groups, devices and processes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from process_kills import FIELDS, NUM_EPOCHS, SYSTEM, finish, kills, outcome, start
from small_experiment import BOTH, NUM_FOLDS, open_small_corpus, rows_of, small_config, small_corpus

from avemo_jax.config import Devices
from avemo_jax.modes.evaluate import evaluate as evaluate_run
from avemo_jax.runs.processes import SINGLE_PROCESS, Processes, join

SHORT = FIELDS | {"train__num_epochs": 2}
# With trials of inner folds, which are trained in the same share as the outer trial that uses them.
LATE = SYSTEM | {"train__stages": (*BOTH, "late")}
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    small_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def straight(sets, tmp_path_factory):
    """Return a function: fields -> the outcome of a run of one process.

    It is a process of its own, as those that it is compared with: XLA keeps the flags that it was first started with, and in this process
    that may have been an earlier test. Other flags give other last bits.
    """
    folder, made = tmp_path_factory.mktemp("straight"), {}

    def outcome_of(fields):
        key = json.dumps(fields)
        if key not in made:
            workdir = folder / str(len(made))
            finish(start(sets, workdir, fields), workdir)
            made[key] = outcome(workdir)
        return made[key]

    return outcome_of


def assert_evaluated_by_one(sets, workdir, fields):
    """Assert that --mode=evaluate in this process, with one device, writes the same predictions up to rounding (see `straight`)."""
    before = pd.read_csv(workdir / "predictions.csv")
    (workdir / "predictions.csv").unlink()
    evaluate_run(small_config(workdir, **fields), open_small_corpus(sets))
    pd.testing.assert_frame_equal(pd.read_csv(workdir / "predictions.csv"), before, rtol=0, atol=5e-6)


@SLOW
@pytest.mark.parametrize(("num_processes", "fields"), [(2, LATE), pytest.param(4, SHORT, marks=pytest.mark.long)])
def test_processes_give_the_predictions_of_one(num_processes, fields, sets, straight, tmp_path):
    workdir = tmp_path / "run"
    finish(start(sets, workdir, fields, num_processes=num_processes), workdir)
    assert outcome(workdir) == straight(fields)
    layout = json.loads((workdir / "run.json").read_text())["layout"]
    assert layout == {"num_shares": min(num_processes, NUM_FOLDS), "trials_per_group": {}}  # the fourth process has nothing to train
    assert len(list((workdir / "checkpoints").iterdir())) == layout["num_shares"] * len([*BOTH, "fused"][: 3 if fields is SHORT else 2])
    assert_evaluated_by_one(sets, workdir, fields)


@SLOW
@pytest.mark.long
def test_four_virtual_devices_give_the_predictions_of_one(sets, straight, tmp_path):
    workdir = tmp_path / "run"
    finish(start(sets, workdir, SHORT, num_devices=4), workdir)
    assert outcome(workdir) == straight(SHORT)
    assert json.loads((workdir / "run.json").read_text())["devices"] == ["cpu:cpu"] * 4


@SLOW
@pytest.mark.long  # a search trains in groups of one in test_searching.py, and test_memory.py has their size
def test_trial_groups_that_fit_memory_give_the_same_predictions(sets, straight, tmp_path):
    """With this little memory each trial is a group of its own; one program trains all of them."""
    workdir = tmp_path / "run"
    finish(start(sets, workdir, SHORT | {"devices__memory_gib": 1e-6}), workdir)
    assert (workdir / "predictions.csv").read_bytes() == straight(SHORT)["predictions.csv"]
    shown = (tmp_path / "run.0.log").read_text()
    assert "plan: 3 trials (3 folds x 1 seed x 1 setting)" in shown
    assert "audio: 3 trials in 3 groups of 1 (1 program to compile); about " in shown and "MORE than available" in shown
    assert "time left is known after the first epoch" in shown
    assert_evaluated_by_one(sets, workdir, SHORT)


@SLOW
def test_a_signal_to_one_process_saves_in_all_and_fewer_resume(sets, straight, tmp_path):
    workdir = tmp_path / "run"
    processes = start(sets, workdir, FIELDS, num_processes=2, epoch_s=0.5)
    while not list(workdir.glob("checkpoints/audio-*/1/manifest.json")):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    finish(processes, workdir, expected=128 + signal.SIGTERM)
    assert not (workdir / "predictions.csv").exists()
    finish(start(sets, workdir, FIELDS), workdir)
    assert outcome(workdir) == straight(FIELDS)
    assert len(rows_of(workdir)) == NUM_FOLDS * NUM_EPOCHS * 3


@SLOW
@pytest.mark.long
def test_lost_processes_end_the_others_and_the_run_resumes_bit_for_bit(tmp_path):
    lines: list[str] = []
    kills(tmp_path, int(os.environ.get("NUM_KILLS", "2")), say=lines.append)
    print("\n".join(lines))


def test_a_single_process_needs_no_coordination():
    assert join(Devices()) is SINGLE_PROCESS and SINGLE_PROCESS.is_primary and SINGLE_PROCESS.run_on_primary_first(lambda: 3) == 3
    SINGLE_PROCESS.barrier("anywhere")
    with pytest.raises(KeyError), SINGLE_PROCESS.as_one():
        raise KeyError
    assert not Processes(1, 2).is_primary


@pytest.mark.parametrize(("heartbeat_s", "expected_s"), [(8, 60), (100, 100), (500, 500)])
def test_a_process_that_does_not_join_holds_the_others_no_longer_than_a_lost_one(monkeypatch, heartbeat_s, expected_s):
    asked = []
    monkeypatch.setattr("jax.distributed.initialize", lambda **options: asked.append(options))
    join(Devices(coordinator="localhost:1", num_processes=2, heartbeat_s=heartbeat_s))
    assert (asked[0]["initialization_timeout"], asked[0]["heartbeat_timeout_seconds"]) == (expected_s, heartbeat_s)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"process": 1}, "are for a plain launch and need --config.devices.coordinator=HOST:PORT"),
        ({"coordinator": "localhost:1", "process": 2, "num_processes": 2}, "process from 0 to one below it"),
        ({"coordinator": "localhost", "num_processes": 2}, "expected --config.devices.coordinator=HOST:PORT"),
        ({"coordinator": "localhost:1", "num_processes": 2, "heartbeat_s": 0}, "heartbeat_s must be at least 1"),
        ({"distributed": True}, "JAX detects neither SLURM"),
    ],
)
def test_contradictory_fields_are_refused(fields, message, monkeypatch):
    for name in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST", "JAX_COORDINATOR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    import jax

    monkeypatch.setattr(jax._src.xla_bridge, "backends_are_initialized", lambda: False)  # earlier tests have initialised them
    with pytest.raises(ValueError, match=message):
        join(Devices(**fields))
