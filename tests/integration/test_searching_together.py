"""Kill the processes of a search: one process on SQLite, two processes on a PostgreSQL server. Every setting is finished once."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from postgresql_server import PASSWORD, postgresql
from searching_process import BATCH, FIELDS, NUM_SETTINGS, kill, start
from small_experiment import NUM_FOLDS, only, small_config, small_corpus

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.searching import Trainer, search
from avemo_jax.runs.preemption import StopRequest
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.search.studies import Setting

pytestmark = pytest.mark.slow
NAME = "made-small-speaker_k"
ALL = NUM_FOLDS * NUM_SETTINGS


def studies_of(address: str) -> list[list[optuna.trial.FrozenTrial]]:
    """Return the trials of every fold's study, read with Optuna alone."""
    storage = optuna.storages.RDBStorage(address, skip_compatibility_check=True)
    made = [optuna.load_study(study_name=f"{NAME}/fold-{fold}", storage=storage).get_trials(deepcopy=False) for fold in range(NUM_FOLDS)]
    storage.engine.dispose()
    return made


def leases_in(address: str) -> list[dict[str, Any]]:
    """Return the entries of the log of leases; empty before the search begins."""
    try:
        storage = optuna.storages.RDBStorage(address, skip_table_creation=True, skip_compatibility_check=True)
        log = optuna.load_study(study_name=f"{NAME}/leases", storage=storage).get_trials(deepcopy=False)
    except Exception:  # no tables, no study yet, or tables that are being created at this moment
        return []
    storage.engine.dispose()
    return [trial.user_attrs for trial in log if "round" in trial.user_attrs]


def wait_until(condition: Callable[[], bool], what: str, *processes: subprocess.Popen) -> None:
    for _ in range(6000):
        assert all(process.poll() is None for process in processes), f"a process ended before {what}"
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within 300 s")


def finish(process: subprocess.Popen, log: Path) -> None:
    assert process.wait(timeout=600) == 0, log.read_text()


def check_every_setting_once(address: str, workdir: Path) -> None:
    """Assert for database and search.json that each fold has num_settings settings, each finished once."""
    found = json.loads((workdir / "search.json").read_text())
    for fold, trials in enumerate(studies_of(address)):
        states = Counter(trial.state.name for trial in trials)
        assert states["COMPLETE"] == NUM_SETTINGS and states["RUNNING"] == states["WAITING"] == 0, states
        complete = {trial.user_attrs["slot"]: trial for trial in trials if trial.state.name == "COMPLETE"}
        assert sorted(complete) == list(range(NUM_SETTINGS))
        expected = [{"setting": slot, "tried": complete[slot].params, "validation": complete[slot].value} for slot in sorted(complete)]
        assert found["folds"][fold]["settings"] == expected


def check_values(workdir: Path, prepared: PreparedCorpus) -> None:
    """Assert that every third setting, trained again without a kill, has the same score."""
    found = json.loads((workdir / "search.json").read_text())
    plan = make_plan(small_config(workdir, **FIELDS), prepared)
    asked = [Setting(fold["index"], one["setting"], -1, one["tried"]) for fold in found["folds"] for one in fold["settings"][::3]]

    class Silent:
        n = initial = 0

        def refresh(self):
            pass

        def set_postfix_str(self, text, refresh):
            pass

    values = Trainer(plan, StopRequest(), Silent()).train(0, asked)  # type: ignore[arg-type]
    stored = {(fold["index"], one["setting"]): one["validation"] for fold in found["folds"] for one in fold["settings"][::3]}
    assert values == pytest.approx(stored, abs=1e-6)


def test_a_killed_search_on_sqlite_resumes_to_the_same_result(tmp_path):
    """One process, killed during a round: search.json equals that of an uninterrupted run, up to the id of the run."""
    straight, killed, sets = (tmp_path / name for name in ("straight", "killed", "sets"))
    sets.mkdir()
    corpus = only(small_corpus(sets), "audio")
    process = start("alone", killed, sets)
    address = f"sqlite:///{killed / 'search.db'}"
    wait_until(lambda: len(leases_in(address)) > 1, "a second lease", process)
    kill(process)
    process = start("alone", killed, sets)
    straight.mkdir()
    search(make_plan(small_config(straight, **FIELDS), corpus), RunDirectory(straight), {})
    finish(process, killed.with_suffix(".log"))
    check_every_setting_once(address, killed)
    # All but the run's id, byte for byte; the SHA-256 of the rest follows it.
    found, expected = ((folder / "search.json").read_text().partition('"sha256"')[2] for folder in (killed, straight))
    assert found == expected != ""
    attempts = Counter(entry["round"] for entry in leases_in(address))
    assert len(attempts) == NUM_SETTINGS // BATCH and sum(attempts.values()) > len(attempts)


@pytest.mark.long
def test_two_processes_on_postgresql_survive_five_kills(tmp_path):
    """A run and a second process that joins its search are killed at random moments and restarted: every setting is finished once."""
    rng, sets = random.Random(0), tmp_path / "sets"
    sets.mkdir()
    corpus = only(small_corpus(sets), "audio")
    with postgresql() as address:
        places = {"train": tmp_path / "run", "search": tmp_path / "worker"}
        processes = {mode: start(mode, place, sets, address) for mode, place in places.items()}
        for victims in (("train", "search"), ("search", "train"), ("train",)):
            before = len(leases_in(address))
            wait_until(lambda before=before: len(leases_in(address)) > before + 1, "two leases", *processes.values())
            for victim in victims:
                time.sleep(rng.uniform(0, 0.3))
                kill(processes[victim])
            for victim in victims:
                processes[victim] = start(victim, places[victim], sets, address)
        for mode, process in processes.items():
            finish(process, places[mode].with_suffix(".log"))
        check_every_setting_once(address, places["train"])
        leases = leases_in(address)
        taken_up = sum(entry["attempt"] > 0 for entry in leases)
        assert taken_up  # rounds that killed processes had leased
        assert len({entry["worker"] for entry in leases}) >= 3
        trained_twice = sum(trial.state.name == "FAIL" for trials in studies_of(address) for trial in trials)
        print(f"5 kills; {len(leases)} leases of {NUM_SETTINGS // BATCH} rounds, {taken_up} taken up; {trained_twice} slots filled twice")
    check_values(places["train"], corpus)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not [path for path in written if PASSWORD.encode() in path.read_bytes()]
    assert not (tmp_path / "worker").exists()  # a process that joins a search writes only into the storage
