"""Table and curves of adaptation.json: a run that is given unlabelled or labelled clips of each test speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Column, Table, difference_cell, percent_column, pooled_cell, text_column
from avemo_jax.text import format_percent

# Whether a condition has own statistics -> name and style of its curve.
CURVES = {False: ("without own statistics", "first"), True: ("with own statistics (transductive)", "second")}
_MACHINES = {
    "ridge": "The machine is fitted again with the labelled clips, each with the weight of so many training clips",
    "probabilities": (
        "The probabilities of the trained system are corrected by ridge regression on its errors at the labelled clips, each with a weight"
    ),
}


def adaptation_table(panel: Mapping[str, Any]) -> Table:
    """Return a table of every condition: what was given, metrics, differences from nothing, worst and best speaker, findings."""
    metrics = primary_metrics()
    columns = [text_column("own statistics"), Column("labelled, a class"), Column("labelled, a speaker", "{:.1f}".format)]
    for metric in metrics:
        columns += [Column(metric.title, pooled_cell), Column(f"Δ {metric.title}", difference_cell)]
    first = metrics[0]
    columns += [
        *(Column(f"{first.title} ± draws", format_percent), percent_column("worst speaker"), percent_column("best speaker")),
        *(Column("weight"), text_column("protocol"), text_column("findings")),
    ]
    rows = []
    for entry in panel["conditions"]:
        of_speakers = [one[first.name] for one in entry["per_speaker"].values()]
        pairs = [value for metric in metrics for value in (entry["metrics"][metric.name], entry["difference"][metric.name])]
        rows.append(
            [
                *("yes" if entry["own_statistics"] else "no", entry["num_labelled"], entry["labelled_clips"]["mean"], *pairs),
                *(entry["metrics"][first.name]["std_of_draws"], min(of_speakers), max(of_speakers), _weights(entry)),
                *(entry["protocol"], ", ".join(entry["findings"]) or "none"),
            ]
        )
    settings = panel["settings"]
    note = (
        f"{panel['system']} on {panel['corpus']}, in %: pooled over {settings['num_draws']} draws (seed {settings['seed']}) and "
        f"{panel['num_speakers']} test speakers, with 95 % intervals over speakers; Δ is the difference from the first row in points, "
        "paired over speakers; ± draws is the standard deviation over draws. In each draw all rows test the same clips, those that the "
        f"largest number of labelled clips leaves. {_MACHINES[panel['machine']]}, chosen on speakers outside of the test part. Numbers "
        "with findings were given clips of the test speakers: compare them with nothing that was not"
    )
    return Table("adaptation", "Adaptation to the speaker", columns, rows, note)


def adaptation_chart(panel: Mapping[str, Any]) -> Markup:
    """Draw UAR over the labelled clips of each class, a curve without and one with own statistics, with bands of 95 %."""
    lines = []
    for own_statistics, (name, style) in CURVES.items():
        entries = [entry for entry in panel["conditions"] if entry["own_statistics"] == own_statistics]
        if entries:
            values = [entry["metrics"]["uar"] for entry in entries]
            bounds = [value["ci95"] or [value["pooled"]] * 2 for value in values]
            y, low, high = (100 * np.array(one) for one in ([value["pooled"] for value in values], *zip(*bounds, strict=True)))
            lines.append(Line(name, style, np.array([entry["num_labelled"] for entry in entries]), y, low, high))
    return line_chart(
        lines,
        title=f"UAR of {panel['system']} by labelled clips of the test speaker",
        x_name="labelled clips a class of the test speaker",
        y_name="UAR, %",
        y_range=(0, 100),
        level=("chance", 100 / len(panel["classes"])),
    )


def curve_names(panel: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and style of the curves that the chart has."""
    return [CURVES[key] for key in CURVES if any(entry["own_statistics"] == key for entry in panel["conditions"])]


def _weights(entry: Mapping[str, Any]) -> str | None:
    weights = sorted({one["weight"] for one in entry["weights"]})
    return None if not entry["num_labelled"] else f"{weights[0]:g}" if len(weights) == 1 else f"{weights[0]:g} to {weights[-1]:g}"
