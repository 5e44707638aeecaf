"""Precision-recall curves of each class against all others, and their table, from a run's predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.predictions import PROBABILITY_DIGITS, PredictionSource
from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Column, Table, percent_column, text_column

_MOST_POINTS = 120  # of a curve; more cannot be seen


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """The curve of one class.

    Attributes:
      name: of the class.
      num_clips: rows with this label.
      share: of all rows, which is the precision of guessing.
      average_precision: the mean of the precision over recall, in steps.
      recall, precision: (P,), recall ascending from 0 to 1.
    """

    name: str
    num_clips: int
    share: float
    average_precision: float
    recall: np.ndarray
    precision: np.ndarray


def precision_recall(predictions: PredictionSource) -> list[PrecisionRecall]:
    """Return the curve of each class that occurs and is not all there is; rows of all folds and seeds are ranked together.

    A probability has six digits, so rows are counted by probability instead of being sorted, one trial after another.

    Source: scikit-learn's `precision_recall_curve` and `average_precision_score`, which interpolate nothing.
    """
    num_classes = len(predictions.classes)
    # (K, 2, 10^6 + 1): rows of other classes and of the class by the class's probability
    counts = np.zeros((num_classes, 2, 10**PROBABILITY_DIGITS + 1), dtype=np.int64)
    for trial in predictions.trials:
        part = predictions.part(*trial)
        digits = np.rint(part.probabilities * 10**PROBABILITY_DIGITS).astype(np.int64)
        for index in range(num_classes):
            is_class = part.label == index
            for rows, own in ((~is_class, counts[index, 0]), (is_class, counts[index, 1])):
                np.add.at(own, digits[rows, index], 1)
    return [_curve(name, *own) for name, own in zip(predictions.classes, counts, strict=True) if own[0].any() and own[1].any()]


def _curve(name: str, of_others: np.ndarray, of_class: np.ndarray) -> PrecisionRecall:
    found = np.flatnonzero(of_others + of_class)[::-1]  # the largest probability first
    right, chosen = np.cumsum(of_class[found]), np.cumsum(of_others[found] + of_class[found])
    precision, recall = np.r_[1.0, right / chosen], np.r_[0.0, right / right[-1]]
    kept = np.unique(np.linspace(0, len(recall) - 1, min(len(recall), _MOST_POINTS)).round().astype(int))
    average = float(np.sum(np.diff(recall) * precision[1:]))
    share = float(right[-1] / chosen[-1])
    return PrecisionRecall(name, int(right[-1]), share, average, recall[kept], precision[kept])


def precision_recall_charts(curves: Sequence[PrecisionRecall]) -> list[dict[str, Any]]:
    """Draw a chart for each class: {"name", "average_precision", "svg"}; its level is the precision of guessing."""
    charts = []
    for one in curves:
        svg = line_chart(
            [Line(one.name, "first", 100 * one.recall, 100 * one.precision)],
            title=f"{one.name}: precision by recall",
            x_name="recall, %",
            y_name="precision, %",
            y_range=(0, 100),
            level=("guessing", 100 * one.share),
        )
        charts.append({"name": one.name, "average_precision": one.average_precision, "svg": svg})
    return charts


def precision_recall_table(curves: Sequence[PrecisionRecall]) -> Table:
    """Return a table of average precision by class, and its mean."""
    columns = [text_column("class"), Column("clips"), percent_column("guessing"), percent_column("average precision")]
    rows: list[list[Any]] = [[one.name, one.num_clips, one.share, one.average_precision] for one in curves]
    rows.append(["mean", None, *(float(np.mean([getattr(one, key) for one in curves])) for key in ("share", "average_precision"))])
    note = (
        "in %; each class against all others, rows of all folds and seeds ranked together by the probability of the class; guessing has "
        "the class's share of the clips as its precision"
    )
    return Table("precision_recall", "Average precision", columns, rows, note)
