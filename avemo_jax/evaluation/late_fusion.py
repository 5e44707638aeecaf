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
    """Multinomial logistic regression on the concatenated log-probabilities of the systems.

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


def fit_rule(rule: str, label: np.ndarray, probabilities: Sequence[np.ndarray], *, metric: str = "uar") -> FusionRule:
    """Fit a rule on predictions for clips that the systems were not trained on.

    Args:
      rule: one of RULES. "weighted_product" selects the weights with the best `metric` among all multiples of 1/20 that sum to 1, and of
        equally good ones those nearest to equal weights.
      label: (N,) int.
      probabilities: (N, K) of each system.
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
    from sklearn.linear_model import LogisticRegression  # late: prediction does not need scikit-learn

    num_classes = probabilities[0].shape[1]
    coefficients, intercept = np.zeros((num_classes, len(probabilities) * num_classes)), np.full(num_classes, -np.inf)
    if len(set(label.tolist())) == 1:  # scikit-learn refuses to fit one class
        intercept[label[0]] = 0
        return Logistic(coefficients, intercept)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(_side_by_side(probabilities), label)
    if len(model.classes_) == 2:  # scikit-learn has one row for two classes
        coefficients[model.classes_[1]], intercept[model.classes_] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        coefficients[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
    return Logistic(coefficients, intercept)


def rule_from_json(content: Mapping[str, Any]) -> FusionRule:
    """Read the result of `to_json`."""
    if content["rule"] == "weighted_product":
        return WeightedProduct(tuple(content["weights"]))
    intercept = [-np.inf if value is None else value for value in content["intercept"]]
    return Logistic(np.asarray(content["coefficients"]), np.asarray(intercept))


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
    return np.concatenate([_log(one) for one in probabilities], axis=1)
