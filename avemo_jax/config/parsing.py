"""Conversion of nested plain values (a ConfigDict, a run's config.json) to the config's types, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from avemo_jax.bounds import check_bounds
from avemo_jax.config.experiment import EncoderSettings, Experiment
from avemo_jax.config.onnx import ONNX_ENCODERS, OnnxSettings
from avemo_jax.text import nearest

T = TypeVar("T")


class ConfigError(ValueError):
    """The config has an unknown field, a value of a wrong type, or a number that is out of bounds."""


def parse(tree: Mapping[str, Any]) -> Experiment:
    """Turn nested plain values into an Experiment; fields that are absent take their defaults.

    Raises:
      ConfigError: an unknown field, with the nearest known name; a value of another type; a number that is out of bounds; a stream in use
        that is not defined.
    """
    experiment = _parsed(Experiment, tree, "")
    check_numbers(experiment)
    for name in experiment.system.streams:
        if name not in experiment.streams:
            raise ConfigError(
                f"system.streams names {name!r}, but the config defines the streams {', '.join(experiment.streams) or 'none'}"
                f"{nearest(name, experiment.streams)}"
            )
    return experiment


def check_numbers(node: Any, path: str = "") -> None:
    """Check all numbers of a config against the bounds of their fields; those of views are checked where views are made.

    Raises:
      ConfigError: the first number that is out of bounds.
    """
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        values = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
        try:
            check_bounds(type(node), values, path)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        node = values
    if isinstance(node, Mapping):
        for name, value in node.items():
            check_numbers(value, f"{path}{name}.")


def to_plain(value: Any) -> Any:
    """Turn dataclasses, mappings and tuples into plain dicts and lists, as JSON has them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(one) for name, one in value.items()}
    return [to_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _parsed(kind: type[T], tree: Any, path: str) -> T:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"config.{path.removesuffix('.')}: expected a group of fields, got {tree!r}")
    hints = typing.get_type_hints(kind)
    for name in tree:
        if name not in hints:
            raise ConfigError(f"the config has no field {path}{name}{nearest(name, hints)} (--help lists all fields)")
    return kind(**{name: _value(hints[name], value, f"{path}{name}") for name, value in tree.items()})


def _type_of(name: str, hint: Any) -> Any:
    """Return the type of a group in a mapping: ONNX encoders have settings of their own."""
    return OnnxSettings if hint is EncoderSettings and name in ONNX_ENCODERS else hint


def _value(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _parsed(typing.cast(Any, hint), value, f"{path}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _value(next(one for one in arguments if one is not type(None)), value, path)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(arguments[0], one, f"{path}[{index}]") for index, one in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {name: _value(_type_of(name, arguments[1]), one, f"{path}.{name}") for name, one in value.items()}
    if hint is Any:
        return tuple(value) if isinstance(value, list) else value
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = "a tuple" if origin is tuple else getattr(hint, "__name__", str(hint))
    raise ConfigError(f"config.{path}: expected {wanted}, got {value!r}; set --config.{path}=...")
