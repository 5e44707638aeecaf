"""The project's linear machine as a classifier of scikit-learn, for its pipelines, searches and cross-validations.

from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

features, label, speaker = prepared_features("prepared/ravdess-functionals-...", clips)
cross_val_predict(LinearEmotionClassifier(), features, label, groups=speaker, cv=LeaveOneGroupOut(), params={"groups": speaker})
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GroupKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from avemo_jax.training.ridge import PENALTIES, fit_ridge_classes

_NUM_FOLDS = 5


class LinearEmotionClassifier(ClassifierMixin, BaseEstimator):
    """Ridge regression of class indicators, its penalty chosen by folds that share no group; see `training.ridge.fit_ridge_classes`.

    A fifth of the groups is left out once, to fit the softmax temperature; then the machine is fitted on all rows with the penalty that was
    chosen on the others. Without groups each row is one: then recordings of one speaker decide on each other, and the choice is optimistic.

    Args:
      kernel: "linear" or "gaussian".
      metric: name of a metric of `evaluation.metrics`; it chooses the penalty.
      penalties: values to try.

    Attributes:
      classes_: labels in sorted order.
      penalty_, temperature_: what was chosen.
      n_features_in_: number of features.
    """

    def __init__(self, kernel: str = "linear", metric: str = "uar", penalties: tuple[float, ...] = PENALTIES):
        self.kernel = kernel
        self.metric = metric
        self.penalties = penalties

    def fit(self, X: Any, y: Any, groups: Any = None) -> LinearEmotionClassifier:  # scikit-learn's names
        """Fit features X (N, D) and labels y (N,); `groups` (N,) are speakers.

        Raises:
          ValueError: features that are not finite, one class, groups of another length, or an unknown kernel.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        if self.kernel not in ("linear", "gaussian"):
            raise ValueError(f"kernel must be linear or gaussian, got {self.kernel!r}")
        self.classes_, label = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("expected labels of two classes at least, got one class")
        group = np.arange(len(y)) if groups is None else np.asarray(groups)
        if group.shape != y.shape:
            raise ValueError(f"expected groups {y.shape}, one a row, got {group.shape}")
        every = np.arange(len(y))
        fixed: dict[str, Any] = {
            "kernel": self.kernel,
            "num_classes": len(self.classes_),
            "metric": self.metric,
            "speaker": group.astype(str),
        }
        penalties, temperature = self.penalties, 1.0
        if (parts := _parts(label, group)) is not None:
            chosen = fit_ridge_classes(X, label, train=parts[0], validation=parts[1], penalties=penalties, **fixed)
            penalties, temperature = (chosen.regularization,), chosen.temperature
        fitted = fit_ridge_classes(X, label, train=every, validation=every, penalties=penalties, **fixed)
        self._fitted = dataclasses.replace(fitted, temperature=temperature)
        self.penalty_, self.temperature_ = fitted.regularization, temperature
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (N, K) float64 for features (N, D)."""
        check_is_fitted(self)
        return self._fitted.probabilities(validate_data(self, X, dtype=np.float64, reset=False))

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels (N,) of the largest probabilities."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _parts(label: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return rows to choose the penalty on and rows of other groups to fit the temperature on; None where there are too few."""
    num_folds = min(_NUM_FOLDS, len(np.unique(group)))
    if num_folds < 2:
        return None
    train, held_out = next(iter(GroupKFold(num_folds).split(label, groups=group)))
    return (train, held_out) if len(np.unique(label[train])) > 1 else None
