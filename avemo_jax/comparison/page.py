"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from avemo_jax.atomic import atomic_file
from avemo_jax.comparison.shown import RULES, interval
from avemo_jax.reporting.charts import Interval, interval_chart
from avemo_jax.reporting.pages import page_environment
from avemo_jax.reporting.tables import Table

_MOST_CHARACTERS = 34  # of a name in the chart, as many as a phone has room for beside the numbers


def write_page(path: Path, found: Mapping[str, Any], tables: Sequence[Table]) -> None:
    """Write compare.html from the content of compare.json and the tables made of it."""
    page = (
        page_environment(Path(__file__).parent)
        .get_template("compare.html.j2")
        .render(
            found=found,
            tables={table.name: table for table in tables},
            chart=_systems(found),
            differences=[_differences(pair) for pair in found["pairs"]],
        )
    )
    with atomic_file(path) as stream:
        stream.write(page)


def _systems(found: Mapping[str, Any]) -> Markup:
    """UAR of all systems and fusions with their intervals."""
    rows = [_row(entry["name"], "first", entry["metrics"]["uar"]) for entry in found["entries"]]
    several = len({tuple(one["members"]) for one in found["fusions"]}) > 1
    for one in found["fusions"]:
        of = f" of {' + '.join(one['members'])}" if several else ""
        rows.append(_row(f"{RULES[one['rule']]}{of}", "second", one["metrics"]["uar"]))
    chance = ("chance", 100 * found["chance"]["uar"])
    return interval_chart(rows, title="UAR of each system with its 95 % interval", x_name="UAR, %", x_range=(0, 100), level=chance)


def _row(name: str, style: str, value: Mapping[str, Any]) -> Interval:
    low, high = (100 * end for end in value["ci95"]) if value["ci95"] else (None, None)
    shown = name if len(name) <= _MOST_CHARACTERS else f"{name[: _MOST_CHARACTERS - 1]}…"
    return Interval(f"{interval(value)}  {shown}", style, 100 * value["pooled"], low, high)


def _differences(pair: Mapping[str, Any]) -> dict[str, Any]:
    """Clips that one of a pair alone has right, speaker by speaker, as bars to the left and to the right."""
    speakers = pair["by_speaker"]
    most = max(max(one["first_alone"], one["second_alone"]) for one in speakers.values()) or 1
    rows = [
        {"speaker": name, "first": one["first_alone"], "second": one["second_alone"], "num_clips": one["num_clips"]}
        for name, one in speakers.items()
    ]
    return {"first": pair["first"], "second": pair["second"], "rows": rows, "most": most}
