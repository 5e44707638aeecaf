"""The classical baseline (functionals and a linear machine) on the same folds, reported with every run that has sound."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from avemo_jax.data.prepared import PreparedSet
from avemo_jax.evaluation.predictions import Predictions, aggregate_segments
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.machines import fit_classical
from avemo_jax.training.ridge import fit_ridge_rating

LOG = logging.getLogger(__name__)

# Of the two machines, the better one in inner folds of RAVDESS, see docs/systems/functionals.md.
MACHINE = "linear"
BASELINE_SYSTEM = f"functionals_{MACHINE}"


@dataclasses.dataclass(frozen=True)
class FoldBaseline:
    """The baseline of one fold.

    Attributes:
      classifier: of the classes; None where there is a single one.
      ridges: ridge regression of each dimension: features (N, F) -> (N,).
      mean_ratings: (D,), of the training part, the prediction for a clip without functionals.
    """

    classifier: FittedClassifier | None
    ridges: Sequence[Callable[[np.ndarray], np.ndarray]]
    mean_ratings: np.ndarray

    def predict(self, features: np.ndarray, has_features: np.ndarray) -> np.ndarray:
        """Return probabilities and values (N, K + D) of clips with functionals (N, F), some of which may have none."""
        of_classes = np.ones((len(features), 1)) if self.classifier is None else self.classifier.predict(features, has_features)
        values = np.tile(self.mean_ratings, (len(features), 1))
        for column, ridge in enumerate(self.ridges):
            values[has_features, column] = ridge(features[has_features])
        return np.concatenate([of_classes, values], axis=1)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Linear machines on functionals, fitted on each fold."""

    plan: GridPlan
    folds: Sequence[Fold]
    fitted: Sequence[FoldBaseline]

    def predict(self, functionals: PreparedSet) -> Predictions:
        """Return the predictions of the test parts.

        A clip without functionals gets the class frequencies and mean ratings of the training part.

        Args:
          functionals: of the corpus that the machines were fitted on, or of a degraded copy of it.
        """
        features, has_features = functionals_of(self.plan, functionals)
        row_of = {clip.clip_id: row for row, clip in enumerate(self.plan.clips)}
        results = []
        for fold, fitted in zip(self.folds, self.fitted, strict=True):
            rows = np.asarray([row_of[clip_id] for clip_id in fold.test])
            results.append((fold, 0, rows, fitted.predict(features[rows], has_features[rows])))
        return to_predictions(self.plan, results)


def is_of_functionals(plan: GridPlan) -> bool:
    """Return whether the system of a run is the classical system on functionals alone, beside which the baseline would say nothing."""
    stage = plan.stages[-1]
    return stage.is_classical and all(plan.experiment.streams[name].view == "functionals" for name in stage.streams)


def fit_baseline(plan: GridPlan, functionals: PreparedSet | None, folds: Sequence[Fold]) -> Baseline | None:
    """Return the baseline fitted on each of these folds.

    It is None where there is no sound, where the system is one of functionals itself, and, with a warning, where it cannot be fitted.
    """
    if functionals is None or is_of_functionals(plan):
        return None
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    label, speaker = np.asarray(plan.classes), np.asarray([clip.speaker for clip in plan.clips])
    num_classes, fitted = plan.blueprint.num_classes, []
    try:
        features, has_features = functionals_of(plan, functionals)
        for fold in folds:
            train, validation = (np.asarray([row_of[clip_id] for clip_id in part]) for part in (fold.train, fold.validation))
            train, validation = train[has_features[train]], validation[has_features[validation]]
            # As for the networks, the validation part trains where nothing is selected on it; without speakers it chooses the penalty.
            if plan.trains_on_validation and len(set(speaker[train]) - {""}) > 1:
                train, validation = np.concatenate([train, validation]), validation[:0]
            shared: dict[str, Any] = {"speaker": speaker, "train": train, "validation": validation}
            classifier = fit_classical(MACHINE, features, label, num_classes=num_classes, **shared) if num_classes > 1 else None
            ridges = [fit_ridge_rating(features, column, **shared) for column in plan.ratings.T]
            fitted.append(FoldBaseline(classifier, ridges, mean_ratings(plan, fold)))
    except ValueError as error:
        LOG.warning("the classical baseline is left out: %s", error)
        return None
    return Baseline(plan, folds, fitted)


def mean_ratings(plan: GridPlan, fold: Fold) -> np.ndarray:
    """Return the mean rating (D,) of the training part of a fold in each dimension."""
    is_trained = np.isin([clip.clip_id for clip in plan.clips], plan.train_clips(fold))
    return np.nanmean(plan.ratings[is_trained], axis=0)


def functionals_of(plan: GridPlan, functionals: PreparedSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the functionals of each clip, (C, D), the mean over its segments, and whether it has any, (C,) bool."""
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    examples = [example for example in functionals.examples() if example.clip_id in row_of]
    values = np.concatenate([example.values[:1] for example in examples])
    clip = np.asarray([row_of[example.clip_id] for example in examples])
    features = aggregate_segments(clip, values, len(plan.clips), fallback=np.zeros(values.shape[1]))
    return features, np.isin(np.arange(len(plan.clips)), clip)
