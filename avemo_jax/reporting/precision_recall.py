"""Precision-recall curves of each class against all others, and their table, from a run's predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.predictions import Predictions
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


def precision_recall(predictions: Predictions) -> list[PrecisionRecall]:
    """Return the curve of each class that occurs and is not all there is; rows of all folds and seeds are ranked together.

    Source: scikit-learn's `precision_recall_curve` and `average_precision_score`, which interpolate nothing.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve  # late: it is slow

    found = []
    for index, name in enumerate(predictions.classes):
        is_class, probability = predictions.label == index, predictions.probabilities[:, index]
        if is_class.all() or not is_class.any():
            continue
        precision, recall, _ = precision_recall_curve(is_class, probability)
        kept = np.unique(np.linspace(0, len(recall) - 1, min(len(recall), _MOST_POINTS)).round().astype(int))[::-1]
        average = float(average_precision_score(is_class, probability))
        found.append(PrecisionRecall(name, int(is_class.sum()), float(is_class.mean()), average, recall[kept], precision[kept]))
    return found


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
