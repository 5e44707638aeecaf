"""Late fusion: joining what several systems say of the same clips by a rule that is fitted on clips they have not been trained on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from avemo_jax.evaluation.metrics import FROM_CONFUSION, confusion

RULES = ("weighted_product", "logistic")
_LEAST = 1e-7  # of a probability, before its logarithm
_WEIGHT_STEPS = 20  # weights are tried in twentieths


@dataclasses.dataclass(frozen=True)
class WeightedProduct:
    """c* = argmax over c of the product of p_m(c)^w_m.

    Source: thesis of system A, section on late fusion (method 1).

    Attributes:
      weights: one a system, summing to 1; only their ratio changes the decision.
    """

    weights: tuple[float, ...]

    def join(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """(N, K) of each system to (N, K) float64, rows summing to 1."""
        logs = sum(weight * _log(one) for weight, one in zip(self.weights, posteriors, strict=True))
        return softmax(logs, axis=1)

    def as_dict(self) -> dict[str, Any]:
        return {"rule": "weighted_product", "weights": list(self.weights)}


@dataclasses.dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression on the systems' log-posteriors side by side: stacking (Wolpert 1992, Stacked generalization).

    Attributes:
      coefficients: (K, M K).
      intercept: (K,); -inf for a class that the fitting clips did not have.
    """

    coefficients: np.ndarray
    intercept: np.ndarray

    def join(self, posteriors: Sequence[np.ndarray]) -> np.ndarray:
        """(N, K) of each system to (N, K) float64, rows summing to 1."""
        return softmax(_side_by_side(posteriors) @ self.coefficients.T + self.intercept, axis=1)

    def as_dict(self) -> dict[str, Any]:
        absent = [None if np.isneginf(value) else float(value) for value in self.intercept]
        return {"rule": "logistic", "coefficients": self.coefficients.tolist(), "intercept": absent}


Joiner = WeightedProduct | Logistic


def fit_joiner(rule: str, label: np.ndarray, posteriors: Sequence[np.ndarray], *, metric: str = "uar") -> Joiner:
    """Fit a rule on predictions of clips that the systems have not been trained on.

    Args:
      rule: one of RULES. "weighted_product" takes the weights of largest `metric` among all twentieths that sum to 1, of equally good
        ones those nearest to equal weights.
      label: (N,) int.
      posteriors: (N, K) of each system.
      metric: "war", "uar", "macro_f1", "weighted_f1", or "loss", the mean negative log-probability of the labels.

    Raises:
      ValueError: an unknown rule, fewer than two systems, shapes that do not go together, or no clips.
    """
    if rule not in RULES:
        raise ValueError(f"expected a rule of late fusion among {RULES}, got {rule!r}")
    label, posteriors = np.asarray(label), [np.asarray(one, np.float64) for one in posteriors]
    shapes = {one.shape for one in posteriors}
    if len(posteriors) < 2 or len(shapes) != 1 or not len(label) or next(iter(shapes))[:1] != label.shape:
        raise ValueError(f"expected posteriors (N, K) of two systems or more and labels (N,), got {sorted(shapes)} and {label.shape}")
    if rule == "weighted_product":
        return _best_weights(label, posteriors, metric)
    from sklearn.linear_model import LogisticRegression  # late, as all of scikit-learn: predicting fits nothing

    num_classes = posteriors[0].shape[1]
    coefficients, intercept = np.zeros((num_classes, len(posteriors) * num_classes)), np.full(num_classes, -np.inf)
    if len(set(label.tolist())) == 1:  # nothing to tell apart, and scikit-learn refuses
        intercept[label[0]] = 0
        return Logistic(coefficients, intercept)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(_side_by_side(posteriors), label)
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients[model.classes_[1]], intercept[model.classes_] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        coefficients[model.classes_], intercept[model.classes_] = model.coef_, model.intercept_
    return Logistic(coefficients, intercept)


def joiner_from_dict(content: Mapping[str, Any]) -> Joiner:
    """Read what `as_dict` gave."""
    if content["rule"] == "weighted_product":
        return WeightedProduct(tuple(content["weights"]))
    intercept = [-np.inf if value is None else value for value in content["intercept"]]
    return Logistic(np.asarray(content["coefficients"]), np.asarray(intercept))


def _best_weights(label: np.ndarray, posteriors: Sequence[np.ndarray], metric: str) -> WeightedProduct:
    num_systems, num_classes = len(posteriors), posteriors[0].shape[1]
    grid = itertools.product(range(_WEIGHT_STEPS + 1), repeat=num_systems - 1)
    candidates = [(*steps, _WEIGHT_STEPS - sum(steps)) for steps in grid if sum(steps) <= _WEIGHT_STEPS]
    candidates.sort(key=lambda steps: sum((step - _WEIGHT_STEPS / num_systems) ** 2 for step in steps))
    joiners = [WeightedProduct(tuple(step / _WEIGHT_STEPS for step in steps)) for steps in candidates]

    def score(joiner: WeightedProduct) -> float:
        return score_of(label, joiner.join(posteriors), num_classes, metric)

    return max(joiners, key=score)


def score_of(label: np.ndarray, posterior: np.ndarray, num_classes: int, metric: str) -> float:
    """How good posteriors are by a metric, higher is better ("loss" is negated)."""
    if metric == "loss":
        return float(np.mean(_log(posterior)[np.arange(len(label)), label]))
    measure: Callable[[np.ndarray], float] = FROM_CONFUSION[metric]
    return float(measure(confusion(label, posterior.argmax(axis=1), num_classes)))


def _log(posterior: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(posterior, np.float64), _LEAST))


def _side_by_side(posteriors: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([_log(one) for one in posteriors], axis=1)
