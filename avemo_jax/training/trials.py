"""Trials: all combinations of folds, seeds and settings, and their inputs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avemo_jax.config.overrides import combinations

if TYPE_CHECKING:
    from avemo_jax.training.dimensions import Ratings
    from avemo_jax.training.state import TrialInputs


@dataclasses.dataclass(frozen=True)
class Trial:
    """One (fold, seed, hyper-parameters).

    Attributes:
      number: position in the grid.
      fold: index of the fold.
      seed: random seed of weights, order of examples and dropout.
      setting: index of the setting, 0 where nothing is swept.
      hyper: hyper-parameter name -> value.
      fields: (config field, value) of swept fields that change the program; trials with equal fields form a group.
      inner: index of the inner fold, a part of the training part that this trial predicts and is not trained on; -1 for none.
    """

    number: int
    fold: int
    seed: int
    setting: int
    hyper: Mapping[str, float]
    fields: tuple[tuple[str, Any], ...] = ()
    inner: int = -1


def make_trials(
    *,
    num_folds: int,
    seeds: Sequence[int],
    hyper: Mapping[str, float],
    sweep: Mapping[str, Sequence[float]],
    fields: Mapping[str, Sequence[Any]] | None = None,
    one_at_a_time: bool = False,
) -> list[Trial]:
    """Return all combinations of folds, seeds and swept values; folds vary fastest, then seeds, then numbers, then fields.

    Args:
      hyper: hyper-parameter -> value where it is not swept.
      sweep: hyper-parameter -> values to try; empty where it is not swept.
      fields: config field that changes the program, or several joined by "+" -> values to try.
      one_at_a_time: settings that differ from the first values in one thing alone, in place of all combinations.

    Raises:
      ValueError: no seed, or a seed that is named twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"train.seeds must name at least one seed and none twice, got {tuple(seeds)}")
    axes = {name: values for name, values in sweep.items() if values}
    changes = combinations({**(fields or {}), **axes}, one_at_a_time=one_at_a_time)
    settings = enumerate(
        (tuple(pair for pair in one if pair[0] not in axes), dict(hyper) | {name: value for name, value in one if name in axes})
        for one in changes
    )
    return [
        Trial(number, fold, seed, setting, values, pairs)
        for number, ((setting, (pairs, values)), seed, fold) in enumerate(itertools.product(settings, seeds, range(num_folds)))
    ]


def with_inner_trials(trials: Sequence[Trial], num_inner: int) -> list[Trial]:
    """Return the trials, followed by one trial for each of them and each inner fold."""
    inner = [dataclasses.replace(trial, inner=index) for trial in trials for index in range(num_inner)]
    return [*trials, *(dataclasses.replace(trial, number=len(trials) + offset) for offset, trial in enumerate(inner))]


def trial_groups(trials: Sequence[Trial]) -> list[list[int]]:
    """Return the positions of the trials of each program, which are those with equal fields, in order."""
    groups: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for position, trial in enumerate(trials):
        groups.setdefault(trial.fields, []).append(position)
    return list(groups.values())


def make_inputs(
    trials: Sequence[Trial], parts: Sequence[tuple[np.ndarray, np.ndarray]], ratings: Sequence[Ratings | None] | None = None
) -> list[TrialInputs]:
    """Return the inputs of each trial: its hyper-parameters and its rows.

    Trials that are given the same array of rows share one padded array.

    Args:
      parts: (training rows, selection rows) of each trial; they are padded to equal length.
      ratings: of each trial, where dimensions are predicted.
    """
    from avemo_jax.training.optimizers import Hyper  # late: brings JAX, which the prediction of classical systems does not need
    from avemo_jax.training.state import TrialInputs

    train_size, select_size = (max(len(part[which]) for part in parts) for which in (0, 1))
    made: dict[tuple[int, int], np.ndarray] = {}

    def padded(rows: np.ndarray, size: int) -> Any:  # on the host until `lanes`
        key = (id(rows), size)  # `parts` holds the arrays, so no other one takes their place
        if key not in made:
            made[key] = np.pad(rows, (0, size - len(rows))).astype(np.int32)
        return made[key]

    inputs = []
    for trial, (train, select), own in zip(trials, parts, ratings or [None] * len(trials), strict=True):
        values: dict[str, Any] = {name: np.float32(value) for name, value in trial.hyper.items()}
        inputs.append(
            TrialInputs(
                hyper=Hyper(**values, seed=np.int32(trial.seed)),  # type: ignore[arg-type]  # on the host until `lanes`
                train_index=padded(train, train_size),
                train_count=np.int32(len(train)),  # type: ignore[arg-type]
                select_index=padded(select, select_size),
                select_count=np.int32(len(select)),  # type: ignore[arg-type]
                ratings=own,
            )
        )
    return inputs
