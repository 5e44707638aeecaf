"""A call in a process of its own: what it leaves, what it raises, how it may die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avemo_jax.failures import Unexpected
from data_prep.workers.own_process import run_in_own_process

# What the processes run; they find this module by its file's place among the tests.
HERE = Path(__file__).parent


def leave(config):
    """Write down what the process sees."""
    Path(config["path"]).write_text(f"{os.getpid()} {os.environ.get('XLA_FLAGS')}")


def fail(config):
    raise {"value": ValueError, "file": FileNotFoundError, "fault": RuntimeError, "type": TypeError}[config["kind"]]("two words")


def die(config):
    os.kill(os.getpid(), signal.SIGKILL)


def wait(config):
    """Say that it waits, and wait for its end."""
    Path(config["path"]).write_text(str(os.getpid()))
    time.sleep(600)


@pytest.fixture(autouse=True)
def findable(monkeypatch):
    """The functions by the name that a new interpreter can import them by."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{Path.cwd()}")


def functions():
    import test_own_process

    return test_own_process


def test_what_it_does_is_done_elsewhere_and_without_the_flags_of_training(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=1")
    run_in_own_process(functions().leave, {"path": str(tmp_path / "seen")})
    pid, flags = (tmp_path / "seen").read_text().split()
    assert int(pid) != os.getpid() and flags == "None"
    assert os.environ["XLA_FLAGS"] == "--xla_force_host_platform_device_count=1"


def test_it_can_have_flags_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    given = "--xla_force_host_platform_device_count=2"
    run_in_own_process(functions().leave, {"path": str(tmp_path / "seen")}, compiler_flags=given)
    assert (tmp_path / "seen").read_text().split()[1] == given
    assert "XLA_FLAGS" not in os.environ


@pytest.mark.parametrize(("kind", "error"), [("value", ValueError), ("file", OSError), ("fault", RuntimeError)])
def test_what_it_raises_is_raised_here_and_says_where(kind, error):
    with pytest.raises(error, match=r"^two words$") as caught:
        run_in_own_process(functions().fail, {"kind": kind})
    assert "in fail" in str(caught.value.__cause__)


def test_a_fault_of_the_program_has_its_traceback_as_the_cause():
    with pytest.raises(Unexpected, match=r"^fail: TypeError: two words$") as caught:
        run_in_own_process(functions().fail, {"kind": "type"})
    assert "in fail" in str(caught.value.__cause__)


def test_a_process_that_dies_is_told():
    with pytest.raises(RuntimeError, match=r"runs die died with exit code -9; it may have run out of memory"):
        run_in_own_process(functions().die, {})


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs are started without
sys.path.insert(0, {here!r})
from data_prep.workers.own_process import run_in_own_process
from test_own_process import wait
if __name__ == "__main__":
    run_in_own_process(wait, {{"path": {path!r}}})
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_the_process_that_asked(tmp_path, number):
    """Killed, the parent can tell nobody; on Ctrl-C, which reaches both, the process leaves the talking to its parent."""
    program, path = tmp_path / "parent.py", tmp_path / "pid"
    program.write_text(PARENT.format(here=str(HERE), path=str(path)))
    parent = subprocess.Popen([sys.executable, str(program)], stderr=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(600):
        if path.exists() and path.read_text():
            break
        time.sleep(0.05)
    child = int(path.read_text())
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, printed = parent.communicate(timeout=60)
    for _ in range(600):
        if not is_running(child):
            break
        time.sleep(0.05)
    assert not is_running(child)
    if number == signal.SIGINT:
        assert printed.count("KeyboardInterrupt") == 1


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
