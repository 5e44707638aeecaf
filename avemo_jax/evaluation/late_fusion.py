"""Late fusion: combining the probabilities of several systems by a rule that is fitted on clips they were not trained on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from avemo_jax.evaluation.metrics import metric_named

RULES = ("weighted_product", "logistic")
_LEAST = 1e-7  # of a probability, before its logarithm
_WEIGHT_STEPS = 20  # weights are multiples of 1/20
_NUM_INNER_FOLDS = 5
_STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # scikit-learn's C, the strongest penalty first


@dataclasses.dataclass(frozen=True)
class WeightedProduct:
    """c* = argmax over c of the product of p_m(c)^w_m.

    Source: thesis of system A, section on late fusion (method 1).

    Attributes:
      weights: one a system, summing to 1; only their ratio changes the decision.
    """

    weights: tuple[float, ...]

    def join(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        """Combine the probabilities (N, K) of each system: (N, K) float64, rows summing to 1."""
        logs = sum(weight * _log(one) for weight, one in zip(self.weights, probabilities, strict=True))
        return softmax(logs, axis=1)

    def to_json(self) -> dict[str, Any]:
        return {"rule": "weighted_product", "weights": list(self.weights)}


@dataclasses.dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression on the systems' log-probabilities, of which the mean over the classes is subtracted, with L2 penalty.

    Source: Wolpert 1992, Stacked generalization.

    Attributes:
      coefficients: (K, M K) for M systems.
      intercept: (K,); -inf for a class without clips in the fitting data.
    """

    coefficients: np.ndarray
    intercept: np.ndarray

    def join(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        """Combine the probabilities (N, K) of each system: (N, K) float64, rows summing to 1."""
        return softmax(_side_by_side(probabilities) @ self.coefficients.T + self.intercept, axis=1)

    def to_json(self) -> dict[str, Any]:
        absent = [None if np.isneginf(value) else float(value) for value in self.intercept]
        return {"rule": "logistic", "coefficients": self.coefficients.tolist(), "intercept": absent}


FusionRule = WeightedProduct | Logistic


def check_rule(rule: str) -> None:
    """Raise ValueError where no rule of late fusion has that name."""
    if rule not in RULES:
        raise ValueError(f"late.rule: expected a rule of late fusion among {RULES}, got {rule!r}")


def fit_rule(
    rule: str, label: np.ndarray, probabilities: Sequence[np.ndarray], *, speaker: np.ndarray | None = None, metric: str = "uar"
) -> FusionRule:
    """Fit a rule on predictions for clips that the systems were not trained on.

    Args:
      rule: one of RULES. "weighted_product" selects the weights with the best `metric` among all multiples of 1/20 that sum to 1, and of
        equally good ones those nearest to equal weights. "logistic" selects its penalty by `metric` on five inner folds of these clips,
        which share no speaker.
      label: (N,) int.
      probabilities: (N, K) of each system.
      speaker: (N,) str, "" where unknown; with fewer than two names the inner parts are drawn by clip.
      metric: name of a selectable metric of `evaluation.metrics`.

    Raises:
      ValueError: an unknown rule, fewer than two systems, inconsistent shapes, or no clips.
    """
    check_rule(rule)
    label, probabilities = np.asarray(label), [np.asarray(one, np.float64) for one in probabilities]
    shapes = {one.shape for one in probabilities}
    if len(probabilities) < 2 or len(shapes) != 1 or not len(label) or next(iter(shapes))[:1] != label.shape:
        raise ValueError(f"expected probabilities (N, K) of two systems or more and labels (N,), got {sorted(shapes)} and {label.shape}")
    if rule == "weighted_product":
        return _best_weights(label, probabilities, metric)
    return _best_logistic(label, probabilities, metric, np.full(len(label), "") if speaker is None else np.asarray(speaker))


def rule_from_json(content: Mapping[str, Any]) -> FusionRule:
    """Read the result of `to_json`."""
    if content["rule"] == "weighted_product":
        return WeightedProduct(tuple(content["weights"]))
    intercept = [-np.inf if value is None else value for value in content["intercept"]]
    return Logistic(np.asarray(content["coefficients"]), np.asarray(intercept))


def _best_logistic(label: np.ndarray, probabilities: Sequence[np.ndarray], metric: str, speaker: np.ndarray) -> Logistic:
    """Return the regression with the strongest penalty whose `metric` on inner folds is within one standard error of the best one.

    Source: Breiman et al. 1984, Classification and regression trees, section 3.4.3, for the rule of one standard error.
    """
    folds = _inner_folds(speaker) if len(label) > 1 else []
    if not folds:
        return _logistic(label, probabilities, _STRENGTHS[0])
    scores = np.empty((len(_STRENGTHS), len(folds)))
    for (row, strength), (column, (fitted, held_out)) in itertools.product(enumerate(_STRENGTHS), enumerate(folds)):
        rule = _logistic(label[fitted], [one[fitted] for one in probabilities], strength)
        scores[row, column] = score_of(label[held_out], rule.join([one[held_out] for one in probabilities]), metric)
    means = scores.mean(axis=1)
    best = int(means.argmax())
    least = means[best] - scores[best].std(ddof=1) / np.sqrt(len(folds))
    return _logistic(label, probabilities, _STRENGTHS[int(np.argmax(means >= least))])


def _inner_folds(speaker: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (rows to fit on, rows to predict) of up to five parts that share no speaker."""
    from sklearn.model_selection import GroupKFold  # late: prediction does not need scikit-learn

    named = np.unique(speaker[speaker != ""])
    groups = speaker if len(named) > 1 else np.arange(len(speaker))
    return list(GroupKFold(min(_NUM_INNER_FOLDS, len(np.unique(groups)))).split(speaker, groups=groups))


def _logistic(label: np.ndarray, probabilities: Sequence[np.ndarray], strength: float) -> Logistic:
    """Return the regression with scikit-learn's C = `strength`; its coefficients are those of features that are not standardised."""
    from sklearn.linear_model import LogisticRegression  # late: prediction does not need scikit-learn

    features, num_classes = _side_by_side(probabilities), probabilities[0].shape[1]
    coefficients, intercept = np.zeros((num_classes, features.shape[1])), np.full(num_classes, -np.inf)
    if len(set(label.tolist())) == 1:  # scikit-learn refuses to fit one class
        intercept[label[0]] = 0
        return Logistic(coefficients, intercept)
    mean = features.mean(axis=0)
    # One scale a system, so that a class that a system finds harder is not blown up.
    squares = np.square(features - mean).reshape(len(features), -1, num_classes).mean(axis=(0, 2))
    inverse = np.repeat(1 / np.sqrt(np.maximum(squares, _LEAST)), num_classes)
    model = LogisticRegression(C=strength, max_iter=1000).fit((features - mean) * inverse, label)
    if len(model.classes_) == 2:  # scikit-learn has one row for two classes
        coefficients[model.classes_[1]], intercept[model.classes_] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        coefficients[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
    coefficients *= inverse
    return Logistic(coefficients, intercept - coefficients @ mean)


def _best_weights(label: np.ndarray, probabilities: Sequence[np.ndarray], metric: str) -> WeightedProduct:
    num_systems = len(probabilities)
    grid = itertools.product(range(_WEIGHT_STEPS + 1), repeat=num_systems - 1)
    candidates = [(*steps, _WEIGHT_STEPS - sum(steps)) for steps in grid if sum(steps) <= _WEIGHT_STEPS]
    candidates.sort(key=lambda steps: sum((step - _WEIGHT_STEPS / num_systems) ** 2 for step in steps))
    rules = [WeightedProduct(tuple(step / _WEIGHT_STEPS for step in steps)) for steps in candidates]
    return max(rules, key=lambda rule: score_of(label, rule.join(probabilities), metric))


def score_of(label: np.ndarray, probabilities: np.ndarray, metric: str) -> float:
    """Score probabilities (N, K) by a selectable metric, higher is better: the sign of "loss" is changed."""
    chosen = metric_named(metric)
    return float(chosen.score(chosen.value(chosen.sums(label, _floored(probabilities)))))


def _floored(probabilities: np.ndarray) -> np.ndarray:
    return np.maximum(np.asarray(probabilities, np.float64), _LEAST)


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(_floored(probabilities))


def _side_by_side(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    logs = [_log(one) for one in probabilities]
    return np.concatenate([one - one.mean(axis=1, keepdims=True) for one in logs], axis=1)
