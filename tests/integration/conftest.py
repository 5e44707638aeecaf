"""Fixtures: the tiny demo, trained once a session for all tests that need a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_run import DemoRun


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    """Return the folder with the corpus and the prepared sets of all runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def trained(shelf):
    """Return a function: a system of `demo_run.STREAMS` -> its finished run and output; the first call trains it."""
    printed: dict[str, str] = {}

    def finished(system: str) -> tuple[DemoRun, str]:
        run = DemoRun(shelf, shelf / system, system)
        if system not in printed:
            printed[system] = run()
        return run, printed[system]

    return finished
