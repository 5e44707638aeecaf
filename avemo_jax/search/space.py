"""The search space: parse the texts of `config.search.space`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from avemo_jax.bounds import Bounds

FORM = "'name=low..high', 'name=low..high log' or 'name=a|b|c'"


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of the search space: a hyper-parameter, or a config field that changes the program, and its values.

    Attributes:
      name: "learning_rate", or dotted, "streams.audio.pooling".
      low, high: ends of a range; unused if there are choices.
      log: whether the range is sampled uniformly in the logarithm.
      choices: numbers, or the values of a config field as text; empty for a range.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_field(self) -> bool:
        """Return whether this is a config field; settings that differ in one need separately compiled programs."""
        return "." in self.name

    def suggest(self, trial: Any) -> Any:
        """Return the value that an Optuna trial suggests."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def distribution(self) -> Any:
        """Return the axis as an Optuna distribution."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return CategoricalDistribution(self.choices) if self.choices else FloatDistribution(self.low, self.high, log=self.log)


def parse_space(
    texts: Sequence[str], numbers: Mapping[str, Bounds], check_field: Callable[[str, Sequence[str]], Any] = lambda name, texts: None
) -> tuple[Axis, ...]:
    """Return the axes of `config.search.space`, e.g. ("learning_rate=1e-4..1e-2 log", "streams.audio.pooling=mean|last").

    Args:
      numbers: hyper-parameter -> its bounds; hyper-parameters may have ranges, and their names contain no dot.
      check_field: called with the name and the values of every other axis; raises ValueError if the config has no such field.

    Raises:
      ValueError: a malformed text, an unknown or repeated name, a value that is no number or out of bounds, or an empty range.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise ValueError(f"search.space holds {text!r}; expected {FORM}")
        if name.startswith("train.") and name.removeprefix("train.") in numbers:
            raise ValueError(f"search.space holds {text!r}; write it without 'train.': {name.removeprefix('train.')}={values}")
        if "." not in name and name not in numbers:
            raise ValueError(f"search.space names {name!r}; expected one of {tuple(numbers)}, or a field such as streams.audio.pooling")
        if name in axes:
            raise ValueError(f"search.space names {name} twice; put all of its values into one text")
        axis = _number_axis(name, values, text, numbers[name]) if name in numbers else _field_axis(name, values, text, check_field)
        if len(set(axis.choices)) != len(axis.choices):
            raise ValueError(f"search.space holds {text!r}, which repeats a value")
        axes[name] = axis
    return tuple(axes.values())


def split_values(axes: Sequence[Axis], values: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the values of a setting as (hyper-parameter -> number, config field -> text)."""
    numbers = {axis.name: float(values[axis.name]) for axis in axes if not axis.is_field}
    return numbers, {axis.name: values[axis.name] for axis in axes if axis.is_field}


def _number_axis(name: str, values: str, text: str, within: Bounds) -> Axis:
    if "|" in values:
        choices = tuple(_number(name, value, text, within) for value in values.split("|"))
        return Axis(name, choices=choices)
    bounds, *words = values.split()
    low_text, dots, high_text = bounds.partition("..")
    if not dots or words not in ([], ["log"]):
        raise ValueError(f"search.space holds {text!r}; expected {FORM}")
    low, high = _number(name, low_text, text, within), _number(name, high_text, text, within)
    if low >= high:
        raise ValueError(f"search.space holds {text!r}; expected a lower end below the upper end")
    if words and low <= 0:
        raise ValueError(f"search.space holds {text!r}; a logarithmic range must begin above 0")
    return Axis(name, low, high, log=bool(words))


def _number(name: str, value: str, text: str, within: Bounds) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"search.space holds {text!r}; {value.strip()!r} is no number") from None
    if not within.contain(number):
        raise ValueError(f"search.space holds {text!r}; {name} must be {within}")
    return number


def _field_axis(name: str, values: str, text: str, check_field: Callable[[str, Sequence[str]], Any]) -> Axis:
    choices = tuple(value.strip() for value in values.split("|"))
    if len(choices) < 2 or not all(choices):
        raise ValueError(f"search.space holds {text!r}; a config field needs choices, 'field=a|b', not a range")
    check_field(name, choices)
    return Axis(name, choices=choices)
