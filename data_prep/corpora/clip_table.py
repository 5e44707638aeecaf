"""The rows of a person's table of clips, by the roles of their columns."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from avemo_jax.decimal_marks import NO_VALUE
from avemo_jax.foreign_table import ForeignTable, read_foreign_table, seconds


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: cells by role, "" where the table has no such column or the cell is empty; `where` names file and line for messages."""

    table: ForeignTable
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.table.path}, line {self.line}"

    def __getitem__(self, role: str) -> str:
        return self.cells.get(role, "")


def read_rows(path: Path, *, roles: Sequence[str], needed: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """Return the rows of a table; cells are trimmed text, all but files in Unicode's composed form.

    Args:
      path: a table, see `foreign_table`.
      roles: names of the columns that are read, in any case.
      needed: those that must be there.
      columns: role=column for columns of other names.

    Raises:
      ValueError: no text table, a column that is not there, or a role that does not exist.
    """
    table = read_foreign_table(path)
    named = {column.lower(): column for column in table.columns}
    chosen = {role: named[role.lower()] for role in roles if role.lower() in named}
    for text in columns:
        role, equals, column = text.partition("=")
        if not equals or role not in roles:
            raise ValueError(f"--config.corpus.columns holds {text!r}; expected role=column with a role of {', '.join(roles)}")
        if column.strip().lower() not in named:
            raise ValueError(f"{path} has no column {column!r} (--config.corpus.columns); it has: {', '.join(table.columns)}")
        chosen[role] = named[column.strip().lower()]
    if missing := [role for role in needed if role not in chosen]:
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}; it has: {', '.join(table.columns)}. Name them with "
            f"--config.corpus.columns=\"('{missing[0]}=COLUMN',)\""
        )
    found = []
    for line, values in table.rows():
        cells = {role: values[column] for role, column in chosen.items()}
        cells |= {role: unicodedata.normalize("NFC", text) for role, text in cells.items() if role != "file"}  # a file has its own form
        if any(cells.values()):
            found.append(Row(table, line, cells))
    return found


def time_s(row: Row, role: str) -> float | None:
    """Return a cell's time in s, None where it is empty; "1.5", "1,5", "0:01.5", "00:00:01.5" and "0 days 00:00:01.5" are one and a half.

    Raises:
      ValueError: it is no time; with its line.
    """
    found = seconds(row[role])
    if found is not None and not 0 <= found < float("inf"):
        raise ValueError(f"{row.where}: expected {role} in s or as hours:minutes:seconds, got {row[role]!r}")
    return found


def rating(row: Row, role: str) -> str:
    """Return a cell's rating as the text of a number with a decimal point, "" where the cell has none ("", "NA").

    Raises:
      ValueError: it is no finite number; with its line.
    """
    if row[role].lower() in NO_VALUE:
        return ""
    value = row.table.number(row[role])
    if not math.isfinite(value):
        raise ValueError(f"{row.where}: expected a number as {role}, or an empty cell for a clip without a rating, got {row[role]!r}")
    return str(value)
