"""The rows of a person's table of clips, by the roles of their columns."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

_SEPARATORS = (",", ";", "\t", "|")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: cells by role, "" where the table has no such column or the cell is empty; `where` names file and line for messages."""

    table: Path
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"{self.table}, line {self.line}"

    def __getitem__(self, role: str) -> str:
        return self.cells.get(role, "")


def read_rows(path: Path, *, roles: Sequence[str], needed: Sequence[str], columns: Sequence[str]) -> list[Row]:
    """Return the rows of a table; cells are trimmed text, all but files in Unicode's composed form.

    Args:
      path: a CSV file with a header, separated by commas, semicolons, tabs or bars.
      roles: names of the columns that are read, in any case.
      needed: those that must be there.
      columns: role=column for columns of other names.

    Raises:
      ValueError: no text table, a column that is not there, or a role that does not exist.
    """
    import pandas  # late: readers of other corpora do not need it

    try:
        header = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
        separator = max(_SEPARATORS, key=header.count)
        table = pandas.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False)
    except (ValueError, pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:  # an encoding's error is a ValueError
        raise ValueError(f"{path}: expected a table as UTF-8 text with a header and equally long rows: {error}") from error
    named = {str(column).strip().lower(): str(column) for column in table.columns}
    chosen = {role: named[role] for role in roles if role in named}
    for text in columns:
        role, equals, column = text.partition("=")
        if not equals or role not in roles:
            raise ValueError(f"--config.corpus.columns holds {text!r}; expected role=column with a role of {', '.join(roles)}")
        if column.strip().lower() not in named:
            raise ValueError(f"{path} has no column {column!r} (--config.corpus.columns); it has: {', '.join(map(str, table.columns))}")
        chosen[role] = named[column.strip().lower()]
    if missing := [role for role in needed if role not in chosen]:
        raise ValueError(
            f"{path} has no column {' and no column '.join(missing)}; it has: {', '.join(map(str, table.columns))}. Name them with "
            f"--config.corpus.columns=\"('{missing[0]}=COLUMN',)\""
        )
    found = []
    for line, values in enumerate(table[list(chosen.values())].itertuples(index=False), start=2):
        cells = {role: str(value).strip() for role, value in zip(chosen, values, strict=True)}
        cells |= {role: unicodedata.normalize("NFC", text) for role, text in cells.items() if role != "file"}  # a file has its own form
        if any(cells.values()):
            found.append(Row(path, line, cells))
    return found


def seconds(row: Row, role: str) -> float | None:
    """Return a cell's time in s, None where it is empty; "1.5", "1,5", "0:01.5" and "00:00:01.5" are one and a half.

    Raises:
      ValueError: it is no time; with its line.
    """
    text = row[role]
    try:
        parts = [float(part) for part in text.replace(",", ".").split(":")] if text else []
        if len(parts) > 3 or any(not 0 <= part < float("inf") for part in parts):
            raise ValueError
    except ValueError:
        raise ValueError(f"{row.where}: expected {role} in s or as hours:minutes:seconds, got {text!r}") from None
    return sum(part * 60**power for power, part in enumerate(reversed(parts))) if parts else None
