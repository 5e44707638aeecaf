"""What the trained systems of a run know of single speakers, to be adapted to them: of test speakers, and of others to choose on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from avemo_jax.data.per_speaker import standardize_per_speaker
from avemo_jax.evaluation.metrics import LEAST_PROBABILITY
from avemo_jax.evaluation.predictions import aggregate_segments
from avemo_jax.experiment.classical_stage import Statistics, fit_fold, rows_of_parts
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.training.adaptation import SpeakerModel, probability_covariance, residual_covariance
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.decisions import SupportVectorDecision
from avemo_jax.training.machines import KERNELS
from avemo_jax.training.ridge import inner_folds, ridge_path
from avemo_jax.training.stage import Stage


@dataclasses.dataclass(frozen=True)
class AdaptableSpeaker:
    """A speaker, and a machine that was fitted without him.

    Attributes:
      speaker: name.
      model: what the machine knows of his examples.
      clip: (R,) position of each example's clip in the plan's clips.
      classes: (C,) classes of the machine's decision values.
      to_probabilities: decision values (R, C) to probabilities (R, K).
      fallback: (K,), of a clip without an example.
    """

    speaker: str
    model: SpeakerModel
    clip: np.ndarray
    classes: np.ndarray
    to_probabilities: Callable[[np.ndarray], np.ndarray]
    fallback: np.ndarray

    def predict(
        self, plan: GridPlan, tested: np.ndarray, labelled: Sequence[int] = (), weight: float = 0.0, rule: str = "mean"
    ) -> np.ndarray:
        """Return probabilities (N, K) of the clips `tested` after adaptation by clips `labelled`, positions in the plan's clips."""
        chosen = np.flatnonzero(np.isin(self.clip, labelled))
        target = (np.asarray(plan.classes)[self.clip[chosen], None] == self.classes).astype(float)
        found = self.to_probabilities(self.model.adapted(chosen, target, weight))
        position = {clip: place for place, clip in enumerate(tested)}
        rows = np.flatnonzero(np.isin(self.clip, tested))
        index = np.asarray([position[clip] for clip in self.clip[rows]], dtype=int)
        return aggregate_segments(index, found[rows], len(tested), fallback=self.fallback, rule=rule)


class SpeakerSource(Protocol):
    """The machines of a run, by the position of their trial."""

    def of_tests(self, position: int) -> list[AdaptableSpeaker]:
        """Return the test speakers of the trial's fold."""

    def to_choose_on(self, position: int) -> Iterator[AdaptableSpeaker]:
        """Yield speakers outside of the test part, each with a machine that was fitted without him; none where there are no such."""


@dataclasses.dataclass(frozen=True)
class RidgeSource:
    """Ridge regression of the stages "linear" and "kernel".

    Attributes:
      found: statistics of the plan's examples and their copies.
      classifiers: one a trial, fitted on `found`.
    """

    plan: GridPlan
    stage: Stage
    found: Statistics
    classifiers: Sequence[FittedClassifier]

    def of_tests(self, position: int) -> list[AdaptableSpeaker]:
        trial, classifier = self.plan.trials[position], self.classifiers[position]
        train, _ = rows_of_parts(self.plan, self.stage, self.found, trial)
        rows = self.plan.test_rows(trial)
        return self._speakers(classifier, train, rows[self.found.usable[rows]])

    def to_choose_on(self, position: int) -> Iterator[AdaptableSpeaker]:
        trial, classifier = self.plan.trials[position], self.classifiers[position]
        speaker = np.asarray([clip.speaker for clip in self.plan.clips])[self.found.clip]
        train, select = rows_of_parts(self.plan, self.stage, self.found, trial)
        for fitted, held_out in inner_folds(train, select, speaker):
            classes, decide = ridge_path(
                self.found.features[fitted],
                self.found.label[fitted],
                kernel=KERNELS[self.stage.part],
                widths=self.found.widths,
                penalties=[classifier.regularization],
            )
            decide = dataclasses.replace(decide, weights=decide.weights[0])
            machine = dataclasses.replace(classifier, classes=classes, decide=decide)
            is_new = ~np.isin(speaker[held_out], speaker[fitted]) & (self.found.copy[held_out] == 0)
            if is_new.any():
                yield from self._speakers(machine, fitted, held_out[is_new])

    def _speakers(self, machine: FittedClassifier, train: np.ndarray, rows: np.ndarray) -> list[AdaptableSpeaker]:
        features, noise = self.found.features, machine.regularization * len(train)
        assert not isinstance(machine.decide, SupportVectorDecision), "it is no ridge regression"
        decision = machine.decide(features[rows])
        covariance = residual_covariance(machine.decide, features[train], features[rows], noise)
        speakers = np.asarray([self.plan.clips[clip].speaker for clip in self.found.clip[rows]])
        found = []
        for speaker in np.unique(speakers):
            own = np.flatnonzero(speakers == speaker)
            model = SpeakerModel(rows[own], decision[own], covariance[np.ix_(own, own)], noise)
            found.append(
                AdaptableSpeaker(
                    str(speaker), model, self.found.clip[rows[own]], machine.classes, machine.from_decision, machine.class_shares
                )
            )
        return found


@dataclasses.dataclass(frozen=True)
class ProbabilitySource:
    """Any system, of which only probabilities are known; the validation part, on which its networks were not trained, is chosen on."""

    plan: GridPlan
    outcome: Outcome

    def of_tests(self, position: int) -> list[AdaptableSpeaker]:
        return self._speakers(position, self.plan.test_rows(self.plan.trials[position]))

    def to_choose_on(self, position: int) -> Iterator[AdaptableSpeaker]:
        trial = self.plan.trials[position]
        speaker_of = {clip.clip_id: clip.speaker for clip in self.plan.clips}
        trained = {speaker_of[clip_id] for clip_id in self.plan.folds.folds[trial.fold].train}
        validation = self.plan.validation_clips(self.outcome.stage, trial)
        if new := [clip_id for clip_id in validation if speaker_of[clip_id] not in trained]:
            yield from self._speakers(position, self.plan.data.examples_of(new))

    def _speakers(self, position: int, rows: np.ndarray) -> list[AdaptableSpeaker]:
        num_classes = self.plan.blueprint.num_classes
        probabilities = np.asarray(self.outcome.probabilities([position], [rows])[0], dtype=np.float64)[:, :num_classes]
        clip, usable = self.plan.data.clip[rows], self.plan.data.usable[rows]
        speakers = np.asarray([self.plan.clips[one].speaker for one in clip])
        found = []
        for speaker in np.unique(speakers):
            own = np.flatnonzero(speakers == speaker)
            covariance = probability_covariance(probabilities[own]) * np.outer(usable[own], usable[own])
            model = SpeakerModel(rows[own], probabilities[own], covariance, 1.0)
            uniform = np.full(num_classes, 1 / num_classes)  # every clip has an example here
            found.append(AdaptableSpeaker(str(speaker), model, clip[own], np.arange(num_classes), _as_probabilities, uniform))
        return found


def with_own_statistics(plan: GridPlan, stage: Stage, found: Statistics) -> RidgeSource:
    """Return machines fitted on features that are z-scored speaker by speaker with all clips of the speaker, and no label.

    Copies are z-scored by themselves. A stream that a clip lacks stays lacking.
    """
    speaker = np.asarray([clip.speaker for clip in plan.clips])[found.clip]
    group = np.asarray([f"{copy} {name}" for copy, name in zip(found.copy, speaker, strict=True)])
    features = np.full_like(found.features, np.nan)
    ends = np.cumsum(found.widths)
    for start, end in zip(ends - found.widths, ends, strict=True):
        has = ~np.isnan(found.features[:, start])
        features[has, start:end] = standardize_per_speaker(found.features[has, start:end], group[has])
    own = dataclasses.replace(found, features=features)
    fitted: dict[int, FittedClassifier] = {}
    for trial in plan.trials:
        if trial.fold not in fitted:
            fitted[trial.fold] = fit_fold(plan, stage, own, trial)
    return RidgeSource(plan, stage, own, [fitted[trial.fold] for trial in plan.trials])


def _as_probabilities(decision: np.ndarray) -> np.ndarray:
    """Return adapted probabilities (R, K) as shares again; the largest stays the largest, since each row sums to 1 before."""
    positive = np.maximum(decision, LEAST_PROBABILITY)
    return positive / positive.sum(axis=1, keepdims=True)
