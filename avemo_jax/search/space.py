"""What a search may try, as text: `config.search.space`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

FORM = "'name=low..high', 'name=low..high log' or 'name=a|b|c'"
# Smallest value, and the one that a value has to stay below; a rate of 1 would drop everything.
BOUNDS = {
    "learning_rate": (0.0, math.inf),
    "momentum": (0.0, 1.0),
    "weight_decay": (0.0, math.inf),
    "dropout_rate": (0.0, 1.0),
    "label_smoothing": (0.0, 1.0),
    "mixup_alpha": (0.0, math.inf),
}


@dataclasses.dataclass(frozen=True)
class Axis:
    """One hyper-parameter, or one field of the config that changes the program, and what it may be.

    Attributes:
      name: "learning_rate", or dotted, "model.audio.pooling".
      low, high: of a range; unused where there are choices.
      log: whether the logarithm is drawn evenly.
      choices: numbers, or of a field its values as text; empty for a range.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_field(self) -> bool:
        """Whether it changes the program: settings that differ in it are trained by programs of their own."""
        return "." in self.name

    def suggest(self, trial: Any) -> Any:
        """The value that an Optuna trial has for it."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def distribution(self) -> Any:
        """The same as an Optuna distribution."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return CategoricalDistribution(self.choices) if self.choices else FloatDistribution(self.low, self.high, log=self.log)


def parse_space(
    texts: Sequence[str], numbers: Collection[str], check_field: Callable[[str, Sequence[str]], Any] = lambda name, texts: None
) -> tuple[Axis, ...]:
    """Read `config.search.space`, e.g. ("learning_rate=1e-4..1e-2 log", "dropout_rate=0.1|0.3", "model.audio.pooling=mean|last").

    Args:
      numbers: the hyper-parameters, which may have ranges and are named without a dot.
      check_field: called with the name and the values of every other axis; raises ValueError where the config has no such field.

    Raises:
      ValueError: a text of another form, an unknown name or one twice, a value that is no number or out of bounds, an empty range.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise ValueError(f"search.space holds {text!r}; expected {FORM}")
        if name.startswith("train.") and name.removeprefix("train.") in numbers:
            raise ValueError(f"search.space holds {text!r}; name the number without its group: {name.removeprefix('train.')}={values}")
        if "." not in name and name not in numbers:
            raise ValueError(f"search.space names {name!r}; expected one of {tuple(numbers)}, or a field such as model.audio.pooling")
        if name in axes:
            raise ValueError(f"search.space names {name} twice; put all of it into one text")
        axes[name] = _number_axis(name, values, text) if name in numbers else _field_axis(name, values, text, check_field)
    return tuple(axes.values())


def split_values(axes: Sequence[Axis], values: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """The values of a setting as (hyper-parameter -> number, config field -> text)."""
    numbers = {axis.name: float(values[axis.name]) for axis in axes if not axis.is_field}
    return numbers, {axis.name: values[axis.name] for axis in axes if axis.is_field}


def _number_axis(name: str, values: str, text: str) -> Axis:
    if "|" in values:
        choices = tuple(_number(name, value, text) for value in values.split("|"))
        if len(set(choices)) != len(choices):
            raise ValueError(f"search.space holds {text!r}, which names a value twice")
        return Axis(name, choices=choices)
    bounds, *words = values.split()
    low_text, dots, high_text = bounds.partition("..")
    if not dots or words not in ([], ["log"]):
        raise ValueError(f"search.space holds {text!r}; expected {FORM}")
    low, high = _number(name, low_text, text), _number(name, high_text, text)
    if low >= high:
        raise ValueError(f"search.space holds {text!r}; expected the lower end first, and another one above it")
    if words and low <= 0:
        raise ValueError(f"search.space holds {text!r}; a logarithmic range begins above 0")
    return Axis(name, low, high, log=bool(words))


def _number(name: str, value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"search.space holds {text!r}; {value.strip()!r} is no number") from None
    least, below = BOUNDS[name]
    if not math.isfinite(number) or number < least or number >= below:
        raise ValueError(
            f"search.space holds {text!r}; {name} is at least {least:g}" + (f" and below {below:g}" if below < math.inf else "")
        )
    return number


def _field_axis(name: str, values: str, text: str, check_field: Callable[[str, Sequence[str]], Any]) -> Axis:
    choices = tuple(value.strip() for value in values.split("|"))
    if len(choices) < 2 or not all(choices):
        raise ValueError(f"search.space holds {text!r}; a field that changes the program has choices, 'field=a|b'; it has no range")
    if len(set(choices)) != len(choices):
        raise ValueError(f"search.space holds {text!r}, which names a value twice")
    check_field(name, choices)
    return Axis(name, choices=choices)
