"""Predictions that differ, or that one side lacks, are found."""

import pytest

from benchmarks.same_numbers import RUNS, differences
from configs import demo


@pytest.mark.parametrize(("before", "after", "found"), [("a,1\n", "a,1\n", []), ("a,1\n", "a,2\n", ["run"]), ("a,1\n", None, ["run"])])
def test_only_equal_bytes_are_the_same(tmp_path, before, after, found):
    for side, content in (("before", before), ("after", after)):
        (tmp_path / side).mkdir()
        if content is not None:
            (tmp_path / side / "run.csv").write_text(content)
    assert differences(tmp_path / "before", tmp_path / "after") == found


def test_every_run_is_a_system_of_the_demo():
    assert {system for system, _ in RUNS.values()} <= set(demo.SYSTEMS)
