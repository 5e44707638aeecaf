"""Fields of a dataclass with their defaults and descriptions: one source for docstrings, `--help` and `--mode=doctor`."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, NamedTuple

_SECTION = "Attributes:"
_ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<text>.+)")


class DescribedField(NamedTuple):
    """One field of a dataclass.

    Attributes:
      name: of the field.
      default: its default value; `dataclasses.MISSING` where the field must be given.
      text: its description in one line; "" where the docstring has none.
    """

    name: str
    default: Any
    text: str


def described_fields(cls: type) -> list[DescribedField]:
    """Return the fields of a dataclass in order, with their defaults and descriptions.

    Descriptions come from the section "Attributes:" of the class's docstring, or of a base class if the class does not describe a field.
    An entry is `name: text` or `name, name: text`; lines with deeper indentation continue it.
    """
    texts: dict[str, str] = {}
    for base in cls.__mro__:
        for name, text in _descriptions(base).items():
            texts.setdefault(name, text)
    return [DescribedField(field.name, _default(field), texts.get(field.name, "")) for field in dataclasses.fields(cls)]


def _default(field: dataclasses.Field) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _descriptions(cls: type) -> dict[str, str]:
    """Return field -> description from the class's own docstring."""
    lines = inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines()
    if _SECTION not in lines:
        return {}
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index(_SECTION) + 1 :]:
        indent = len(line) - len(line.lstrip())
        if line and indent == 0:
            break  # the next section
        entry = _ENTRY.fullmatch(line.strip()) if indent == 2 else None
        if entry:
            names = entry["names"].split(", ")
        for name in names if line else ():
            texts[name] = entry["text"] if entry else f"{texts[name]} {line.strip()}"
    return texts
