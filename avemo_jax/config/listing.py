"""Every field of the config with its default and meaning, as `--help` shows them; all of it is read from the types themselves."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from avemo_jax.config.experiment import EncoderSettings, Experiment
from avemo_jax.config.onnx import ONNX_ENCODERS, OnnxSettings
from avemo_jax.config.stream import Stream
from avemo_jax.described import described_fields

_WIDTH = 120


class ListedField(NamedTuple):
    """A field of the config.

    Attributes:
      name: dotted name, as the command line expects it after "--config."; parts in <> stand for names that the config chooses.
      default: its default value; `dataclasses.MISSING` where there is none.
      text: what it means, with its unit where the name does not have it as a suffix.
    """

    name: str
    default: Any
    text: str


def list_fields(views: Mapping[str, type]) -> Iterator[ListedField]:
    """Yield all fields of an experiment, groups expanded.

    Args:
      views: name -> dataclass of a view's parameters, `data_prep.views.VIEWS`.
    """
    groups: dict[str, list[tuple[str, type]]] = {
        "streams": [("streams.<name>", Stream)],
        "encoders": [("encoders.<name>", EncoderSettings), *((f"encoders.{name}", OnnxSettings) for name in ONNX_ENCODERS[:1])],
    }
    groups["views"] = [(f"views.{name}", view) for name, view in views.items()]
    yield from _fields(Experiment, "", groups)


def list_changes(experiment: Experiment, views: Mapping[str, type]) -> Iterator[ListedField]:
    """Yield the fields of an experiment that differ from their defaults, with their value in place of the default.

    Fields of views that no stream in use is made of are left out.
    """
    fields = {field.name: field for field in list_fields(views)}
    used = {view for stream in experiment.streams_in_use.values() for view in (stream.view, stream.view_beside)}
    for name, value in _values(experiment, ""):
        group, _, rest = name.partition(".")
        own, _, last = rest.partition(".")
        if group == "views" and own not in used:
            continue
        own = ONNX_ENCODERS[0] if group == "encoders" and own in ONNX_ENCODERS else "<name>"
        known = fields[f"{group}.{own}.{last}" if group in ("streams", "encoders") else name]
        if value != known.default:
            yield ListedField(name, value, known.text)


def _values(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of every field below a config type or a mapping of them."""
    if dataclasses.is_dataclass(node):
        node = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    for name, value in node.items():
        if dataclasses.is_dataclass(value) or isinstance(value, Mapping):
            yield from _values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def format_fields(fields: Iterable[ListedField]) -> str:
    """Return the fields as text, a field and its default on one line, its meaning indented below."""
    lines = []
    for name, default, text in fields:
        shown = "(required)" if default is dataclasses.MISSING else repr(default)
        lines.append(f"  --config.{name}={shown}")
        lines += textwrap.wrap(text, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def _fields(kind: type, prefix: str, groups: Mapping[str, list[tuple[str, type]]]) -> Iterator[ListedField]:
    hints = typing.get_type_hints(kind)
    for name, default, text in described_fields(kind):
        if not prefix and name in groups:
            for group, one in groups[name]:
                yield from _fields(one, f"{group}.", {})
        elif dataclasses.is_dataclass(hints[name]):
            yield from _fields(typing.cast(type, hints[name]), f"{prefix}{name}.", {})
        else:
            yield ListedField(f"{prefix}{name}", default, text)
