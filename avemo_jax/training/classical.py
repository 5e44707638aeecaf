"""The classical system of a fold: what its machines have in common, and the support vector machine on standardised functionals.

It is reported with the results of every network, on the same folds and by the same rule: parameters are fitted on the training part,
hyper-parameters are selected on the validation part, and the test part is predicted once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from avemo_jax.evaluation.calibration import fit_temperature_of_logits
from avemo_jax.evaluation.metrics import confusion, metric_named
from avemo_jax.training.decisions import Decision, SupportVectorDecision

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

REGULARIZATIONS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclasses.dataclass(frozen=True)
class FittedClassifier:
    """The classical system of one fold.

    Attributes:
      num_classes: K.
      regularization: the selected C of an SVM, or penalty of a linear machine.
      temperature: the fitted softmax temperature.
      validation_metric: metric of the selected classifier on the validation part.
      class_shares: (K,) class frequencies of the training part, the prediction for a clip without features.
      classes: (C,) the classes that the training part has.
      decide: features (N, D) float64 -> decision values (N, C), as plain arrays.
    """

    num_classes: int
    regularization: float
    temperature: float
    validation_metric: float
    class_shares: np.ndarray
    classes: np.ndarray = dataclasses.field(repr=False)
    decide: Decision = dataclasses.field(repr=False)

    def predict(self, features: np.ndarray, has_features: np.ndarray) -> np.ndarray:
        """Return probabilities (N, K) float64 of clips with features (N, D), or `class_shares` where has_features (N,) is False."""
        found = np.tile(self.class_shares, (len(features), 1))
        found[has_features] = self.probabilities(features[has_features])
        return found

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities (N, K) float64 for features (N, D); the most probable class is the classifier's own prediction.

        They are the softmax of the decision values divided by the temperature; a class without training clips gets 0.
        """
        if not len(features):
            return np.zeros((0, self.num_classes))
        return self.from_decision(self.decide(np.asarray(features, dtype=np.float64)))

    def from_decision(self, decision: np.ndarray) -> np.ndarray:
        """Return probabilities (N, K) float64 of decision values (N, C)."""
        found = np.zeros((len(decision), self.num_classes))
        found[:, self.classes] = softmax(decision / self.temperature, axis=1)
        return found


def fit_svm(
    features: np.ndarray,
    label: np.ndarray,
    *,
    train: np.ndarray,
    validation: np.ndarray,
    num_classes: int,
    metric: str = "uar",
    regularizations: Sequence[float] = REGULARIZATIONS,
) -> FittedClassifier:
    """Return a support vector machine, fitted on one fold.

    StandardScaler and an SVC with RBF kernel (gamma "scale") are fitted on the training part; C and the softmax temperature are selected on
    the validation part, C by `metric` (the smallest of equally good ones), the temperature by likelihood.

    Args:
      features: (N, D) float, one row a clip; finite in both parts.
      label: (N,) int class index.
      train, validation: int indices into the N clips.
      num_classes: K.
      metric: name of a metric of `evaluation.metrics` that is computed from a confusion matrix.
      regularizations: values of C to try.

    Raises:
      ValueError: features that are not finite or not (N, D), an empty part, a training part of one class.
    """
    from sklearn.pipeline import make_pipeline  # imported late: it is slow, and prediction fits no SVM
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    features, label = np.asarray(features, dtype=np.float64), np.asarray(label)
    check_parts(features, label, {"train": train, "validation": validation})
    best: tuple[float, float, Pipeline] | None = None
    for regularization in sorted(regularizations):
        # break_ties: the largest decision value is the class that the SVC itself predicts.
        model = make_pipeline(StandardScaler(), SVC(C=regularization, kernel="rbf", gamma="scale", break_ties=True))
        model.fit(features[train], label[train])
        counts = confusion(label[validation], model.predict(features[validation]), num_classes)
        score = float(metric_named(metric).score(metric_named(metric).value(counts)))
        if best is None or score > best[0]:
            best = (score, regularization, model)
    assert best is not None, "regularizations must not be empty"
    score, regularization, model = best
    decide = _decision(model)
    decision = decide(features[validation])
    return FittedClassifier(
        num_classes=num_classes,
        regularization=regularization,
        temperature=fit_temperature(decision, label[validation], model.classes_),
        validation_metric=score,
        class_shares=share_of_classes(label[train], num_classes),
        classes=model.classes_,
        decide=decide,
    )


def _decision(model: Pipeline) -> SupportVectorDecision:
    """Return the decision function of a fitted scaler and SVC."""
    scaler, svc = model[0], model[-1]
    return SupportVectorDecision(
        mean=scaler.mean_,
        deviation=scaler.scale_,
        gamma=np.asarray(svc._gamma, np.float64),  # the number that gamma="scale" stands for; no public attribute has it
        rows=svc.support_vectors_,
        num_rows=svc.n_support_.astype(np.int64),
        coefficients=svc.dual_coef_,
        intercepts=svc.intercept_,
    )


def share_of_classes(label: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the frequency of each class, (K,), in labels (N,)."""
    return np.bincount(label, minlength=num_classes) / len(label)


def fit_temperature(decision: np.ndarray, label: np.ndarray, classes: np.ndarray) -> float:
    """Return the maximum-likelihood temperature of decision values (N, C); clips of a class without training clips are left out."""
    known = np.isin(label, classes)
    if not known.any():
        return 1.0
    return fit_temperature_of_logits(np.searchsorted(classes, label[known]), decision[known])


def check_parts(features: np.ndarray, label: np.ndarray, parts: dict[str, np.ndarray]) -> None:
    """Raise ValueError for features that are not finite or not (N, D), an empty part, or a training part of one class."""
    if features.ndim != 2 or len(features) != len(label):
        raise ValueError(f"expected features (N, D) and label (N,), got {features.shape} and {label.shape}")
    used = np.concatenate(list(parts.values()))
    if not np.isfinite(features[used]).all():
        rows = np.unique(used[~np.isfinite(features[used]).all(axis=1)])
        raise ValueError(
            f"features of {len(rows)} clips are not finite, the first is row {rows[0]}; leave damaged clips out or fix the view"
        )
    for name, indices in parts.items():
        if not len(indices):
            raise ValueError(f"the {name} part is empty")
    if len(np.unique(label[parts["train"]])) < 2:
        raise ValueError("the training part has clips of one class only; a classifier needs two")
