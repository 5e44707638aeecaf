"""The list of defects to plant fits the tree, and the script tells a defect that is noticed from one that is not."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import mutants
from benchmarks.mutants import ROOT, Mutant, plant_all, read_mutants


def test_every_defect_can_be_planted():
    """Where a line has moved or changed, its entry in benchmarks/mutants.toml is changed with it."""
    wrong = []
    for mutant in read_mutants():
        try:
            mutant.planted(ROOT)
        except ValueError as error:
            wrong.append(str(error))
        wrong += [f"{mutant.name}: there is no {path}" for test in mutant.tests if not (ROOT / (path := test.split("::")[0])).is_file()]
    assert wrong == []


def test_defects_are_told_apart_by_their_tests(tmp_path, monkeypatch, capsys):
    (tmp_path / "half.py").write_text("def half(x):\n    return x / 2\n")
    (tmp_path / "test_half.py").write_text("from half import half\n\n\ndef test_half():\n    assert half(0) == 0\n")
    monkeypatch.setattr(mutants, "COPIED", ("half.py", "test_half.py"))
    ran = []

    def run_tests(folder, tests):
        space: dict = {}
        exec((folder / "half.py").read_text(), space)
        ran.append(tests)
        return (0, "") if space["half"](0) == 0 else (1, "")

    monkeypatch.setattr(mutants, "run_tests", run_tests)
    third = Mutant("a third", "half.py", "x / 2", "x / 3", ("test_half.py",))
    one_more = dataclasses.replace(third, name="one more", new="x / 2 + 1")
    assert plant_all([third, one_more], root=tmp_path) == {"a third": "SURVIVED", "one more": "caught"}
    assert len(ran) == 3 and "SURVIVED" in capsys.readouterr().out
    assert (tmp_path / "half.py").read_text().endswith("x / 2\n")
    for wrong in (dataclasses.replace(third, old="x"), dataclasses.replace(third, old="y / 2"), dataclasses.replace(third, file="none.py")):
        with pytest.raises(ValueError, match="'a third': expected the old text once"):
            plant_all([wrong], root=tmp_path)
