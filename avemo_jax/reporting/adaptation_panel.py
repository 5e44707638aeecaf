"""Table and curves of adaptation.json: a run that is given unlabelled or labelled clips of each test speaker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Column, Table, difference_cell, percent_column, pooled_cell, text_column
from avemo_jax.text import format_percent

# Whether a condition has own statistics -> name and style of its curve.
CURVES = {False: ("without own statistics", "first"), True: ("with own statistics (transductive)", "second")}
# Whether the tested clips say other sentences than the labelled ones -> title of the chart.
_TITLES = {False: "any sentences", True: "tested on other sentences than those of the labelled clips"}
_MACHINES = {
    "ridge": "The machine is fitted again with the labelled clips, each with the weight of so many training clips",
    "probabilities": (
        "The probabilities of the trained system are corrected by ridge regression on its errors at the labelled clips, each with a weight"
    ),
}


def adaptation_table(panel: Mapping[str, Any]) -> Table:
    """Return a table of every condition: what was given, metrics, differences from nothing, worst and best speaker, findings."""
    metrics = primary_metrics()
    columns = [
        text_column("sentences"),
        text_column("own statistics"),
        Column("labelled, a class"),
        Column("labelled, a speaker", "{:.1f}".format),
    ]
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
                *("other" if entry["other_sentences"] else "any", "yes" if entry["own_statistics"] else "no"),
                *(entry["num_labelled"], entry["labelled_clips"]["mean"], *pairs),
                *(entry["metrics"][first.name]["std_of_draws"], min(of_speakers), max(of_speakers), _weights(entry)),
                *(entry["protocol"], ", ".join(entry["findings"]) or "none"),
            ]
        )
    settings = panel["settings"]
    note = (
        f"{panel['system']} on {panel['corpus']}, in %: pooled over {settings['num_draws']} draws (seed {settings['seed']}) and "
        f"{panel['num_speakers']} test speakers, with 95 % intervals over speakers; Δ is the difference from the first row of the same "
        "sentences in points, paired over speakers; ± draws is the standard deviation over draws. In each draw these rows test the same "
        "clips: those that the largest number of labelled clips leaves, or those that say other sentences than the labelled clips. "
        f"{_MACHINES[panel['machine']]}, chosen on speakers outside of the test part, where the training part has several. "
        "Numbers with findings were given clips of the test speakers: compare them with nothing that was not"
    )
    return Table("adaptation", "Adaptation to the speaker", columns, rows, note)


def adaptation_charts(panel: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Draw UAR over the labelled clips of each class, with bands of 95 %, a curve without and one with own statistics.

    Returns:
      {"name", "title", "curves", "svg"} for any sentences, and where they were measured for other sentences than those of labelled clips;
      "curves" are name and style of each.
    """
    charts = []
    for other_sentences, title in _TITLES.items():
        lines = []
        for own_statistics, (name, style) in CURVES.items():
            kind = (own_statistics, other_sentences)
            entries = [one for one in panel["conditions"] if (one["own_statistics"], one["other_sentences"]) == kind]
            if entries:
                values = [entry["metrics"]["uar"] for entry in entries]
                bounds = [value["ci95"] or [value["pooled"]] * 2 for value in values]
                y, low, high = (100 * np.array(one) for one in ([value["pooled"] for value in values], *zip(*bounds, strict=True)))
                lines.append(Line(name, style, np.array([entry["num_labelled"] for entry in entries]), y, low, high))
        if lines:
            svg = line_chart(
                lines,
                title=f"UAR of {panel['system']} by labelled clips of the test speaker, {title}",
                x_name="labelled clips a class of the test speaker",
                y_name="UAR, %",
                y_range=(0, 100),
                level=("chance", 100 / len(panel["classes"])),
            )
            name = "adaptation_other_sentences" if other_sentences else "adaptation"
            charts.append({"name": name, "title": title, "curves": [(line.name, line.style) for line in lines], "svg": svg})
    return charts


def _weights(entry: Mapping[str, Any]) -> str | None:
    weights = sorted({one["weight"] for one in entry["weights"]})
    if not entry["num_labelled"]:
        return None
    shown = f"{weights[0]:g}" if len(weights) == 1 else f"{weights[0]:g} to {weights[-1]:g}"
    return shown if all(one["is_chosen"] for one in entry["weights"]) else f"{shown}, not chosen"
