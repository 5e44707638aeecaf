"""Fixtures: the tiny demo, trained once a session for all tests that need a finished run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from demo_run import DemoRun


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    """Return the folder with the corpus and the prepared sets of all runs, one for all processes of the tests: preparing takes turns."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "demo"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def trained(shelf, tmp_path_factory):
    """Return a function: a system of `demo_run.STREAMS` -> its finished run and output; the first call trains it."""
    runs, printed = tmp_path_factory.mktemp("runs"), {}

    def finished(system: str) -> tuple[DemoRun, str]:
        run = DemoRun(shelf, runs / system, system)
        if system not in printed:
            printed[system] = run()
        return run, printed[system]

    return finished
