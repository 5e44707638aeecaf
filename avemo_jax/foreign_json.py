"""JSON as rows of a table: lines of objects, lists of objects, manifests, and the forms that pandas writes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

Records = list[tuple[int, dict[str, Any]]]  # number of the line or record, column -> value

KEYS = "id"  # column of the keys of an object of objects


def read_records(text: str) -> Records:
    """Return the rows in JSON text.

    Read are an object a line; a list of objects; an object of objects, whose keys become the column "id"; an object of columns, each a list
    of one length; and pandas' `to_json` with any `orient` that holds the names of the columns. Its index is left out where it counts rows.

    Raises:
      ValueError: other content, or an object with one key twice; the message starts with the line or record.
    """
    try:
        content = _load(text)
    except json.JSONDecodeError:
        content = None
    except RecursionError as error:
        raise ValueError(": expected a list of objects, found lists in lists in lists") from error
    if isinstance(content, list):
        records = list(enumerate(content, start=1))
    elif isinstance(content, dict) and (rows := _rows_of(content)) is not None:
        records = list(enumerate(rows, start=1))
    else:
        records = list(_lines(text))
    for number, record in records:
        if not isinstance(record, dict):
            raise ValueError(f", record {number}: expected an object, column -> cell, found {type(record).__name__}")
    return records


def as_text(value: Any) -> str:
    """Return a value of a record as a cell of a table."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _DoubledKey(ValueError):
    """An object with one key twice, of which a parser keeps the last in silence."""


def _load(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except _DoubledKey as error:
        raise ValueError(f": expected different keys in each object, found {error} twice in one") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DoubledKey(repr(next(key for key in keys if keys.count(key) > 1)))
    return found


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if line.strip():
            try:
                yield number, json.loads(line, object_pairs_hook=_unique)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f", line {number}: expected JSON, an object a line or one list of objects ({error})") from error
            except _DoubledKey as error:
                raise ValueError(f", line {number}: expected different keys in each object, found {error} twice in one") from error


def _rows_of(content: Mapping[str, Any]) -> list[Any] | None:
    """Return the rows of an object, or None where it is one row itself."""
    values = list(content.values())
    data = content.get("data")
    if isinstance(data, list) and isinstance(names := content.get("columns"), list):  # pandas, orient="split"
        if wrong := next((number for number, row in enumerate(data, start=1) if not _has_length(row, len(names))), None):
            raise ValueError(f", record {wrong}: expected a list of {len(names)} cells as in `columns`")
        index, rows = content.get("index"), [dict(zip(map(str, names), row, strict=True)) for row in data]
        return _without_counter(rows, index) if isinstance(index, list) and len(index) == len(rows) else rows
    if isinstance(data, list) and isinstance(content.get("schema"), dict) and all(isinstance(row, dict) for row in data):
        index = [row.get("index") for row in data]  # pandas, orient="table"
        return [{name: value for name, value in row.items() if name != "index"} for row in data] if _counts(index) else data
    if values and all(isinstance(value, dict) for value in values):
        return _of_objects(content)
    are_columns = bool(values) and isinstance(values[0], list) and all(_has_length(value, len(values[0])) for value in values)
    if are_columns and not any(isinstance(cell, dict | list) for value in values for cell in value):
        return [dict(zip(content, row, strict=True)) for row in zip(*values, strict=True)]
    return None


def _of_objects(content: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """Return the rows of an object of objects: by rows, or by columns as pandas writes it by default."""
    keys = list(next(iter(content.values())))
    are_numbered = bool(keys) and all(key.isdecimal() for key in keys) and all(set(one) == set(keys) for one in content.values())
    # Numbers alone may be classes: {"clip7": {"0": 0.25, "1": 0.75}}. A column of texts has no such meaning.
    if are_numbered and any(all(isinstance(cell, str) for cell in one.values()) for one in content.values()):
        if all(key.isdecimal() for key in content):
            raise ValueError(': expected names of columns, found numbers for rows and columns; write it with orient="records"')
        return [{name: column[key] for name, column in content.items()} for key in keys]
    return _without_counter(list(content.values()), list(content))


def _without_counter(rows: list[Any], index: list[Any]) -> list[Any]:
    """Return the rows with their index as the column "id", or without it where it counts them."""
    if not index or _counts(index):
        return rows
    return [{KEYS: key} | row for key, row in zip(index, rows, strict=True)]


def _counts(index: list[Any]) -> bool:
    """Whether an index is that of pandas: 0, 1, ... in any order."""
    return {str(key) for key in index} == {str(number) for number in range(len(index))}


def _has_length(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
