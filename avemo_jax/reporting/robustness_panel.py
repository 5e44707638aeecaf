"""Table and charts of robustness.json: every condition, and UAR over the amount of each kind of degradation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Column, Table, difference_cell, pooled_cell, text_column

_TITLES = {
    "noise": "white noise",
    "codec": "Opus",
    "occlusion": "a grey rectangle over the picture",
    "frame_drop": "lost frames",
}


def panel_table(panel: Mapping[str, Any]) -> Table:
    """Return a table of every condition: primary metrics, differences from clean, the classical baseline, clips lost."""
    metrics = [metric for metric in primary_metrics() if metric.name in panel["clean"]["metrics"]]

    def row(name: str, entry: Mapping[str, Any], num_lost: int) -> list[Any]:
        differences = entry.get("difference", {})
        pairs = [(entry["metrics"][metric.name], differences.get(metric.name)) for metric in metrics]
        baseline = entry["baseline"] and entry["baseline"]["metrics"][metrics[0].name]
        return [name, *(value for pair in pairs for value in pair), baseline, num_lost]

    rows = [row("clean", panel["clean"], 0), *(row(entry["condition"], entry, entry["num_lost"]) for entry in panel["conditions"])]
    columns = [text_column("condition")]
    for metric in metrics:
        columns += [Column(metric.title, pooled_cell), Column(f"Δ {metric.title}", difference_cell)]
    columns += [Column(f"baseline {metrics[0].title}", pooled_cell), Column("clips lost")]
    left_out = "; ".join(f"{one['condition']} left out: {one['reason']}" for one in panel["left_out"])
    note = (
        f"the checkpoints of {panel['system']} on {panel['corpus']}, protocol {panel['protocol']}, in %: pooled [95 % interval over "
        "speakers]; Δ is the difference from clean in points, paired over speakers. The classical baseline is fitted on clean sound"
    )
    return Table("robustness", "Robustness", columns, rows, f"{note}. {left_out}" if left_out else note)


def panel_charts(panel: Mapping[str, Any], chance_uar: float) -> list[dict[str, Any]]:
    """Draw UAR over the amount for each kind with several amounts: {"title", "svg", "has_baseline"} each."""
    charts = []
    for kind in dict.fromkeys(entry["kind"] for entry in panel["conditions"] if entry["unit"]):
        entries = sorted((entry for entry in panel["conditions"] if entry["kind"] == kind), key=lambda entry: entry["amount"])
        if len(entries) < 2:
            continue
        scale, unit = (100, "%") if entries[0]["unit"] == "share" else (1, entries[0]["unit"])
        amounts = [scale * entry["amount"] for entry in entries]
        if scale == 100:  # a share of zero is the clean condition
            amounts, entries = [0.0, *amounts], [panel["clean"], *entries]
        lines = [_line("system", "second", amounts, entries)]
        has_baseline = all(entry["baseline"] for entry in entries)
        if has_baseline:
            lines.append(_line("classical baseline", "third", amounts, [entry["baseline"] for entry in entries]))
        svg = line_chart(
            lines,
            title=f"UAR under {_TITLES[kind]}",
            x_name=f"{_TITLES[kind]}, {unit}",
            y_name="UAR, %",
            y_range=(0, 100),
            level=("chance", 100 * chance_uar),
        )
        charts.append({"title": _TITLES[kind], "svg": svg, "has_baseline": has_baseline})
    return charts


def _line(name: str, style: str, amounts: list[float], entries: list[Any]) -> Line:
    values = [entry["metrics"]["uar"] for entry in entries]
    bounds = [value["ci95"] or [value["pooled"]] * 2 for value in values]
    y, low, high = (100 * np.array(one) for one in ([value["pooled"] for value in values], *zip(*bounds, strict=True)))
    return Line(name, style, np.array(amounts), y, low, high)
