"""Frozen dataclasses as JSON and back, and the JSON Schema of a dataclass: all three follow from its annotations.

A field is described by `Json`, a number or string by a `Constraint`:

    Share = Annotated[float, Constraint("share", minimum=0, maximum=1)]

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Group:
        '''Metrics of a speaker or gender.'''

        num_clips: Annotated[int, Json("each counted once")]
        metrics: Annotated[Mapping[str, MetricValue], Json("primary metrics", keys=names, beside=True)]

Supported are bool, int, float, str, Any, dataclasses, `X | None`, `tuple[X, ...]`, `tuple[X, X]` and `Mapping[str, X]`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string"}
Absent = Literal["never", "where_empty", "in_older_files"]


class Constraint:
    """Keywords of JSON Schema for an annotated type; a `name` puts them below $defs."""

    def __init__(self, name: str = "", **keywords: Any):
        self.name = name
        self.keywords = keywords


class OfMetric(Constraint):
    """Marks a number that is in the range of the metric it belongs to."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The range of a metric: keywords of JSON Schema, and a name for definitions that depend on it."""

    name: str
    keywords: Mapping[str, Any]


MetricValue = Annotated[float, OfMetric()]


class Json:
    """Describes a field of a dataclass for JSON.

    Args:
      description: for the schema.
      absent: "where_empty" leaves the key out where the value is None or empty; "in_older_files" reads a file without it as None.
      keys: of a mapping from metrics: their names, and for each the range of its `MetricValue`s.
      beside: whether the entries of a mapping stand beside the dataclass's other keys.
      keywords: further keywords of JSON Schema, such as minItems=1.
    """

    def __init__(
        self,
        description: str = "",
        *,
        absent: Absent = "never",
        keys: Callable[[], Mapping[str, Range]] | None = None,
        beside: bool = False,
        **keywords: Any,
    ):
        self.description = description
        self.absent = absent
        self.keys = keys
        self.beside = beside
        self.keywords = keywords


@dataclasses.dataclass(frozen=True)
class _Field:
    """A field of a dataclass: its name, its type without `Json`, its `Json`, and whether it has no default."""

    name: str
    kind: Any
    json: Json
    is_required: bool


@functools.cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints, found = typing.get_type_hints(kind, include_extras=True), []
    for field in dataclasses.fields(kind):
        hint: Any = hints[field.name]
        marks: list[Any] = []
        if typing.get_origin(hint) is Annotated:
            hint, *marks = typing.get_args(hint)
        others = tuple(mark for mark in marks if not isinstance(mark, Json))
        own = next((mark for mark in marks if isinstance(mark, Json)), Json())
        found.append(_Field(field.name, Annotated[hint, *others] if others else hint, own, field.default is dataclasses.MISSING))
    return tuple(found)


def to_json(value: Any) -> Any:
    """Convert dataclasses, tuples, mappings, arrays and numbers to plain dicts, lists and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        content: dict[str, Any] = {}
        for field in _fields(type(value)):
            one = getattr(value, field.name)
            if field.json.absent == "where_empty" and (one is None or one == ()):
                continue
            content |= to_json(one) if field.json.beside else {field.name: to_json(one)}
        return content
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def from_json(kind: Any, content: Any, where: str = "") -> Any:
    """Read a value of the annotated type `kind`; unknown keys are ignored.

    Raises:
      ValueError: a key is missing or a value has another type; the message has its path.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return from_json(arguments[0], content, where)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [one for one in arguments if one is not type(None)]
        return None if content is None else from_json(inner, content, where)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, content, where)
    if kind is Any:
        return content
    if origin is tuple and isinstance(content, list) and (arguments[-1] is Ellipsis or len(content) == len(arguments)):
        return tuple(from_json(arguments[0], one, f"{where}/{index}") for index, one in enumerate(content))
    if origin is not None and issubclass(origin, Mapping) and isinstance(content, Mapping):
        return {key: from_json(arguments[1], one, f"{where}/{key}") for key, one in content.items()}
    if kind is float and type(content) in (int, float):
        return float(content)
    if kind in (int, str, bool) and type(content) is kind:
        return content
    raise ValueError(f"{where or 'the file'}: expected {getattr(kind, '__name__', kind)}, got {content!r}"[:300])


def _read_dataclass(kind: Any, content: Any, where: str) -> Any:
    if not isinstance(content, Mapping):
        raise ValueError(f"{where or 'the file'}: expected an object, got {content!r}"[:300])
    fields = _fields(kind)
    names, values = {field.name for field in fields}, {}
    for field in fields:
        own = f"{where}/{field.name}" if where else field.name
        if field.json.beside and field.json.keys:
            known = field.json.keys().keys() - names
            values[field.name] = from_json(field.kind, {key: content[key] for key in content if key in known}, own)
        elif field.name in content:
            values[field.name] = from_json(field.kind, content[field.name], own)
        elif field.is_required:
            raise ValueError(f"{own} is missing")
    return kind(**values)


def schema_of(kind: Any, *, title: str, description: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a dataclass."""
    schema = _Schema()
    top = schema.of_dataclass(kind, None)
    definitions = dict(sorted(schema.definitions.items()))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "$defs": definitions,
    } | {key: value for key, value in top.items() if key != "description"}


class _Schema:
    """Builds schemas of types; `limits` is the range of the metric that a value belongs to, if it belongs to one."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def of(self, kind: Any, limits: Range | None) -> dict[str, Any]:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is Annotated:
            return self._constrained(arguments[0], arguments[1], limits)
        if origin in (typing.Union, types.UnionType):
            (inner,) = [one for one in arguments if one is not type(None)]
            return {"anyOf": [{"type": "null"}, self.of(inner, limits)]}
        if dataclasses.is_dataclass(kind):
            name = _snake(getattr(kind, "__name__", "")) + (f"_{limits.name}" if limits else "")
            if name not in self.definitions:
                self.definitions[name] = {}  # a type may refer to itself
                self.definitions[name] = self.of_dataclass(kind, limits)
            return {"$ref": f"#/$defs/{name}"}
        if origin is tuple:
            length = {} if arguments[-1] is Ellipsis else {"minItems": len(arguments), "maxItems": len(arguments)}
            return {"type": "array", "items": self.of(arguments[0], limits)} | length
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1], limits)}
        return {} if kind is Any else {"type": _PLAIN[kind]}

    def of_dataclass(self, kind: Any, limits: Range | None) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required: list[str] = []
        for field in _fields(kind):
            bare = _without_none(field.kind)
            is_nullable = field.json.absent == "never" and bare is not field.kind
            if field.json.keys:
                entries = {name: self.of(typing.get_args(bare)[1], range_) for name, range_ in field.json.keys().items()}
                if field.json.beside:
                    properties |= entries
                    required += entries
                    continue
                found: dict[str, Any] = {"type": "object", "properties": entries, "required": list(entries), "additionalProperties": False}
            else:
                found = self.of(bare, limits)
            found = {"anyOf": [{"type": "null"}, found]} if is_nullable else found
            note = {"description": field.json.description} if field.json.description else {}
            properties[field.name] = note | found | dict(field.json.keywords)
            if field.json.absent != "where_empty":
                required.append(field.name)
        summary = (kind.__doc__ or "").split("\n")[0].rstrip(".")
        return {
            "description": summary,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _constrained(self, kind: Any, constraint: Constraint, limits: Range | None) -> dict[str, Any]:
        keywords = limits.keywords if isinstance(constraint, OfMetric) and limits else constraint.keywords
        found = self.of(kind, limits) | dict(keywords)
        if not constraint.name:
            return found
        self.definitions[constraint.name] = found
        return {"$ref": f"#/$defs/{constraint.name}"}


def _without_none(kind: Any) -> Any:
    arguments = [one for one in typing.get_args(kind) if one is not type(None)]
    return arguments[0] if typing.get_origin(kind) in (typing.Union, types.UnionType) and len(arguments) == 1 else kind


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
