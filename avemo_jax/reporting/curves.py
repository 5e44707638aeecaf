"""Learning curves of a run, from metrics.jsonl."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.json_lines import read_rows
from avemo_jax.reporting.charts import STYLES, Line, line_chart


def learning_curves(path: Path, chance_uar: float) -> list[dict[str, Any]]:
    """Draw the curves of each stage: the mean over trials, and a band from the lowest to the highest.

    Args:
      path: of metrics.jsonl; a missing file has no curves.
      chance_uar: of predicting the most frequent class, drawn as a level.

    Returns:
      For each stage {"stage", "num_trials", "num_failed", "charts": [{"lines", "svg"}]}.
    """
    if not path.is_file():
        return []
    rows = read_rows(path)
    curves = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        own = [row for row in rows if row["stage"] == stage]
        losses = [_line(own, "train_loss", "training", "first"), _line(own, "val_loss", "validation", "second")]
        styles = itertools.cycle((*STYLES[1:], STYLES[0]))  # the style of validation comes first
        scores = [_line(own, f"val_{metric.name}", metric.title, style, 100) for metric, style in zip(primary_metrics(), styles)]  # noqa: B905
        scores += [_line(own, "train_uar", "UAR while training", "first", 100)]
        charts = []
        if lines := [line for line in losses if line is not None]:
            charts.append({"lines": lines, "svg": line_chart(lines, title=f"{stage}: loss by epoch", x_name="epoch", y_name="loss")})
        if lines := [line for line in scores if line is not None]:
            svg = line_chart(
                lines,
                title=f"{stage}: metrics by epoch, on the validation part and while training",
                x_name="epoch",
                y_name="%",
                y_range=(0, 100),
                level=("chance", 100 * chance_uar),
            )
            charts.append({"lines": lines, "svg": svg})
        if (line := _line(own, "val_ccc", "mean over dimensions", "first")) is not None:
            svg = line_chart([line], title=f"{stage}: validation CCC by epoch", x_name="epoch", y_name="validation CCC")
            charts.append({"lines": [line], "svg": svg})
        num_trials = len({row["trial"] for row in own})
        num_failed = len({row["trial"] for row in own if row.get("failed")})
        curves.append({"stage": stage, "num_trials": num_trials, "num_failed": num_failed, "charts": charts})
    return curves


def _line(rows: Sequence[Mapping[str, Any]], field: str, name: str, style: str, factor: float = 1) -> Line | None:
    by_epoch: dict[int, list[float]] = {}
    for row in rows:
        value = row.get(field)
        if value is not None and np.isfinite(value):
            by_epoch.setdefault(int(row["epoch"]), []).append(float(value))
    if not by_epoch:
        return None
    epochs = sorted(by_epoch)
    columns = [factor * np.array([function(by_epoch[epoch]) for epoch in epochs]) for function in (np.mean, np.min, np.max)]
    return Line(name, style, np.array(epochs), *columns)
