"""The page of a comparison: one HTML file without external resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from avemo_jax.comparison.tables import RULES
from avemo_jax.reporting.charts import Interval, interval_chart
from avemo_jax.reporting.pages import write_page
from avemo_jax.reporting.tables import Table, pooled_cell
from avemo_jax.text import shorten

_MOST_CHARACTERS = 34  # of a name in the chart, beside the numbers on a phone


def write_comparison(path: Path, found: Mapping[str, Any], tables: Sequence[Table]) -> None:
    """Write compare.html from the content of compare.json and its tables."""
    write_page(
        path,
        "compare.html.j2",
        Path(__file__).parent,
        found=found,
        tables={table.name: table for table in tables},
        chart=_systems(found),
        differences=[_differences(pair) for pair in found["pairs"]],
    )


def _systems(found: Mapping[str, Any]) -> Markup:
    """Draw UAR of all systems and fusions with their intervals."""
    rows = [_row(entry["name"], "first", entry["metrics"]["uar"]) for entry in found["entries"]]
    several = len({tuple(one["members"]) for one in found["fusions"]}) > 1
    for one in found["fusions"]:
        of = f" of {' + '.join(one['members'])}" if several else ""
        rows.append(_row(f"{RULES[one['rule']]}{of}", "second", one["metrics"]["uar"]))
    chance = ("chance", 100 * found["chance"]["uar"])
    return interval_chart(rows, title="UAR of each system with its 95 % interval", x_name="UAR, %", x_range=(0, 100), level=chance)


def _row(name: str, style: str, value: Mapping[str, Any]) -> Interval:
    low, high = (100 * end for end in value["ci95"]) if value["ci95"] else (None, None)
    return Interval(f"{pooled_cell(value)}  {shorten(name, _MOST_CHARACTERS)}", style, 100 * value["pooled"], low, high)


def _differences(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Clips that only one of a pair predicts correctly, by speaker, as bars to the left and to the right."""
    speakers = pair["by_speaker"]
    most = max(max(one["first_alone"], one["second_alone"]) for one in speakers.values()) or 1
    rows = [
        {"speaker": name, "first": one["first_alone"], "second": one["second_alone"], "num_clips": one["num_clips"]}
        for name, one in speakers.items()
    ]
    return {"first": pair["first"], "second": pair["second"], "rows": rows, "most": most}
