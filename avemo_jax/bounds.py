"""Bounds of the numbers of a config, written beside each field: `learning_rate: Annotated[float, Bounds(above=0, most=1000)]`."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """The values that a number may have: from `least` or above `above`, up to `most` or below `below`. A number must also be finite."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def contain(self, value: float) -> bool:
        """Return whether a number is within the bounds."""
        return math.isfinite(value) and self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {end:.10g}" for word, end in words.items() if math.isfinite(end)) or "finite"


# Of several numbers of the same meaning.
COUNT = Bounds(least=1, most=1_000_000)
COUNT_OR_NONE = Bounds(least=0, most=1_000_000)
SHARE = Bounds(least=0, most=1)
SEED = Bounds(least=0, most=2**31 - 1)  # int32 in the training step


def check_bounds(kind: type, values: Mapping[str, Any], path: str = "") -> None:
    """Check the numbers of a config type.

    Args:
      kind: dataclass with bounds beside its fields.
      values: field -> value; a value of a tuple is checked number by number, None and texts are not.
      path: dotted name of the group with a dot at its end, for messages: "train.".

    Raises:
      ValueError: the first number that is out of bounds.
    """
    for name, bounds in bounds_of(kind).items():
        value = values.get(name)
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, int | float) and not bounds.contain(one):
                raise ValueError(f"config.{path}{name} must be {bounds}, got {value}; set --config.{path}{name}=...")


@functools.cache
def bounds_of(kind: type) -> dict[str, Bounds]:
    """Return field -> bounds, for the fields of a dataclass that have bounds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = {field.name: getattr(hints[field.name], "__metadata__", ()) for field in dataclasses.fields(kind)}
    return {name: one for name, notes in found.items() for one in notes if isinstance(one, Bounds)}
