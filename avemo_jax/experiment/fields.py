"""Fields of a config as text: what a sweep tries, and what one stage does differently."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

Config = Mapping[str, Any]

# What a sweep may try and a stage may do differently: the network or its recipe, and neither the data nor what trials there are.
CHANGEABLE = ("model.", "train.")
_OF_ALL_STAGES = ("seeds", "stages", "overrides", "freeze_earlier")
_WITHOUT_NETWORK = ("late", "svm")
# Nor does a sweep try how far training goes.
_NOT_SWEPT = ("num_epochs", "seeds", "stages", "overrides", "freeze_earlier", "tensorboard", "checkpoint_every_epochs", "keep_checkpoints")


def swept_fields(config: Config) -> dict[str, tuple[Any, ...]]:
    """`config.sweep.fields`, such as "model.audio.context_units=(512,)|(256,256)", as field -> values to try.

    Raises:
      ValueError: a text that is not of that form, a field that does not exist or cannot be swept, or a value of another type.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    for text in config["sweep"]["fields"]:
        name, values = _split(text, where="sweep.fields", form="field=value|value")
        if name in axes:
            raise ValueError(f"sweep.fields names {name} twice; put all of its values behind one")
        axes[name] = values_to_try(config, name, values.split("|"), where="sweep.fields")
    return axes


def values_to_try(config: Config, name: str, texts: Sequence[str], *, where: str) -> tuple[Any, ...]:
    """The values of a field that changes the program.

    Raises:
      ValueError: the field does not exist or cannot be tried, or a value is of another type.
    """
    top, _, last = name.partition(".")
    if f"{top}." not in CHANGEABLE or last.split(".")[0] in _NOT_SWEPT:
        raise ValueError(f"{where} cannot try {name}: fields of the model and of the recipe can be, but for {_NOT_SWEPT}")
    if last in config["sweep"]:
        raise ValueError(f"{where} names {name}, a number of the recipe: --config.sweep.{last}=(...) tries it in one program")
    return tuple(parsed(config, name, text.strip()) for text in texts)


def for_stage(config: Config, stage: str) -> Config:
    """The config of one stage: `config.train.overrides`, such as "audio:train.num_epochs=100", put in.

    Raises:
      ValueError: a text that is not of that form, a stage that the experiment lacks or that trains no network, a field that does not exist
        or is of the experiment as a whole, a value of another type.
    """
    changes = {}
    trained = tuple(name for name in config["train"]["stages"] if name not in _WITHOUT_NETWORK)
    for text in config["train"]["overrides"]:
        owner, colon, rest = text.partition(":")
        if not colon or owner not in trained:
            raise ValueError(f"train.overrides holds {text!r}; expected stage:field=value with a stage that trains a network, of {trained}")
        name, value = _split(rest, where="train.overrides", form="stage:field=value")
        top, _, last = name.partition(".")
        if f"{top}." not in CHANGEABLE or last in _OF_ALL_STAGES:
            raise ValueError(
                f"train.overrides names {name}, which all stages share; a stage may differ in fields of the model and of the recipe, but "
                f"for {_OF_ALL_STAGES}"
            )
        if owner == stage:
            changes[name] = parsed(config, name, value)
    return with_fields(config, changes)


def with_fields(config: Config, changes: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> Config:
    """A copy of nested dicts with other values at dotted names."""
    changed = config
    for name, value in dict(changes).items():
        changed = _with(changed, name.split("."), value)
    return changed


def parsed(config: Config, name: str, text: str) -> Any:
    """A value of the type that the config's field of that dotted name has.

    Raises:
      ValueError: there is no such field, or the text is of another type.
    """
    current: Any = config
    for part in name.split("."):
        if not isinstance(current, Mapping) or part not in current:
            raise ValueError(f"the config has no field {name} (configs/base.py has them all)")
        current = current[part]
    if isinstance(current, Mapping):
        raise ValueError(f"{name} is a group of fields; name one of {', '.join(current)}")
    if current is None or isinstance(current, str):
        return text
    try:
        value = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        value = None
    if isinstance(current, float) and type(value) is int:
        value = float(value)
    if isinstance(current, tuple | list) and isinstance(value, list):
        value = tuple(value)
    kind = tuple if isinstance(current, list) else type(current)
    if type(value) is not kind:
        raise ValueError(f"{name}: expected a value of type {kind.__name__}, such as {current!r}, got {text!r}")
    return value


def _split(text: str, *, where: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise ValueError(f"{where} holds {text!r}; expected {form}")
    return name.strip(), value.strip()


def _with(tree: Config, path: list[str], value: Any) -> Config:
    name, *rest = path
    return dict(tree) | {name: _with(tree[name], rest, value) if rest else value}
