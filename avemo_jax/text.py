"""Format numbers, durations and lists as plain text for tables, messages and progress lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal

Align = Literal["left", "right"]
Interval = Sequence[float]  # lower and upper bound
_PLURALS = {"class": "classes", "process": "processes", "segment of a file": "segments of files"}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?", the end of a message, where a known name is close; else ""."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def format_percent(share: float) -> str:
    """Format a share in percent with one decimal: 0.615 -> "61.5"."""
    return f"{100 * share:.1f}"


def format_interval(value: float, bounds: Interval | None, *, factor: float = 100, digits: int = 1, sign: Literal["", "+"] = "") -> str:
    """Format a value with its interval: "61.5 [58.0, 64.9]", or the value alone if there is no interval.

    Args:
      bounds: lower and upper bound, or None.
      factor: by which value and bounds are multiplied; 100 formats shares in percent.
      digits: decimals.
      sign: "+" writes the sign of positive numbers too.
    """
    number, *ends = (f"{factor * one:{sign}.{digits}f}" for one in (value, *(bounds or ())))
    return f"{number} [{', '.join(ends)}]" if ends else number


def format_difference(difference: float, bounds: Interval | None) -> str:
    """Format a difference of shares in percentage points, with signs: "+3.4 [-0.2, +7.0]"."""
    return format_interval(difference, bounds, sign="+")


def format_mean(mean: float, deviation: float | None, *, factor: float = 100, digits: int = 1) -> str:
    """Format a mean and its standard deviation: "59.1 ± 0.8", or the mean alone; `factor` and `digits` as in `format_interval`."""
    return " ± ".join(f"{factor * one:.{digits}f}" for one in (mean, deviation) if one is not None)


def format_p_value(p: float) -> str:
    """Format a p-value as papers print it: three decimals, or "<0.001"."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def format_duration(seconds: float) -> str:
    """Format a duration: "3.2 s", "45 s", "12 min 34 s", "1 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def format_range(values: Iterable[int]) -> str:
    """Format the smallest and the largest of integers: "3 to 5", or "3" where they are equal."""
    values = list(values)
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def count_of(count: int, noun: str) -> str:
    """Format a count with its noun in the singular or plural: "1 fold", "3 folds", "0 classes"."""
    return f"{count} {noun if count == 1 else _PLURALS.get(noun, f'{noun}s')}"


def shorten_list(names: Sequence[str], most: int = 5) -> str:
    """Join the first `most` names with commas and count the others: "a, b and 3 more"."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def shorten(text: str, most: int) -> str:
    """Cut a text to `most` characters; a text that was cut ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def align_columns(rows: Sequence[Sequence[str]], alignments: Sequence[Align]) -> list[str]:
    """Return one line a row, with columns padded to equal width and separated by two spaces, without trailing spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if align == "left" else cell.rjust(width) for cell, width, align in zip(row, widths, alignments, strict=True)
        ).rstrip()
        for row in rows
    ]
