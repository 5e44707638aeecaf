"""The values in which trials of a grid differ: swept numbers, swept fields, or the axes of an adaptive search; parsed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from avemo_jax.config import SWEPT, Experiment, swept_bounds
from avemo_jax.config.overrides import Changes, combinations, parse_value, swept_fields, values_to_try
from avemo_jax.search.space import Axis, parse_space


@dataclasses.dataclass(frozen=True)
class Variation:
    """The values in which trials of a grid differ, in addition to fold and seed.

    Attributes:
      numbers: hyper-parameter -> values that a sweep tries; hyper-parameters that are not swept are absent.
      fields: field that changes the compiled program, or several joined by "+" -> values that a sweep tries.
      axes: axes of an adaptive search; empty where nothing is searched.
      one_at_a_time: whether a sweep changes one number or field at a time, in place of all combinations.
    """

    numbers: Mapping[str, tuple[float, ...]]
    fields: Mapping[str, tuple[Any, ...]]
    axes: tuple[Axis, ...]
    one_at_a_time: bool = False

    @property
    def varied_numbers(self) -> set[str]:
        """Names of the hyper-parameters that are swept or searched; a trial has the same values of these in all stages."""
        return set(self.numbers) | {axis.name for axis in self.axes if not axis.is_field}


def variation_of(experiment: Experiment) -> Variation:
    """Return the parsed sweep or search of a config.

    Raises:
      ValueError: an entry of another form, an unknown field, or a sweep together with a search.
    """
    numbers = {name: values for name in SWEPT if (values := getattr(experiment.sweep, name))}
    fields = swept_fields(experiment)
    if not experiment.search.space:
        return Variation(numbers, fields, (), experiment.sweep.one_at_a_time)
    if numbers or fields:
        swept = next(iter(numbers), "fields")
        raise ValueError(f"search.space and sweep.{swept} are both set; search or sweep, not both in one run")

    def check(name: str, texts: Sequence[str]) -> None:
        values_to_try(experiment, name, texts, where="search.space")

    return Variation({}, {}, parse_space(experiment.search.space, swept_bounds(), check))


def tried_changes(experiment: Experiment, variation: Variation) -> list[Changes]:
    """Return the combinations of fields that a sweep or a search tries; one empty combination where there are no such fields."""
    searched = {
        axis.name: tuple(parse_value(experiment, axis.name, text) for text in axis.choices) for axis in variation.axes if axis.is_field
    }
    return combinations(searched or variation.fields, one_at_a_time=variation.one_at_a_time)
