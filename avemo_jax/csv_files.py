"""CSV files as this project writes them: no cell is a formula to a spreadsheet.

Names of clips, speakers and files come from other people, and a spreadsheet runs a cell that begins with "=" when the file is opened.
Such a cell gets an apostrophe in front, by which spreadsheets mark text, and `read_cell` takes it off again.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO, Any

_FORMULA = re.compile("^'*[=+\\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
# Signed numbers as tables show them: "-1.5", "+0.8 % [-0.1, 1.7]", "-3.2 ± 0.4"; and "-" for none.
_NUMBER = re.compile(r"[+-]\.?\d[\d\s.,;%±\[\]()+\-eE]*|-")


def write_rows(stream: IO[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows of cells, one line each; text that a spreadsheet would take for a formula is marked as text."""
    # The writer quotes carriage returns only where they end lines.
    csv.writer(_LineFeeds(stream), lineterminator="\r\n").writerows(map(_cell, row) for row in rows)


def read_cell(text: str) -> str:
    """Return the text that `write_rows` was given for a cell."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class _LineFeeds:
    """A file to which a CSV writer writes lines that end in a carriage return and a line feed; only the line feed is kept."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(line.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
