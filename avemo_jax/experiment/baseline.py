"""The classical baseline (functionals and an SVM) on the same folds, reported with every run that has sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avemo_jax.data.prepared import PreparedSet
from avemo_jax.evaluation.predictions import Predictions, aggregate_segments
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.predictions import to_predictions
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.classical import fit_svm


def baseline_predictions(
    plan: GridPlan, functionals: PreparedSet, folds: Sequence[Fold], *, tested: PreparedSet | None = None
) -> Predictions:
    """Return the predictions of SVMs on functionals, one fitted on each fold.

    Clips without functionals get the class frequencies of the training part.

    Args:
      tested: functionals of the test parts, where they differ from those that are fitted on; default: `functionals`.
    """
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    features, has_features = functionals_of(plan, functionals)
    test_features, has_test_features = (features, has_features) if tested is None else functionals_of(plan, tested)
    label = np.asarray(plan.classes)
    results = []
    for fold in folds:
        rows = {part: np.asarray([row_of[clip_id] for clip_id in getattr(fold, part)]) for part in ("train", "validation", "test")}
        known = {part: index[has_features[index]] for part, index in rows.items()}
        svm = fit_svm(features, label, train=known["train"], validation=known["validation"], num_classes=plan.blueprint.num_classes)
        values = np.tile(svm.class_shares, (len(rows["test"]), 1))
        values[has_test_features[rows["test"]]] = svm.probabilities(test_features[rows["test"]][has_test_features[rows["test"]]])
        results.append((fold, 0, rows["test"], values))
    return to_predictions(plan, results)


def functionals_of(plan: GridPlan, functionals: PreparedSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the functionals of each clip, (C, D), the mean over its segments, and whether it has any, (C,) bool."""
    row_of = {clip.clip_id: row for row, clip in enumerate(plan.clips)}
    examples = [example for example in functionals.examples() if example.clip_id in row_of]
    values = np.concatenate([example.values[:1] for example in examples])
    clip = np.asarray([row_of[example.clip_id] for example in examples])
    features = aggregate_segments(clip, values, len(plan.clips), fallback=np.zeros(values.shape[1]))
    return features, np.isin(np.arange(len(plan.clips)), clip)
