"""Finished stages of every kind, with one interface: the probabilities of any examples by each of their trials."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from avemo_jax.evaluation.late_fusion import FusionRule, fit_rule, rule_from_json, score_of
from avemo_jax.evaluation.predictions import aggregate_segments
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.training.programs import Program
from avemo_jax.training.stage import Stage, answers_from
from avemo_jax.training.state import TrialState
from avemo_jax.training.trials import Trial


class Outcome(Protocol):
    """A finished stage; positions are those of `plan.trials`, followed by those of trials of inner folds."""

    @property
    def stage(self) -> Stage: ...

    @property
    def num_params(self) -> int:
        """Number of parameters of one trial's model; of the largest one where a sweep changes the number."""

    def score(self, position: int) -> float:
        """Return the selection metric of a trial, higher is better."""

    def has_failed(self, position: int) -> bool:
        """Return whether a trial has no trained weights, because its loss was not finite before its first epoch was finished."""

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return (n, K) probabilities of the examples `rows` (n,) by each of these trials."""


@dataclasses.dataclass(frozen=True)
class TrainedGroup:
    """Trials that were trained together: their program, their positions among the stage's trials, and their states."""

    program: Program
    positions: Sequence[int]
    states: Sequence[TrialState]


@dataclasses.dataclass(frozen=True)
class NetworkOutcome:
    """Trained networks."""

    stage: Stage
    groups: Sequence[TrainedGroup]

    @functools.cached_property
    def state_of(self) -> dict[int, TrialState]:
        """State of each trial by its position; only of this process's trials before those of other processes are read."""
        return dict(pair for group in self.groups for pair in zip(group.positions, group.states, strict=True))

    @functools.cached_property
    def states(self) -> list[TrialState]:
        """All states, in the order of the stage's trials."""
        return [self.state_of[position] for position in sorted(self.state_of)]

    @property
    def num_params(self) -> int:
        return max(sum(leaf.size for leaf in jax.tree.leaves(group.states[0].best.params)) for group in self.groups)

    def score(self, position: int) -> float:
        return float(self.states[position].best.metric)

    def has_failed(self, position: int) -> bool:
        return bool(self.states[position].best.epoch < 0)

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for group in self.groups:
            wanted = [index for index, position in enumerate(positions) if position in group.positions]
            if not wanted:
                continue
            size = max(len(rows[index]) for index in wanted)
            padded = [np.pad(rows[index], (0, size - len(rows[index]))).astype(np.int32) for index in wanted]
            states = group.program.lanes([self.state_of[positions[index]] for index in wanted])
            lanes = group.program.predict(states, group.program.lanes(padded))
            for index, one in zip(wanted, group.program.trials(lanes, len(wanted)), strict=True):
                found[index] = np.asarray(one)[: len(rows[index])]
        return [found[index] for index in range(len(positions))]


@dataclasses.dataclass(frozen=True)
class LateOutcome:
    """Earlier stages and, for each trial, the fitted rule that joins their probabilities."""

    stage: Stage
    earlier: Sequence[NetworkOutcome]
    joiners: Sequence[FusionRule]
    scores: Sequence[float]

    @property
    def num_params(self) -> int:
        return sum(one.num_params for one in self.earlier)

    def score(self, position: int) -> float:
        return self.scores[position]

    def has_failed(self, position: int) -> bool:
        return any(one.has_failed(position) for one in self.earlier)

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        each = [one.probabilities(positions, rows) for one in self.earlier]
        return [self.joiners[position].join(parts) for position, *parts in zip(positions, *each, strict=True)]

    def as_json(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Return the rule of each trial, as late.json lists them."""
        return [
            {"trial": trial.number, "fold": trial.fold, "seed": trial.seed, "setting": trial.setting, "score": score} | joiner.to_json()
            for trial, joiner, score in zip(trials, self.joiners, self.scores, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class FallbackOutcome:
    """The network of all streams, and earlier ones that answer the examples that lack streams (`fusion.fallback`).

    Attributes:
      whole: of the last stage.
      earlier: of the stages before it.
      present: stream -> (N,) bool, whether an example of the corpus has real steps of it.
    """

    whole: NetworkOutcome
    earlier: Sequence[NetworkOutcome]
    present: Mapping[str, np.ndarray]

    @property
    def stage(self) -> Stage:
        return self.whole.stage

    @property
    def num_params(self) -> int:
        return self.whole.num_params

    def score(self, position: int) -> float:
        return self.whole.score(position)

    def has_failed(self, position: int) -> bool:
        return any(one.has_failed(position) for one in (self.whole, *self.earlier))

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = [np.array(one) for one in self.whole.probabilities(positions, rows)]
        streams = [one.stage.streams for one in (self.whole, *self.earlier)]
        chosen = [answers_from(streams, {name: has[own] for name, has in self.present.items()}) for own in rows]
        for number, one in enumerate(self.earlier, 1):
            lacking = [own[which == number] for own, which in zip(rows, chosen, strict=True)]
            if not any(map(len, lacking)):
                continue
            for values, which, replaced in zip(found, chosen, one.probabilities(positions, lacking), strict=True):
                values[which == number] = replaced
        return found


def with_fallback(plan: GridPlan, outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of the last stage; with `fusion.fallback` clips that lack streams are answered by earlier stages."""
    *earlier, last = outcomes
    if not plan.experiment.fusion.fallback or not isinstance(last, NetworkOutcome):
        return last
    present = {name: np.asarray(plan.data.lengths_of(name)) > 0 for name in last.stage.streams}
    return FallbackOutcome(last, [one for one in earlier if isinstance(one, NetworkOutcome)], present)


def fit_late(plan: GridPlan, stage: Stage, earlier: Sequence[NetworkOutcome]) -> LateOutcome:
    """Return late fusion, with the rule of each trial fitted on out-of-fold predictions of the training part by the inner folds' trials.

    The test part is not used: weights are fitted on the training part, and the score is that of the selection part.
    """
    rule, metric = plan.experiment.late.rule, plan.experiment.protocol.metric
    joiners, scores = [], []
    num_inner = len(plan.inner[0])
    for position, trial in enumerate(plan.trials):
        out_of_fold = [plan.data.examples_of(clip_ids) for clip_ids in plan.inner[trial.fold]]
        # The trials of a stage are in the order of `with_inner_trials`: first the grid, then the inner folds of each of its trials.
        inner = [len(plan.trials) + position * num_inner + index for index in range(num_inner)]
        probabilities = [np.concatenate(one.probabilities(inner, out_of_fold)) for one in earlier]
        clips, joined = _clip_level(plan, np.concatenate(out_of_fold), probabilities)
        speaker = np.array([plan.clips[clip].speaker for clip in clips])
        joiners.append(fit_rule(rule, np.asarray(plan.classes)[clips], joined, speaker=speaker, metric=metric))
        select = plan.data.examples_of(plan.part_clips(stage, trial)[1])
        selected = [one.probabilities([position], [select])[0] for one in earlier]
        clips, (fused,) = _clip_level(plan, select, [joiners[-1].join(selected)])
        scores.append(score_of(np.asarray(plan.classes)[clips], fused, metric))
    return LateOutcome(stage, earlier, joiners, scores)


def restore_late(stage: Stage, earlier: Sequence[NetworkOutcome], content: Sequence[Mapping[str, Any]]) -> LateOutcome:
    """Return the outcome from the content that `LateOutcome.as_json` has written."""
    return LateOutcome(stage, earlier, [rule_from_json(one) for one in content], [float(one["score"]) for one in content])


def _clip_level(plan: GridPlan, rows: np.ndarray, probabilities: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the clips (C,) that these examples belong to, and their probabilities (C, K)."""
    clip = plan.data.clip[rows]
    clips, segment_of = np.unique(clip, return_inverse=True)
    rule = plan.experiment.system.segment_rule
    return clips, [aggregate_segments(segment_of, one, len(clips), rule=rule) for one in probabilities]
