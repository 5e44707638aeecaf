"""The stage of the classical system: a machine on statistics over the steps of each clip, in any number of streams."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.config import Experiment
from avemo_jax.data.feed import Feed
from avemo_jax.evaluation.metrics import metric_named
from avemo_jax.experiment.grid_plan import GridPlan, load_data
from avemo_jax.experiment.segment_statistics import deviations_of, statistics_over_steps
from avemo_jax.experiment.stored_classifiers import has_classifiers, read_classifiers
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.machines import fit_classical
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial

_ROWS_AT_ONCE = 1024  # examples that are loaded together


@dataclasses.dataclass(frozen=True)
class ClassicalOutcome:
    """The classical system: one classifier a fold, which does not depend on the seed."""

    stage: Stage
    classifiers: Sequence[FittedClassifier]
    features: np.ndarray
    usable: np.ndarray

    @property
    def num_params(self) -> int:
        return 0

    def score(self, position: int) -> float:
        return self.classifiers[position].validation_metric

    def has_failed(self, position: int) -> bool:
        return False

    def probabilities(self, positions: Sequence[int], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        pairs = zip(positions, rows, strict=True)
        return [self.classifiers[position].predict(self.features[own], self.usable[own]) for position, own in pairs]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics over the real steps of N examples.

    Attributes:
      features: (N, D) float64, stream by stream; NaN in all features of a stream without a real step.
      widths: number of features of each stream.
      usable: (N,) bool, whether an example has a real step in any stream.
      clip, label: (N,) position in the plan's clips, and class.
      copy: (N,) number of the degraded copy of the corpus that an example is of, 0 for the corpus itself.
    """

    features: np.ndarray
    widths: tuple[int, ...]
    usable: np.ndarray
    clip: np.ndarray
    label: np.ndarray
    copy: np.ndarray


def fit_classical_stage(plan: GridPlan, stage: Stage) -> ClassicalOutcome:
    """Return the classical system: for each fold a classifier of the examples' statistics, fitted on training clips and their copies.

    Raises:
      ValueError: a fold cannot be fitted.
    """
    found = statistics_with_copies(plan, stage)
    classifiers: dict[int, FittedClassifier] = {}
    for trial in plan.trials:
        if trial.fold not in classifiers:
            classifiers[trial.fold] = fit_fold(plan, stage, found, trial)
    num_own = int(np.sum(found.copy == 0))
    own = [classifiers[trial.fold] for trial in plan.trials]
    return ClassicalOutcome(stage, own, found.features[:num_own], found.usable[:num_own])


def statistics_with_copies(plan: GridPlan, stage: Stage) -> Statistics:
    """Return the statistics of the corpus's examples, followed by those of its degraded copies.

    Raises:
      ValueError: a feature is no finite number.
    """
    feeds = itertools.chain([plan.data], _feeds_of_copies(plan))
    parts = [statistics_of(plan.experiment, feed, stage) for feed in feeds]
    copy = np.repeat(np.arange(len(parts)), [len(one.clip) for one in parts])
    names = ("features", "usable", "clip", "label")
    joined = {name: np.concatenate([getattr(one, name) for one in parts]) for name in names}
    return Statistics(**joined, widths=parts[0].widths, copy=copy)


def fit_fold(plan: GridPlan, stage: Stage, found: Statistics, trial: Trial) -> FittedClassifier:
    """Return the classifier of a trial's fold, fitted on `statistics_with_copies` or on what was made of their features.

    Raises:
      ValueError: the fold cannot be fitted.
    """
    train, validation = rows_of_parts(plan, stage, found, trial)
    return fit_classical(
        stage.part,
        found.features,
        found.label,
        speaker=np.asarray([one.speaker for one in plan.clips])[found.clip],
        train=train,
        validation=validation,
        num_classes=plan.blueprint.num_classes,
        widths=found.widths,
        metric=counted_metric(plan.experiment.protocol.metric),
    )


def rows_of_parts(plan: GridPlan, stage: Stage, found: Statistics, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """Return the usable rows of a fold's training clips and their copies, and those of its selection part without copies.

    The selection part is empty where the validation part trains and nothing else is selected on (protocol.select is "last").
    """
    row_of = {one.clip_id: row for row, one in enumerate(plan.clips)}
    train_clips, select_clips = plan.part_clips(stage, trial)
    train = [row_of[clip_id] for clip_id in train_clips]
    select = [] if plan.experiment.protocol.select == "last" else [row_of[clip_id] for clip_id in select_clips]
    return (
        np.flatnonzero(np.isin(found.clip, train) & found.usable),
        np.flatnonzero(np.isin(found.clip, select) & found.usable & (found.copy == 0)),
    )


def restore_classical_stage(plan: GridPlan, stage: Stage, workdir: Path) -> ClassicalOutcome:
    """Return the classical system of a run, with its stored classifiers; those of a run of an earlier version are fitted again.

    Raises:
      ForeignFile, ValueError: see `read_classifiers`.
    """
    if not has_classifiers(workdir):
        return fit_classical_stage(plan, stage)
    own = statistics_of(plan.experiment, plan.data, stage)
    num_classes = plan.blueprint.num_classes
    classifiers = read_classifiers(workdir, stage, plan.trials, num_features=own.features.shape[1], num_classes=num_classes)
    return ClassicalOutcome(stage, classifiers, own.features, own.usable)


def _feeds_of_copies(plan: GridPlan) -> Iterator[Feed]:
    """Yield the examples of the degraded copies of the corpus, one after another, since each may be as large as the corpus."""
    for copy in plan.copies:
        yield load_data(plan.experiment, plan.clips, plan.classes, copy)


def statistics_of(experiment: Experiment, data: Feed, stage: Stage) -> Statistics:
    """Return the mean over the real steps of each example, and where a stream's pooling is "mean_std", their deviation behind it.

    Raises:
      ValueError: a feature is no finite number.
    """
    feed = data.only(stage.streams)
    has_deviation = deviations_of(experiment, stage)
    blocks: list[list[np.ndarray]] = []
    for start in range(0, len(feed.clip), _ROWS_AT_ONCE):
        batch = feed.load(np.arange(start, min(start + _ROWS_AT_ONCE, len(feed.clip))))
        blocks.append([statistics_over_steps(batch[stream], batch[f"{stream}_mask"], has_deviation[stream]) for stream in stage.streams])
    streams = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    for stream, values in zip(stage.streams, streams, strict=True):
        wrong = ~np.isfinite(values).all(axis=1) & ~np.isnan(values).all(axis=1)
        if wrong.any():
            raise ValueError(f"stream {stream}: expected finite features, found others in clip {feed.clip_ids[feed.clip[wrong.argmax()]]}")
    widths, copy = tuple(one.shape[1] for one in streams), np.zeros(len(feed.clip), int)
    return Statistics(np.concatenate(streams, axis=1), widths, feed.usable, feed.clip, feed.label, copy)


def counted_metric(metric: str) -> str:
    """Return the metric by which classifiers are selected: `metric`, or UAR where `metric` needs probabilities."""
    return "uar" if metric_named(metric).from_confusion is None else metric
