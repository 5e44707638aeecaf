"""Numbers in the cells of tables: decimal points, decimal commas, thousands and percent signs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

NO_VALUE = frozenset(("", "nan", "nat", "none", "null", "na", "n/a", "<na>"))
MARKS = {"comma": ",", "point": "."}  # word of a declaration -> decimal mark
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_COMMA_NUMBER = re.compile(rf"[+-]?\d*,\d+{_EXPONENT}")
_POINT_NUMBER = re.compile(rf"[+-]?(?:\d*\.\d+|\d+\.){_EXPONENT}")
_WHOLE_NUMBER = re.compile(rf"[+-]?\d+{_EXPONENT}")
_ONE_GROUP = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # 1,234: one and a bit, or over a thousand
_GROUPS = {mark: re.compile(rf"[+-]?\d{{1,3}}(?:\{other}\d{{3}})+(?:\{mark}\d+)?") for mark, other in ((",", "."), (".", ","))}


def number(cell: str) -> float:
    """Return the number that a text with a decimal point holds; NaN where it holds none."""
    try:
        return float(cell) if "_" not in cell else math.nan  # Python reads 1_000
    except ValueError:
        return math.nan


def number_in(cell: str, mark: str, *, has_thousands: bool = False) -> float:
    """Return the number in a cell, a hundredth where a percent sign follows; NaN where the cell holds none, or could mean two numbers.

    Args:
      mark: "," or ".", the decimal mark of the table; "" where nothing tells it. A number with the other mark is NaN.
      has_thousands: the other mark separates thousands.
    """
    text = without_percent(cell)
    other = "." if mark == "," else ","
    if has_thousands and _GROUPS[mark].fullmatch(text):
        text = text.replace(other, "")
    if other in text:
        return math.nan
    value = number(text.replace(",", "."))
    return value / 100 if cell.endswith("%") else value


def without_percent(cell: str) -> str:
    """Return a cell without the percent sign at its end."""
    return cell[:-1].rstrip() if cell.endswith("%") else cell


def decimal_mark(columns: Iterable[Sequence[str]]) -> str:
    """Return the decimal mark of a table: "," or ".", or "" where each comma could separate thousands as well ("1,234").

    Columns of text tell nothing. Where some numbers have a point and others a comma, the mark is the point, and those with a comma are not
    read.
    """
    columns = list(columns)
    if not any("," in cell for column in columns for cell in column):
        return "."
    cells = [cell for column in map(_numbers_of, columns) for cell in column]
    commas = [cell for cell in cells if _COMMA_NUMBER.fullmatch(cell)]
    if not commas or any(map(_POINT_NUMBER.fullmatch, cells)):
        return "."
    return "" if all(map(_ONE_GROUP.fullmatch, commas)) else ","


def _numbers_of(column: Sequence[str]) -> list[str]:
    """The numbers of a column, none where most of its filled cells are no numbers."""
    filled = [without_percent(cell) for cell in column if cell.lower() not in NO_VALUE]
    kinds = (_COMMA_NUMBER, _POINT_NUMBER, _WHOLE_NUMBER)
    found = [cell for cell in filled if any(kind.fullmatch(cell) for kind in kinds)]
    return found if 2 * len(found) > len(filled) else []


def why_unread(cell: str, mark: str, flag: str) -> str:
    """Return why `number_in` reads no number from a cell that looks like one, and what helps, as the end of a sentence; "" for other cells.

    Args:
      flag: that declares the decimal mark, without its value.
    """
    text, declare = without_percent(cell), f"declare the decimal mark with {flag}=comma or {flag}=point"
    if not mark and _ONE_GROUP.fullmatch(text):
        return f": its comma separates decimals or thousands, and no other number of the table shows which; {declare}"
    if mark != "," and (_COMMA_NUMBER.fullmatch(text) or _GROUPS["."].fullmatch(text)):
        return f": it has a comma, in a table with decimal points; write all numbers alike, or {declare}"
    if mark == "," and (_POINT_NUMBER.fullmatch(text) or _GROUPS[","].fullmatch(text)):
        return f": it has a point, in a table with decimal commas; write all numbers alike, or {declare}"
    return ""
