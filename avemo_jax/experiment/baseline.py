"""The classical baseline (functionals and a linear machine) on the same folds, reported with every run that has sound."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from avemo_jax.data.prepared import PreparedSet
from avemo_jax.evaluation.predictions import Predictions, aggregate_segments
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.machines import fit_classical

LOG = logging.getLogger(__name__)

# Of the two machines, the better one in inner folds of RAVDESS, see docs/systems/functionals.md.
MACHINE = "linear"
BASELINE_SYSTEM = f"functionals_{MACHINE}"


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Classifiers of functionals, one fitted on each fold."""

    plan: GridPlan
    folds: Sequence[Fold]
    classifiers: Sequence[FittedClassifier]

    def predict(self, functionals: PreparedSet) -> Predictions:
        """Return the predictions of the test parts; clips without functionals get the class frequencies of the training part.

        Args:
          functionals: of the corpus that the classifiers were fitted on, or of a degraded copy of it.
        """
        features, has_features = functionals_of(self.plan, functionals)
        row_of = {clip.clip_id: row for row, clip in enumerate(self.plan.clips)}
        results = []
        for fold, classifier in zip(self.folds, self.classifiers, strict=True):
            rows = np.asarray([row_of[clip_id] for clip_id in fold.test])
            values = np.tile(classifier.class_shares, (len(rows), 1))
            values[has_features[rows]] = classifier.probabilities(features[rows][has_features[rows]])
            results.append((fold, 0, rows, values))
        return to_predictions(self.plan, results)


def fit_baseline(plan: GridPlan, functionals: PreparedSet | None, folds: Sequence[Fold]) -> Baseline | None:
    """Return the baseline fitted on each of these folds.

    It is None where there is no sound, where the system is a classical one itself, and, with a warning, where it cannot be fitted.
    """
    if functionals is None or plan.stages[-1].is_classical:
        return None
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    label, speaker = np.asarray(plan.classes), np.asarray([clip.speaker for clip in plan.clips])
    classifiers = []
    try:
        features, has_features = functionals_of(plan, functionals)
        for fold in folds:
            train, validation = (
                rows[has_features[rows]]
                for rows in (np.asarray([row_of[clip_id] for clip_id in part]) for part in (fold.train, fold.validation))
            )
            parts = {"train": train, "validation": validation}
            classifiers.append(fit_classical(MACHINE, features, label, speaker=speaker, num_classes=plan.blueprint.num_classes, **parts))
    except ValueError as error:
        LOG.warning("the classical baseline is left out: %s", error)
        return None
    return Baseline(plan, folds, classifiers)


def functionals_of(plan: GridPlan, functionals: PreparedSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the functionals of each clip, (C, D), the mean over its segments, and whether it has any, (C,) bool."""
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    examples = [example for example in functionals.examples() if example.clip_id in row_of]
    values = np.concatenate([example.values[:1] for example in examples])
    clip = np.asarray([row_of[example.clip_id] for example in examples])
    features = aggregate_segments(clip, values, len(plan.clips), fallback=np.zeros(values.shape[1]))
    return features, np.isin(np.arange(len(plan.clips)), clip)
