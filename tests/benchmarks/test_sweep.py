"""The benchmark of sweeps: many settings share one program, and it prints all rows."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks import start, sweep


@pytest.mark.long  # a whole run of a script that measures
def test_settings_are_one_program(monkeypatch, capsys):
    monkeypatch.setitem(sweep.SYSTEMS, "small_audio", ("small_audio", {"audio": (4, 20)}, "audio"))
    monkeypatch.setattr(
        sys, "argv", ["sweep", "--system", "small_audio", "--settings", "2", "--folds", "3", "--clips", "48", "--epochs", "2"]
    )
    sweep.main()
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if re.match(r" +\d", line)]
    assert [int(row[0]) for row in rows] == [3, 6]
    assert [int(row[4]) for row in rows] == [1, 1]  # an epoch is one program
    assert "2 settings cost" in out and "times by the epoch" in out


@pytest.mark.parametrize("system", ["small_audio"])
def test_phases_of_a_start_are_measured(system, monkeypatch):
    monkeypatch.setitem(start.SYSTEMS, system, ({"audio": (4, 20)}, "audio"))
    phases = start.one_process(system, 80, "")
    assert tuple(phases) == start.PHASES and all(seconds >= 0 for seconds in phases.values())
