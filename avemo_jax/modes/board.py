"""The mode `board`: all runs of a folder as one page, one table for the terminal, and CSV and LaTeX."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.atomic import read_json
from avemo_jax.reporting.board import SORTING, WantedRow, board_tables, find_runs, read_board
from avemo_jax.reporting.pages import inline_script, write_page
from avemo_jax.reporting.tables import Table, table_text, write_tables
from avemo_jax.text import count_of

_ON_TERMINAL = ("system", "corpus", "protocol", "test speakers", "folds x seeds", "UAR", "UAR, pooled", "classical baseline, UAR", "run")


def board(
    runs: Sequence[str],
    *,
    output: str | None = None,
    wanted: Callable[[Sequence[Mapping[str, Any]]], Sequence[WantedRow]] = lambda configs: (),
) -> Path:
    """Write board.html and tables/ of all finished runs, print a short form, and return the path of the page.

    Args:
      runs: run directories, folders that hold some, and patterns such as "runs/*".
      output: folder; default: `runs/board`.
      wanted: the configs of the runs to all systems that there could be, and what is missing to run them.

    Raises:
      ValueError: no run is named, or none has results.
      FileNotFoundError: a pattern names no run directory.
    """
    if not runs:
        raise ValueError("--mode=board needs the runs to show: --runs='runs/*' (patterns and folders, separated by commas)")
    folder = Path(output) if output else Path("runs") / "board"
    rows, without = read_board([one for one in find_runs(runs) if one.resolve() != folder.resolve()])
    if not rows:
        reasons = "; ".join(without[:3])
        raise ValueError(f"none of {count_of(len(without), 'run directory')} has results: {reasons}")
    folder.mkdir(parents=True, exist_ok=True)
    tables = board_tables(rows, folder, wanted([read_json(one / "config.json") for one in dict.fromkeys(row.folder for row in rows)]))
    write_tables(folder / "tables", tables)
    path = folder / "board.html"
    write_page(path, "board.html.j2", tables=tables, without=without, **inline_script(SORTING))
    for table in tables:
        print(table_text(_short(table)))
    for reason in without:
        print(f"not on the board: {reason}")
    print(f"page: {path}; tables as CSV and LaTeX: {folder / 'tables'}")
    return path


def _short(table: Table) -> Table:
    """Return a table without the columns that are too wide for a terminal; those of the other tables are all kept."""
    titles = [column.title for column in table.columns]
    if table.name == "runs":
        kept = [number for number, title in enumerate(titles) if title in _ON_TERMINAL]
    elif table.name.startswith("uar-"):  # protocols that a run has
        kept = [number for number in range(len(titles)) if any(row[number] not in (None, "not run") for row in table.rows)]
    else:
        return table
    rows = [[row[number] for number in kept] for row in table.rows]
    return dataclasses.replace(table, columns=[table.columns[number] for number in kept], rows=rows, note=f"{table.note}; more on the page")
