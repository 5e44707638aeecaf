"""The table of fusions: each row's score, and the difference of a missing stream from the system of the streams that are left."""

from __future__ import annotations

import numpy as np
import pytest
from small_experiment import BOTH, small_config, small_corpus

from benchmarks.fusions import ALL, Row, lines, rows_of

RIGHT, WRONG = np.array([[2.0, 0], [0, 2]]), np.array([[0, 2.0], [2, 0]])  # confusion matrices of a speaker


def sums(*speakers: np.ndarray) -> np.ndarray:
    return np.stack(speakers)


def test_a_missing_stream_is_compared_with_the_system_of_the_other_one():
    rows = [
        Row("audio alone", "", {ALL: 0.5}, {ALL: sums(RIGHT, WRONG)}),
        Row("video alone", "", {ALL: 0.25}, {ALL: sums(WRONG, WRONG)}),
        Row(
            "gated",
            "dropout 0.5",
            {ALL: 1.0, "without audio": 0.0, "without video": 0.5},
            {ALL: sums(RIGHT, RIGHT), "without audio": sums(WRONG, WRONG), "without video": sums(RIGHT, RIGHT)},
        ),
    ]
    found = list(lines(rows, BOTH))
    assert found[2] == "| audio alone |  | 50.0 | 50.0 | 50.0 |  |  |"
    assert found[4].startswith("| gated | dropout 0.5 | 100.0, 0.0, 50.0 | 50.0 | 100.0 | 0.0 (+0.0 [") and "| 100.0 (+50.0 [" in found[4]


@pytest.mark.long
def test_every_recipe_of_a_fusion_is_measured_with_each_stream_missing(tmp_path):
    experiment = small_config(tmp_path / "run", system__streams=BOTH, train__stages=(*BOTH, "fused"))
    rows = list(rows_of(experiment, small_corpus(tmp_path, BOTH), ("gated",), 0.5))
    assert [row.recipe for row in rows] == ["", "", "dropout 0", "dropout 0.5", "dropout 0.5, frozen branches"]
    assert [list(row.test) for row in rows[1:3]] == [[ALL], [ALL, "without audio", "without video"]]
    assert all(0 <= value <= 1 for row in rows for value in row.validation.values())
    whole, lacking = (rows[2].test[name].sum(axis=0) for name in (ALL, "without audio"))
    assert whole.sum() == lacking.sum() and not np.array_equal(whole, lacking)
