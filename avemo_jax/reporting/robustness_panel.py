"""How robustness.json is shown: one table, and for each kind of degradation a chart over its amount."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Table

_TITLES = {
    "noise": "white noise",
    "codec": "Opus",
    "occlusion": "a grey rectangle over the picture",
    "frame_drop": "lost frames",
}


def panel_table(panel: Mapping[str, Any]) -> Table:
    """Every condition with UAR, its difference from clean, WAR, the classical baseline, and clips that are lost."""
    clean = panel["clean"]
    baseline = clean["baseline"]
    rows = [["clean", _pooled(clean, "uar"), "", _pooled(clean, "war"), _pooled(baseline, "uar"), "0"]]
    for entry in panel["conditions"]:
        gap = entry["difference"]["uar"]
        change = f"{100 * gap['difference']:+.1f}" + _interval(gap["ci95"])
        lost = str(entry["num_lost"])
        rows.append([entry["condition"], _pooled(entry, "uar"), change, _pooled(entry, "war"), _pooled(entry["baseline"], "uar"), lost])
    left_out = "; ".join(f"{one['condition']} left out: {one['reason']}" for one in panel["left_out"])
    note = (
        f"{panel['system']} on {panel['corpus']}, protocol {panel['protocol']}, the same checkpoints, in %: pooled [95 % interval over "
        "speakers]; differences are paired over speakers. The classical baseline is fitted on clean sound"
    )
    return Table(
        name="robustness",
        title="Robustness",
        header=["condition", "UAR", "from clean", "WAR", "baseline UAR", "lost"],
        rows=rows,
        note=f"{note}. {left_out}" if left_out else note,
    )


def panel_charts(panel: Mapping[str, Any], chance_uar: float) -> list[dict[str, Any]]:
    """{"title", "svg", "has_baseline"} for each kind that has several amounts: UAR over the amount, clean at the mild end."""
    charts = []
    for kind in dict.fromkeys(entry["kind"] for entry in panel["conditions"] if entry["unit"]):
        entries = sorted((entry for entry in panel["conditions"] if entry["kind"] == kind), key=lambda entry: entry["amount"])
        if len(entries) < 2:
            continue
        scale, unit = (100, "%") if entries[0]["unit"] == "share" else (1, entries[0]["unit"])
        amounts = [scale * entry["amount"] for entry in entries]
        if scale == 100:  # of nothing hidden or lost, it is clean
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


def _pooled(measured: Mapping[str, Any] | None, metric: str) -> str:
    if measured is None:
        return "-"
    value = measured["metrics"][metric]
    return f"{100 * value['pooled']:.1f}" + _interval(value["ci95"])


def _interval(bounds: list[float] | None) -> str:
    return "" if bounds is None else f" [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"
