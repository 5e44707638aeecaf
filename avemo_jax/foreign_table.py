"""Tables of other people: one reader for predictions, split lists, feature tables and labels, whatever program wrote them.

Text tables (CSV, TSV, a spreadsheet's export), JSON and JSON lines, and Parquet become one `ForeignTable` of strings. Text is read by
Python's csv module and not by pandas, which fills short rows in silence and does not tell lines.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import functools
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.csv_files import read_cell
from avemo_jax.decimal_marks import MARKS, NO_VALUE, decimal_mark, number, number_in, why_unread, without_percent
from avemo_jax.foreign_json import as_text, read_records
from avemo_jax.placeholders import placeholder
from avemo_jax.text import shorten_list

_LARGEST_BYTES = 2 << 30  # of a file; a table of 35 features for a million clips has half of it
_LONGEST_CELL = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ROWS_TO_JUDGE = 50  # that the separator is found by
_BYTE_ORDER_MARKS = (
    *((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)
# First bytes of files that are no tables, however they are named.
_OTHER_KINDS = {
    b"PK\x03\x04": "a spreadsheet or archive (zip); save the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the table as CSV",
    b"\x1f\x8b": "compressed (gzip); unpack it first",
}


class TableError(ValueError):
    """A table that cannot be read; the message states file, line, what was expected and what was found."""


@dataclasses.dataclass(frozen=True)
class ForeignTable:
    """A table of strings.

    Attributes:
      path: the file.
      columns: names of the columns, trimmed, all different; a column without a name is called "".
      lines: line of the file, or number of the record, of each row.
      cells: of each row, as many as columns, trimmed.
      decimal_mark: of its numbers, "." or ","; "" where all commas in numbers may separate thousands too.
      is_mark_declared: the user declared the mark; the other one then separates thousands.
      files: name of the file of each row, for a table of several files.
      notes: how the file was read where this is not comma-separated UTF-8, as phrases.
    """

    path: Path
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]
    decimal_mark: str = "."
    is_mark_declared: bool = False
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.cells)

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the line and column -> cell of each row."""
        return ((line, dict(zip(self.columns, row, strict=True))) for line, row in zip(self.lines, self.cells, strict=True))

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of a column, from the first row to the last."""
        index = self.columns.index(name)
        return tuple(row[index] for row in self.cells)

    @functools.cached_property
    def places(self) -> tuple[str, ...]:
        """Return the place of each row for messages: "line 3", or "fold2.csv, line 3" in a table of several files."""
        files = (f"{file}, " for file in self.files) if self.files else itertools.repeat("")
        return tuple(f"{file}line {line}" for file, line in zip(files, self.lines, strict=False))

    def number(self, cell: str) -> float:
        """Return the number that a cell holds, 0.5 for "50 %"; NaN where it holds none, or may mean two numbers."""
        return number_in(cell, self.decimal_mark, has_thousands=self.is_mark_declared)

    def finite(self, place: str, column: str, cell: str, *, flag: str, remedy: str = "") -> float:
        """Return the finite number that a cell holds.

        Args:
          place: of the row, see `places`.
          flag: that declares the decimal mark, without its value ("decimal"), for the message.
          remedy: what else helps.

        Raises:
          TableError: it holds none, its comma or point may mean two numbers, or only some cells of the column have a percent sign.
        """
        value, help_ = self.number(cell), f"; {remedy}" if remedy else ""
        if not math.isfinite(value):
            why = why_unread(cell, self.decimal_mark, flag) or help_
            raise TableError(f"{self.path}, {place}, column {column}: expected a finite number, found {cell!r}{why}")
        if cell.endswith("%") and (other := self._without_sign(column)):
            raise TableError(
                f"{self.path}, {place}, column {column}: found {cell!r} here and {other!r} elsewhere in the column; write a percent "
                f"sign in all of its cells, or in none{help_}"
            )
        return value

    def _without_sign(self, column: str) -> str | None:
        """The first number of a column without a percent sign."""
        if column not in self._numbers_without_sign:
            cells = (cell for cell in self.column(column) if without_percent(cell) == cell and math.isfinite(self.number(cell)))
            self._numbers_without_sign[column] = next(cells, None)
        return self._numbers_without_sign[column]

    @functools.cached_property
    def _numbers_without_sign(self) -> dict[str, str | None]:
        return {}

    def whole(self, cell: str) -> int | None:
        """Return the integer that a cell holds, also where it is written as 3.0; None where it holds none."""
        value = self.number(cell)
        return int(value) if math.isfinite(value) and value == int(value) else None


def seconds(cell: str) -> float | None:
    """Return the time in s that a text holds, NaN for another text, None for no time.

    Times are numbers ("1.5", "1,5"), h:mm:ss, and "0 days 00:00:02.5".
    """
    if cell.lower() in NO_VALUE:
        return None
    cell = cell.replace(",", ".")  # decimal commas; a time has no thousands
    days, found, rest = cell.partition("day")
    clock = rest.removeprefix("s").strip() if found else cell
    parts = clock.split(":") if clock else ["0"]
    total = sum(number(part) * 60**power for power, part in enumerate(reversed(parts)))
    return total + 86400 * number(days) if found else total


def read_foreign_table(path: Path, *, decimal: str = "") -> ForeignTable:
    """Read a table: CSV in any encoding, separator and form of numbers, JSON, JSON lines, or Parquet.

    Text is UTF-8, what its byte order mark says, or Windows-1252. A first line `sep=;` is honoured. Columns and rows at the end that are
    empty are left out, as spreadsheets append them; blanks around cells and single quotes around all of a column are removed.

    Args:
      decimal: "comma" or "point", the decimal mark of the numbers; "" finds it in the table.

    Raises:
      TableError: there is no such file, it is no table, a row has more or fewer cells than the header, or two columns have one name.
    """
    return _with_mark(_read(Path(path)), decimal)


def _read(path: Path) -> ForeignTable:
    if not path.is_file():
        raise TableError(f"{path}: there is no such file")
    if path.stat().st_size > _LARGEST_BYTES:
        raise TableError(f"{path}: expected a table of at most {_LARGEST_BYTES >> 30} GB, found {path.stat().st_size / 1e9:.1f} GB")
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        return _read_parquet(path, content)
    if what := placeholder(path) or next((what for start, what in _OTHER_KINDS.items() if content.startswith(start)), None):
        raise TableError(f"{path}: expected a table, found {what}")
    text, encoding = _decoded(path, content)
    if not text.strip():
        raise TableError(f"{path}: expected a header and rows, the file is empty")
    if text.lstrip().startswith(("{", "[")):
        return _read_json(path, text, encoding)
    return _read_text(path, text, encoding)


def _decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text, and the encoding where it is not UTF-8."""
    marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    start = content[:1000]
    if marked is None and b"\0" in start:
        if len(start) < 2 or min(start[::2].count(0), start[1::2].count(0)) > 0.1 * len(start) or start.count(0) < 0.2 * len(start):
            raise TableError(f"{path}: expected a table, found a binary file")
        marked = "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    for encoding in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            problem = error
            if encoding == "utf-8" and _is_mostly_utf8(content):
                break
            continue
        if "\0" in text:
            raise TableError(f"{path}: expected a table, found a binary file")
        return text, "" if encoding in ("utf-8", "utf-8-sig") else {"cp1252": "Windows-1252"}.get(encoding, encoding.upper())
    if b"\0" in content:
        raise TableError(f"{path}: expected a table, found a binary file")
    line = content[: problem.start].count(b"\n") + 1
    raise TableError(f"{path}, line {line}: expected text in UTF-8, UTF-16 or Windows-1252 ({problem}); save the table as UTF-8")


def _is_mostly_utf8(content: bytes) -> bool:
    """Whether bytes are UTF-8 with a few damaged ones, and not Windows-1252, of which letters with accents are hardly ever valid UTF-8."""
    num_damaged = content.decode("utf-8", "replace").count("\ufffd")
    return sum(not character.isascii() for character in content.decode("utf-8", "ignore")) > num_damaged


def _read_text(path: Path, text: str, encoding: str) -> ForeignTable:
    first, _, rest = text.partition("\n")
    num_skipped, separator = 0, None
    if re.fullmatch(r'"?sep=.\s*"?\s*', first.strip("\r"), re.IGNORECASE):
        separator, text, num_skipped = first.lower().partition("sep=")[2][0], rest, 1
    with _long_cells():
        separator = separator or _separator_of(text)
        table = list(itertools.dropwhile(lambda one: not any(one[1]), _parsed(path, text, separator, num_skipped)))
    while table and not any(table[-1][1]):
        table.pop()
    if not table:
        raise TableError(f"{path}: expected a header and rows, the file is empty")
    (_, header), *rows = table
    width = max((index + 1 for _, row in table for index, cell in enumerate(row) if cell), default=0)
    header = header[:width]
    separated_by = _SEPARATOR_NAMES.get(separator, repr(separator))
    cells, lines = [], []
    for line, row in rows:
        if not any(row):
            continue  # an empty line
        row = row[:width] if not any(row[width:]) else row
        if len(row) != len(header):
            raise TableError(
                f"{path}, line {line}: expected {len(header)} cells as in the header, found {len(row)}: {shorten_list(row, 6)} (the table "
                f"is separated by {separated_by})"
            )
        cells.append(row)
        lines.append(line)
    notes = [encoding] if encoding else []
    if separator != ",":
        notes.append(f"separated by {separated_by}")
    columns = [list(column) for column in zip(*cells, strict=True)] or [[] for _ in header]
    for index, column in enumerate(columns):
        if column and all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in column):
            columns[index] = [cell[1:-1].strip() for cell in column]
    rows_read = tuple(zip(*columns, strict=True)) if cells else ()
    return _checked(ForeignTable(path, tuple(header), tuple(lines), rows_read, notes=tuple(notes)))


def _parsed(path: Path, text: str, separator: str, num_skipped: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the trimmed cells of each record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            yield reader.line_num + num_skipped, tuple(read_cell(cell.strip()) for cell in row)
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num + num_skipped}: expected a table of cells, {error}") from error


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let the csv module read cells of up to _LONGEST_CELL characters."""
    old = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(old)


def _separator_of(text: str) -> str:
    """Return the separator under which the first rows have one number of cells, the most cells where several do."""
    lines = list(itertools.islice(filter(str.strip, io.StringIO(text, newline=None)), _ROWS_TO_JUDGE))

    def fitness(separator: str) -> tuple[int, float, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]
        except csv.Error:
            return (0, 0.0, 0)
        same = sum(width == widths[0] for width in widths) / len(widths)
        return (widths[0] > 1, same, widths[0])

    return max(_SEPARATORS, key=fitness)


def _read_json(path: Path, text: str, encoding: str) -> ForeignTable:
    try:
        records = read_records(text)
    except ValueError as error:
        raise TableError(f"{path}{error}") from error
    columns = tuple(dict.fromkeys(str(name) for _, record in records for name in record))
    cells = tuple(tuple(as_text(record.get(name)) for name in columns) for _, record in records)
    return _checked(ForeignTable(path, columns, tuple(number for number, _ in records), cells, notes=(encoding, "JSON")[not encoding :]))


def _read_parquet(path: Path, content: bytes) -> ForeignTable:
    import pandas as pd  # late: it is slow to import

    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError as error:
        raise TableError(f"{path}: reading Parquet needs pyarrow; install it (pip install pyarrow), or save the table as CSV") from error
    except Exception as error:  # pyarrow raises errors of its own, of no common type
        raise TableError(f"{path}: expected a whole Parquet file ({error}); get the file anew") from error
    if any(name is not None for name in frame.index.names):  # audformat: file, start, end
        frame = frame.reset_index()
    columns = tuple(str(name).strip() for name in frame.columns)
    series = [frame.iloc[:, index] for index in range(len(columns))]

    def cell_of(value: Any) -> str:
        return "" if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) else str(value).strip()

    cells = tuple(zip(*(map(cell_of, one.tolist()) for one in series), strict=True))
    return _checked(ForeignTable(path, columns, tuple(range(1, len(frame) + 1)), cells, notes=("Parquet",)))


def _checked(table: ForeignTable) -> ForeignTable:
    doubled = [repr(name) for name, count in Counter(table.columns).items() if count > 1]
    if doubled:
        raise TableError(f"{table.path}: expected different names of columns, {shorten_list(doubled, 6)} occur twice")
    if not table.cells:
        raise TableError(f"{table.path}: expected rows below the header {shorten_list(table.columns, 6)}, found none")
    return table


def _with_mark(table: ForeignTable, decimal: str) -> ForeignTable:
    mark = MARKS[decimal] if decimal else decimal_mark(zip(*table.cells, strict=True))
    notes = (*table.notes, "decimal commas") if mark == "," else table.notes
    return dataclasses.replace(table, decimal_mark=mark, is_mark_declared=bool(decimal), notes=notes)


def join_tables(tables: Sequence[ForeignTable], path: Path, *, decimal: str = "") -> ForeignTable:
    """Return the rows of several tables as one table, such as the predictions of each fold.

    Args:
      path: of the folder that holds them.
      decimal: as `read_foreign_table` has it; the numbers of all tables together tell the mark.

    Raises:
      TableError: a table has other columns than the first one.
    """
    first = tables[0]
    for table in tables:
        if set(table.columns) != set(first.columns):
            raise TableError(
                f"{table.path}: expected the columns of {first.path.name}: {', '.join(first.columns)}; found {', '.join(table.columns)}"
            )
    cells = [tuple(row[table.columns.index(name)] for name in first.columns) for table in tables for row in table.cells]
    notes = dict.fromkeys(note for table in tables for note in table.notes if note != "decimal commas")
    names = [name for table in tables for name in [table.path.relative_to(path).as_posix()] * len(table)]
    lines = tuple(line for table in tables for line in table.lines)
    return _with_mark(ForeignTable(path, first.columns, lines, tuple(cells), files=tuple(names), notes=tuple(notes)), decimal)
