"""Fields of a config as text: overrides of one stage, and the values that a sweep or a search tries."""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from avemo_jax.bounds import check_bounds
from avemo_jax.config.experiment import Experiment
from avemo_jax.config.training import SWEPT
from avemo_jax.text import nearest

# (dotted name, value) of each field that differs from the experiment's config.
Changes = tuple[tuple[str, Any], ...]
# Groups of fields that a sweep or a stage may change: the network and its recipe, but neither the data nor the grid.
CHANGEABLE = ("streams", "fusion", "train")
_OF_THE_DATA = ("view", "view_beside", "per_speaker")
_OF_ALL_STAGES = ("seeds", "stages", "overrides", "freeze_earlier")
_WITHOUT_NETWORK = ("late", "svm", "linear")
# A sweep may not change the length of training either.
_NOT_SWEPT = (*_OF_ALL_STAGES, "num_epochs", "tensorboard", "trackers", "checkpoint_every_epochs", "keep_checkpoints")


def for_stage(experiment: Experiment, stage: str) -> Experiment:
    """Return the config of one stage, with its `train.overrides`, such as "audio:train.num_epochs=100", applied.

    Raises:
      ValueError: an override of another form, a stage that the experiment lacks or that trains no network, a field that does not exist or
        that all stages share, a value of a wrong type.
    """
    changes = {}
    trained = tuple(name for name in experiment.train.stages if name not in _WITHOUT_NETWORK)
    for text in experiment.train.overrides:
        owner, colon, rest = text.partition(":")
        if not colon or owner not in trained:
            raise ValueError(f"train.overrides holds {text!r}; expected stage:field=value with a stage that trains a network, of {trained}")
        name, value = _split(rest, where="train.overrides", form="stage:field=value")
        if not _is_changeable(name, _OF_ALL_STAGES):
            raise ValueError(
                f"train.overrides names {name}, which all stages share; a stage may differ in fields of {', '.join(CHANGEABLE)}, except "
                f"{', '.join((*_OF_ALL_STAGES, *_OF_THE_DATA))}"
            )
        if owner == stage:
            changes[name] = parse_value(experiment, name, value)
    return with_fields(experiment, changes)


def swept_fields(experiment: Experiment) -> dict[str, tuple[Any, ...]]:
    """Return `sweep.fields`, such as "streams.audio.context_units=(512,)|(256,256)", as axis -> values to try.

    An axis is a field, or several fields joined by "+" that have the same value in every setting, see `combinations`.

    Raises:
      ValueError: an entry of another form, a field that does not exist or cannot be swept, or a value of a wrong type.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    known: set[str] = set()
    for text in experiment.sweep.fields:
        axis, texts = _split(text, where="sweep.fields", form="field=value|value")
        names = [name.strip() for name in axis.split("+")]
        for name in names:
            if name in known:
                raise ValueError(f"sweep.fields names {name} twice; list all of its values in one entry, separated by |")
            known.add(name)
            values = values_to_try(experiment, name, texts.split("|"), where="sweep.fields")
            if axes.setdefault("+".join(names), values) != values:
                raise ValueError(f"sweep.fields joins {axis}, which are of different types; expected fields with the same values")
    return axes


def combinations(axes: Mapping[str, Sequence[Any]], *, one_at_a_time: bool = False) -> list[Changes]:
    """Return every combination of the values of some axes, the last axis varying fastest; one empty combination for no axis.

    Args:
      axes: field, or fields joined by "+" that all have the value of their axis -> values.
      one_at_a_time: return the first values of all axes, and then each other value with the first ones of the other axes.
    """
    each = [[tuple((name, value) for name in axis.split("+")) for value in values] for axis, values in axes.items()]
    chosen: Iterable[Sequence[Changes]] = itertools.product(*each)
    if one_at_a_time:
        first = [values[0] for values in each]
        chosen = [first, *([*first[:place], other, *first[place + 1 :]] for place, own in enumerate(each) for other in own[1:])]
    return [tuple(itertools.chain.from_iterable(one)) for one in chosen]


def values_to_try(experiment: Experiment, name: str, texts: Sequence[str], *, where: str) -> tuple[Any, ...]:
    """Return the parsed values of a field that changes the compiled program.

    Args:
      where: config field that lists these values, for messages.

    Raises:
      ValueError: the field does not exist or cannot be swept, or a value is of a wrong type.
    """
    if not _is_changeable(name, _NOT_SWEPT):
        raise ValueError(
            f"{where} cannot try {name}; it tries fields of {', '.join(CHANGEABLE)}, except {', '.join((*_NOT_SWEPT, *_OF_THE_DATA))}"
        )
    last = name.rpartition(".")[2]
    if name == f"train.{last}" and last in SWEPT:
        raise ValueError(f"{where} names {name}, a number of the recipe: --config.sweep.{last}=(...) tries it in one program")
    return tuple(parse_value(experiment, name, text.strip()) for text in texts)


def with_fields(experiment: Experiment, changes: Mapping[str, Any] | Changes) -> Experiment:
    """Return the config with the values at these dotted names replaced."""
    return functools.reduce(lambda changed, pair: _with(changed, pair[0].split("."), pair[1]), dict(changes).items(), experiment)


def parse_value(experiment: Experiment, name: str, text: str) -> Any:
    """Return a text parsed as a value of the config field `name` (dotted).

    Raises:
      ValueError: there is no such field, the text is of a wrong type, or the number is out of bounds.
    """
    owner: Any = None
    current: Any = experiment
    for part in name.split("."):
        group = _fields(current)
        if part not in group:
            raise ValueError(f"the config has no field {name}{nearest(part, group)} (--help lists all fields)")
        owner, current = current, group[part]
    if group := _fields(current):
        raise ValueError(f"{name} is a group of fields; name one of {', '.join(group)}")
    if current is None or isinstance(current, str):
        return text
    try:
        value = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        value = None
    if isinstance(current, float) and type(value) is int:
        value = float(value)
    if isinstance(current, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(current):
        raise ValueError(f"{name}: expected a value of type {type(current).__name__}, such as {current!r}, got {text!r}")
    if dataclasses.is_dataclass(owner):
        path, dot, last = name.rpartition(".")
        check_bounds(type(owner), {last: value}, f"{path}{dot}")
    return value


def _is_changeable(name: str, excepted: Sequence[str]) -> bool:
    parts = name.split(".")
    return (
        len(parts) > 1
        and parts[0] in CHANGEABLE
        and parts[-1] not in excepted
        and not (parts[0] == "streams" and parts[-1] in _OF_THE_DATA)
    )


def _split(text: str, *, where: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise ValueError(f"{where} holds {text!r}; expected {form}")
    return name.strip(), value.strip()


def _fields(node: Any) -> dict[str, Any]:
    if isinstance(node, Mapping):
        return dict(node)
    return {field.name: getattr(node, field.name) for field in dataclasses.fields(node)} if dataclasses.is_dataclass(node) else {}


def _with(node: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    changed = _with(_fields(node)[name], rest, value) if rest else value
    return dict(node) | {name: changed} if isinstance(node, Mapping) else dataclasses.replace(node, **{name: changed})
