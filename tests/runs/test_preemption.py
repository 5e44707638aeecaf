"""Signals: handled from the first import on, sent again where nothing has read them, and never seen by worker processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avemo_jax.runs import preemption
from avemo_jax.runs.preemption import STOP_SIGNALS, Stopped, listen, stop_on_signals
from data_prep.workers.pool import signals_blocked

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def handlers_from_before(monkeypatch):
    monkeypatch.setattr(preemption, "_received", None)
    monkeypatch.setattr("sys.unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:  # a shell that starts the tests in the background has SIGINT ignored
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_raises_outside_of_a_loop_and_is_remembered(number):
    stop_on_signals(at_once=False)
    with pytest.raises(Stopped) as caught:
        signal.raise_signal(number)
    assert caught.value.signal_number == preemption.signal_of(caught.value) == preemption.signal_of(RuntimeError()) == number


def test_ignored_signals_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_on_signals(at_once=False)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_loop_that_reads_the_request_saves_first(number):
    stop_on_signals(at_once=False)
    with pytest.raises(ZeroDivisionError), listen() as stop:
        signal.raise_signal(number)
        assert stop.signal_number == number
        raise ZeroDivisionError  # in place of Preempted


def test_a_signal_that_nothing_has_read_is_not_lost():
    stop_on_signals(at_once=False)
    with pytest.raises(Stopped), listen():
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_a_library_has_swallowed_stops_the_next_loop():
    stop_on_signals(at_once=False)
    with contextlib.suppress(Stopped):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), listen() as stop:
        assert stop.signal_number == signal.SIGTERM
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "body",
    [
        "stop_on_signals(at_once=True); signal.raise_signal(number)",
        "stop_on_signals(at_once=False); import stopping",
        "stop_on_signals(at_once=False)\ntry: signal.raise_signal(number)\nexcept Stopped: signal.raise_signal(number)",
        "stop_on_signals(at_once=False)\nclass Closed:\n  def __del__(self): signal.raise_signal(number)\ndel (closed := [Closed()])[0]",
    ],
    ids=["at once", "in an import", "the second signal", "in a finaliser"],
)
def test_the_process_ends_with_a_sentence_where_an_exception_would_be_lost(body, tmp_path):
    (tmp_path / "stopping.py").write_text("import signal\ntry: signal.raise_signal(10)\nexcept BaseException: pass\nprint('lost')\n")
    program = f"import signal, sys; number = signal.SIGUSR1\nfrom avemo_jax.runs.preemption import *\n{body}\nprint('went on')"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-S", "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGUSR1, "")
    assert done.stderr == "stopped by SIGUSR1; the same command continues from what is saved\n"


def test_processes_that_are_started_meanwhile_do_not_see_what_their_parent_decides():
    show = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    with signals_blocked():
        done = subprocess.run([sys.executable, "-S", "-c", show], capture_output=True, text=True)
    assert "SIGINT" in done.stdout and "SIGUSR1" in done.stdout and "SIGTERM" not in done.stdout
    assert not {signal.SIGINT, signal.SIGUSR1} & signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_first_thing_that_the_program_does_is_to_handle_signals():
    before = (ROOT / "run.py").read_text().split("stop_on_signals(at_once=True)")[0].split('"""')[2]
    assert [line for line in before.splitlines() if line.startswith(("import", "from"))] == [
        "from __future__ import annotations",
        "import sys",
        "from avemo_jax.runs.preemption import signal_of, stop_on_signals, stopped",
    ]
