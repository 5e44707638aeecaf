"""Precision-recall curves of a few hand-made predictions."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.reporting.precision_recall import precision_recall, precision_recall_charts, precision_recall_table


def made(of_happy: list[float], label: list[int]) -> Predictions:
    num = len(label)
    names = {name: np.array([f"{name}{row}" for row in range(num)]) for name in ("clip", "speaker")}
    first = np.array(of_happy)
    probabilities = np.stack([1 - first, first, np.zeros(num)], axis=1)
    return Predictions(
        **names, gender=np.full(num, "unknown"), fold=np.full(num, "fold1"), seed=np.zeros(num), label=np.array(label),
        probabilities=probabilities, classes=("sad", "happy", "calm"),
    )  # fmt: skip


def test_a_curve_is_that_of_one_class_against_the_rest():
    # Ranked by the probability of happy: happy, sad, happy, sad.
    curves = precision_recall(made([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]))
    assert [one.name for one in curves] == ["sad", "happy"]  # no clip is calm
    happy = curves[1]
    np.testing.assert_allclose(happy.recall, [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(happy.precision, [1, 1, 0.5, 2 / 3, 0.5])
    assert happy.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3) and (happy.num_clips, happy.share) == (2, 0.5)
    table = precision_recall_table(curves)
    assert table.cells[1] == ["happy", "2", "50.0", "83.3"] and table.cells[-1][0] == "mean"
    assert 'aria-label="happy: precision by recall"' in precision_recall_charts(curves)[1]["svg"]


def test_long_curves_keep_their_ends():
    label = np.arange(2000) % 2
    (_, happy) = precision_recall(made(list(np.round(np.linspace(0.001, 0.999, 2000), 6)), list(label)))
    assert len(happy.recall) == 120 and (happy.recall[0], happy.recall[-1]) == (0, 1) and (np.diff(happy.recall) >= 0).all()
