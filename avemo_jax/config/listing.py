"""Every field of the config with its default and meaning, as `--help` shows them; all of it is read from the types themselves."""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from avemo_jax.config.experiment import EncoderSettings, Experiment
from avemo_jax.config.stream import Stream
from avemo_jax.described import described_fields

_WIDTH = 120


class ListedField(NamedTuple):
    """A field of the config.

    Attributes:
      name: dotted, as the command line takes it after --config. Parts in <> stand for names that the config chooses.
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
    groups = {"streams": [("streams.<name>", Stream)], "encoders": [("encoders.<name>", EncoderSettings)]}
    groups["views"] = [(f"views.{name}", view) for name, view in views.items()]
    yield from _fields(Experiment, "", groups)


def format_fields(fields: Iterator[ListedField]) -> str:
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
