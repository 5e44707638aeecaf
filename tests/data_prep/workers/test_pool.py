"""Worker processes: outcomes do not depend on their number, and a bad task costs no other task.

Tasks are partials of library functions, run by `operator.call`: spawned processes can import those by name.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import os
import signal
import time

import pytest

from data_prep.workers import pool as workers
from data_prep.workers.lone_worker import LoneWorker, start_ahead, take_ahead
from data_prep.workers.pool import Crash, InTheWorker, WorkerError, WorkerPool, run_tasks

task = functools.partial


@pytest.mark.parametrize("num_workers", [1, 3])
def test_outcomes_do_not_depend_on_the_number_of_workers(num_workers):
    tasks = {str(number): task(math.sqrt, number) for number in range(20)}
    outcomes = dict(run_tasks(operator.call, tasks, num_workers=num_workers))
    assert outcomes == {str(number): math.sqrt(number) for number in range(20)}


def test_a_task_that_kills_its_worker_costs_only_itself():
    tasks = {"before": task(math.sqrt, 4), "killer": os.abort, "after": task(math.sqrt, 9)}
    outcomes = dict(run_tasks(operator.call, tasks, num_workers=1))
    assert outcomes == {"before": 2, "killer": Crash("the process that worked on it was ended by SIGABRT"), "after": 3}


def test_a_task_whose_worker_is_killed_once_is_tried_again(tmp_path):
    # the first attempt makes the folder and is killed; the second finds that there is one, and goes on
    flag = tmp_path / "flag"
    script = (
        f"import os, signal\nif not os.path.exists({str(flag)!r}):\n    os.mkdir({str(flag)!r})\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    outcomes = dict(run_tasks(operator.call, {"unlucky": task(exec, script)}, num_workers=1))
    assert flag.is_dir() and outcomes == {"unlucky": None}


def test_workers_killed_at_any_moment_leave_the_others_working():
    """As by the kernel's memory killer: a worker dies while it reads a task, works or sends a result. Pools with one pipe for all hang."""
    script = """
import os, random, signal, threading, time
threading.Thread(target=lambda: (time.sleep(random.random() * 2e-3), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
"""
    tasks = {str(number): task(exec, script, {}) if number % 3 == 0 else task(math.sqrt, number) for number in range(18)}
    outcomes = dict(run_tasks(operator.call, tasks, num_workers=2, time_limit_s=60))
    assert outcomes.keys() == tasks.keys()
    survivors = {name: outcome for name, outcome in outcomes.items() if not isinstance(outcome, Crash)}
    assert len(survivors) >= 12
    assert all(outcome == (None if int(name) % 3 == 0 else math.sqrt(int(name))) for name, outcome in survivors.items())


def test_a_task_over_its_time_is_ended_and_named():
    tasks = {"hangs": signal.pause, "works": task(math.sqrt, 4)}
    outcomes = dict(run_tasks(operator.call, tasks, num_workers=1, time_limit_s=0.5))
    assert outcomes == {"hangs": Crash("it takes longer than the limit for one segment"), "works": 2}


def test_progress_begins_the_time_limit_anew_for_a_day_at_most():
    script = "from data_prep.workers.pool import report_progress\nfor _ in range(3): report_progress()"
    assert dict(run_tasks(operator.call, {"long": task(exec, script, {})}, num_workers=1)) == {"long": None}
    job = workers.Job("long", 1, start_s=100.0, time_limit_s=30.0)
    assert job.deadline == 130
    assert dataclasses.replace(job, progress_s=120.0).deadline == 150
    assert dataclasses.replace(job, progress_s=1e6).deadline == 100 + 24 * 3600


def test_a_task_that_stops_after_progress_is_ended():
    script = "import signal\nfrom data_prep.workers.pool import report_progress\nreport_progress()\nsignal.pause()"
    (outcome,) = run_tasks(operator.call, {"hangs": task(exec, script, {})}, num_workers=1, time_limit_s=0.5)
    assert outcome == ("hangs", Crash("it takes longer than the limit for one segment"))


def test_memory_is_limited():
    big = {"big": task(bytearray, 300 << 20)}
    (outcome,) = run_tasks(operator.call, {"len": task(len, b"abc")}, num_workers=1, memory_limit_bytes=200 << 20)
    assert outcome == ("len", 3)
    with pytest.raises(WorkerError, match="big: MemoryError"):
        list(run_tasks(operator.call, big, num_workers=1, memory_limit_bytes=200 << 20))


def test_a_fault_of_the_program_ends_the_run_with_its_traceback():
    with pytest.raises(WorkerError, match="wrong: ValueError: math domain error"):
        list(run_tasks(operator.call, {"wrong": task(math.sqrt, -1)}, num_workers=2))


def test_a_lone_worker_raises_as_a_pool_does():
    worker = LoneWorker()
    try:
        for where, kind, message in (
            (functools.partial(worker.call, operator.call, task(math.sqrt, -1)), WorkerError, "call: ValueError: math domain error"),
            (functools.partial(worker.call, os.stat, "/no/such/file"), OSError, "stat: FileNotFoundError"),
        ):
            with pytest.raises(kind, match=message) as caught:
                where()
            assert isinstance(caught.value.__cause__, InTheWorker) and "Traceback" in str(caught.value.__cause__)
        assert worker.call(math.sqrt, 4) == 2
    finally:
        worker.stop()


def test_what_a_lone_worker_has_begun_runs_before_its_call_and_fails_no_call(tmp_path):
    start_ahead("math")
    worker = take_ahead(workers.MEMORY_LIMIT_BYTES)
    try:
        worker.begin(operator.call, task(math.sqrt, -1))
        worker.begin(os.chdir, tmp_path)
        assert worker.call(operator.call, os.getcwd) == str(tmp_path)
        worker.begin(operator.call, os.abort)
        assert worker.call(math.sqrt, 4) == 2
    finally:
        worker.stop()
    assert take_ahead(workers.MEMORY_LIMIT_BYTES) is not worker


def test_workers_end_when_the_iterator_is_closed():
    outcomes = run_tasks(operator.call, {"pid": os.getpid, "hangs": signal.pause}, num_workers=2)
    name, pid = next(outcomes)
    assert name == "pid"
    outcomes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_pool_reuses_its_idle_workers_and_ends_with_them():
    with WorkerPool() as pool:
        ((_, first),) = run_tasks(operator.call, {"pid": os.getpid}, num_workers=1, pool=pool)
        assert list(run_tasks(operator.call, {"pid": os.getpid}, num_workers=1, pool=pool)) == [("pid", first)]
        ((_, other),) = run_tasks(operator.call, {"pid": os.getpid}, num_workers=1, pool=pool, memory_limit_bytes=200 << 20)
        assert other != first  # a worker's limit is its own
        outcomes = dict(run_tasks(operator.call, {"killer": os.abort, "pid": os.getpid}, num_workers=1, pool=pool))
        assert isinstance(outcomes["killer"], Crash) and outcomes["pid"] != other
        os.kill(outcomes["pid"], 0)
    for pid in (first, other, outcomes["pid"]):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_pool_reuses_a_worker_that_is_still_starting(monkeypatch):
    started = []
    monkeypatch.setattr(workers, "Worker", lambda limit, make=workers.Worker: started.append(limit) or make(limit))
    with WorkerPool() as pool:
        for _ in range(2):  # the first to be ready does both tasks
            assert len(dict(run_tasks(operator.call, {"a": os.getpid, "b": os.getpid}, num_workers=2, pool=pool))) == 2
    assert len(started) == 2


def test_a_pool_stops_a_worker_that_is_still_at_a_task():
    with WorkerPool() as pool:
        outcomes = run_tasks(operator.call, {"pid": os.getpid, "hangs": signal.pause}, num_workers=1, pool=pool)
        _, pid = next(outcomes)
        outcomes.close()  # the next task is not assigned yet
        assert dict(run_tasks(operator.call, {"pid": os.getpid}, num_workers=1, pool=pool)) == {"pid": pid}
        outcomes = run_tasks(operator.call, {"hangs": signal.pause}, num_workers=1, time_limit_s=0.2, pool=pool)
        assert isinstance(dict(outcomes)["hangs"], Crash)
        assert dict(run_tasks(operator.call, {"pid": os.getpid}, num_workers=1, pool=pool)) != {"pid": pid}


def test_sigterm_ends_the_workers_and_raises():
    outcomes = run_tasks(operator.call, {"kill": task(os.kill, os.getpid(), signal.SIGTERM), "hangs": signal.pause}, num_workers=2)
    with pytest.raises(SystemExit):
        list(outcomes)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_no_workers_is_an_error():
    with pytest.raises(ValueError, match="num_workers of at least 1, got 0"):
        next(run_tasks(operator.call, {"a": time.time}, num_workers=0))
