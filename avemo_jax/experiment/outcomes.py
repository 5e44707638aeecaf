"""What a finished stage can say: posteriors of any examples by each of its trials, however they come about."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from avemo_jax.evaluation.late_fusion import FusionRule, fit_rule, rule_from_json, score_of
from avemo_jax.evaluation.metrics import metric_named
from avemo_jax.evaluation.predictions import aggregate_segments
from avemo_jax.experiment.plan import Plan
from avemo_jax.training.classical import FittedSvm, fit_svm
from avemo_jax.training.execution import TrialProgram
from avemo_jax.training.grid import Stage, Trial
from avemo_jax.training.state import TrialState
from avemo_jax.training.stream_program import StreamProgram

Program = TrialProgram | StreamProgram


class Outcome(Protocol):
    """A finished stage. Positions are those of `plan.trials`, and beyond them those of trials of inner folds."""

    @property
    def stage(self) -> Stage: ...

    @property
    def num_params(self) -> int:
        """Parameters of one trial's model, of the largest where a sweep changes their number."""

    def score(self, position: int) -> float:
        """What the selection part said of a trial, higher is better."""

    def posteriors(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(n, K) posteriors of the examples `rows` (n,) by each of these trials."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Trials that were trained together: their program, their positions among the stage's trials, and their states."""

    program: Program
    positions: Sequence[int]
    states: Sequence[TrialState]


@dataclasses.dataclass(frozen=True)
class NetworkOutcome:
    """Trained networks."""

    stage: Stage
    batches: Sequence[Batch]

    @functools.cached_property
    def state_of(self) -> dict[int, TrialState]:
        """State of each trial by its position; of one process's share alone where it is all that there is."""
        return dict(pair for batch in self.batches for pair in zip(batch.positions, batch.states, strict=True))

    @functools.cached_property
    def states(self) -> list[TrialState]:
        """All states, in the order of the stage's trials."""
        return [self.state_of[position] for position in sorted(self.state_of)]

    @property
    def num_params(self) -> int:
        return max(sum(leaf.size for leaf in jax.tree.leaves(batch.states[0].best.params)) for batch in self.batches)

    def score(self, position: int) -> float:
        return float(self.states[position].best.metric)

    def posteriors(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for batch in self.batches:
            wanted = [index for index, position in enumerate(positions) if position in batch.positions]
            if not wanted:
                continue
            state_of = dict(zip(batch.positions, batch.states, strict=True))
            size = max(len(rows[index]) for index in wanted)
            padded = [np.pad(rows[index], (0, size - len(rows[index]))).astype(np.int32) for index in wanted]
            states = batch.program.lanes([state_of[positions[index]] for index in wanted])
            lanes = batch.program.predict(states, batch.program.lanes(padded))
            for index, posterior in zip(wanted, batch.program.trials(lanes, len(wanted)), strict=True):
                found[index] = np.asarray(posterior)[: len(rows[index])]
        return [found[index] for index in range(len(positions))]


@dataclasses.dataclass(frozen=True)
class LateOutcome:
    """Earlier stages whose posteriors are joined by a fitted rule, one a trial."""

    stage: Stage
    earlier: Sequence[NetworkOutcome]
    joiners: Sequence[FusionRule]
    scores: Sequence[float]

    @property
    def num_params(self) -> int:
        return sum(one.num_params for one in self.earlier)

    def score(self, position: int) -> float:
        return self.scores[position]

    def posteriors(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        said = [one.posteriors(positions, rows) for one in self.earlier]
        return [self.joiners[position].join(parts) for position, *parts in zip(positions, *said, strict=True)]

    def as_json(self, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """What is written to late.json: the rule of each trial."""
        return [
            {"trial": trial.number, "fold": trial.fold, "seed": trial.seed, "setting": trial.setting, "score": score} | joiner.to_json()
            for trial, joiner, score in zip(trials, self.joiners, self.scores, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class SvmOutcome:
    """The classical system: one machine a fold; seeds change nothing."""

    stage: Stage
    machines: Sequence[FittedSvm]
    features: np.ndarray
    usable: np.ndarray

    @property
    def num_params(self) -> int:
        return 0

    def score(self, position: int) -> float:
        return self.machines[position].validation_metric

    def posteriors(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        said = []
        for position, own in zip(positions, rows, strict=True):
            machine = self.machines[position]
            posterior = machine.probabilities(self.features[own])
            posterior[~self.usable[own]] = machine.class_shares
            said.append(posterior)
        return said


def fit_late(plan: Plan, stage: Stage, earlier: Sequence[NetworkOutcome]) -> LateOutcome:
    """Fit the rule of each trial on what the trials of its inner folds say of training clips that they have not seen.

    The test part has no say: weights are fitted on the training part, and the score is of the selection part.
    """
    rule, metric = plan.config["late"]["rule"], plan.config["protocol"]["metric"]
    joiners, scores = [], []
    num_inner = len(plan.inner[0])
    for position, trial in enumerate(plan.trials):
        unseen = [plan.data.examples_of(clip_ids) for clip_ids in plan.inner[trial.fold]]
        inner = [len(plan.trials) + position * num_inner + index for index in range(num_inner)]
        # A stage's own trials lie in the order of `with_inner_trials`: first the grid, then the inner folds of each of its trials.
        posteriors = [np.concatenate(one.posteriors(inner, unseen)) for one in earlier]
        joiners.append(fit_rule(rule, *_clip_level(plan, np.concatenate(unseen), posteriors), metric=metric))
        select = plan.data.examples_of(plan.selection_clips(stage, trial))
        said = [one.posteriors([position], [select])[0] for one in earlier]
        label, (joined,) = _clip_level(plan, select, [joiners[-1].join(said)])
        scores.append(score_of(label, joined, len(plan.labels.classes), metric))
    return LateOutcome(stage, earlier, joiners, scores)


def restore_late(stage: Stage, earlier: Sequence[NetworkOutcome], content: Sequence[Mapping[str, Any]]) -> LateOutcome:
    """Read what `LateOutcome.as_json` gave."""
    return LateOutcome(stage, earlier, [rule_from_json(one) for one in content], [float(one["score"]) for one in content])


def fit_machines(plan: Plan, stage: Stage) -> SvmOutcome:
    """Fit the classical system: the mean over an example's real steps into a support vector machine, fold after fold.

    Raises:
      ValueError: the examples stay on disk, or a fold cannot be fitted.
    """
    features, usable = machine_features(plan, stage)
    machines = {}
    for trial in plan.trials:
        if trial.fold in machines:
            continue
        train, select = plan.part_clips(stage, trial)
        rows = {name: plan.data.examples_of(clip_ids) for name, clip_ids in (("train", train), ("validation", select))}
        rows = {name: own[usable[own]] for name, own in rows.items()}
        machines[trial.fold] = fit_svm(
            features,
            plan.data.arrays["label"],
            train=rows["train"],
            validation=rows["validation"],
            num_classes=len(plan.labels.classes),
            metric=_counted(plan.config["protocol"]["metric"]),
        )
    return SvmOutcome(stage, [machines[trial.fold] for trial in plan.trials], features, usable)


def machine_features(plan: Plan, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the real steps of each example, (N, D), and whether it has any, (N,) bool.

    Raises:
      ValueError: the examples stay on disk.
    """
    arrays = plan.data.only(stage.streams).arrays
    (stream,) = stage.streams
    if stream not in arrays:
        raise ValueError("the stage 'svm' needs its features in memory; set --config.devices.feed=resident")
    mask = arrays[f"{stream}_mask"]
    values = arrays[stream].reshape(*mask.shape, -1)
    return (values * mask[..., None]).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)[:, None], arrays["usable"]


def _counted(metric: str) -> str:
    """Return the metric by which SVMs are selected: `metric`, or UAR where `metric` is one of probabilities."""
    return "uar" if metric_named(metric).from_confusion is None else metric


def _clip_level(plan: Plan, rows: np.ndarray, posteriors: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels (C,) and posteriors (C, K) of the clips that these examples are of."""
    clip = plan.data.arrays["clip"][rows]
    clips, segment_of = np.unique(clip, return_inverse=True)
    rule = plan.config["system"]["segment_rule"]
    return np.asarray(plan.classes)[clips], [aggregate_segments(segment_of, one, len(clips), rule=rule) for one in posteriors]
