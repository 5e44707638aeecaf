"""The row that is always there: the classical baseline on the same folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avemo_jax.data.prepared import PreparedSet
from avemo_jax.evaluation.predictions import Predictions, aggregate_segments
from avemo_jax.experiment.plan import Plan
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.classical import fit_svm


def baseline_predictions(plan: Plan, functionals: PreparedSet, folds: Sequence[Fold], *, tested: PreparedSet | None = None) -> Predictions:
    """Fit and test the SVM on functionals, fold after fold; clips without functionals get the training part's class frequencies."""
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    features, has_features = functionals_of(plan, functionals)
    shown, is_shown = (features, has_features) if tested is None else functionals_of(plan, tested)
    label = np.asarray(plan.classes)
    posteriors = []
    for fold in folds:
        rows = {part: np.asarray([row_of[clip_id] for clip_id in getattr(fold, part)]) for part in ("train", "validation", "test")}
        known = {part: index[has_features[index]] for part, index in rows.items()}
        machine = fit_svm(features, label, train=known["train"], validation=known["validation"], num_classes=len(plan.labels.classes))
        posterior = np.tile(machine.class_shares, (len(rows["test"]), 1))
        posterior[is_shown[rows["test"]]] = machine.probabilities(shown[rows["test"]][is_shown[rows["test"]]])
        posteriors.append((fold, 0, rows["test"], posterior))
    return to_predictions(plan, posteriors)


def functionals_of(plan: Plan, functionals: PreparedSet) -> tuple[np.ndarray, np.ndarray]:
    """Functionals of each clip, (C, D), the mean over its segments, and whether it has any, (C,) bool."""
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    examples = [example for example in functionals.examples() if example.clip_id in row_of]
    values = np.concatenate([example.values[:1] for example in examples])
    clip = np.asarray([row_of[example.clip_id] for example in examples])
    features = aggregate_segments(clip, values, len(plan.clips), fallback=np.zeros(values.shape[1]))
    return features, np.isin(np.arange(len(plan.clips)), clip)
