"""All trials of a run, and the trials of each stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from avemo_jax.config import SWEPT, Experiment
from avemo_jax.experiment.variation import Variation
from avemo_jax.training.stage import Stage, make_stages
from avemo_jax.training.trials import Trial, make_trials, with_inner_trials


@dataclasses.dataclass(frozen=True)
class Grid:
    """All trials of a run.

    Attributes:
      stages: in order.
      trials: folds vary fastest, then seeds, then settings.
      num_inner: number of inner folds of each fold, where a later stage is fitted on out-of-fold predictions of earlier ones; else 0.
    """

    stages: tuple[Stage, ...]
    trials: tuple[Trial, ...]
    num_inner: int = 0

    def trials_of(self, stage: Stage) -> list[Trial]:
        """Return the trials that a stage trains: those of the grid, and where there are inner folds one for each of these."""
        if self.num_inner and stage.part == "train" and stage is not self.stages[-1]:
            return with_inner_trials(self.trials, self.num_inner)
        return list(self.trials)

    def position_in_grid(self, position: int) -> int:
        """Return the position among `trials` of a stage's trial; for a trial of an inner fold, that of the trial that it belongs to."""
        num_trials = len(self.trials)
        return position if position < num_trials else (position - num_trials) // self.num_inner


def make_grid(experiment: Experiment, variation: Variation, stages: Sequence[Stage], num_folds: int) -> Grid:
    """Return the grid of an experiment.

    Raises:
      ValueError: no seed, or a seed that is named twice.
    """
    trials = make_trials(
        num_folds=num_folds,
        seeds=experiment.train.seeds,
        hyper={name: getattr(experiment.train, name) for name in SWEPT},
        sweep=variation.numbers,
        fields=variation.fields,
        one_at_a_time=variation.one_at_a_time,
    )
    has_inner = any(stage.part == "inner" for stage in stages)
    return Grid(tuple(stages), tuple(trials), experiment.late.num_inner_folds if has_inner else 0)


def stages_of(experiment: Experiment) -> tuple[Stage, ...]:
    """Return the stages of an experiment."""
    return make_stages(experiment.train.stages, experiment.system.streams, freeze_earlier=experiment.train.freeze_earlier)
