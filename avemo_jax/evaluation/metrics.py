"""Metrics of classification, from labels and probabilities or from confusion matrices.

A confusion matrix counts clips: rows are labels, columns are predictions. The `*_from_confusion` functions take (..., K, K), work on
numpy and jax.numpy arrays alike and reduce the last two axes, so that a whole grid of trials is measured at once.
Metrics are shares in [0, 1]; where there is nothing to count they are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NUM_ECE_BINS = 15
# Below this a probability is only known to be small: predictions.csv writes six digits, and 0.000000 may stand for anything up to here.
LEAST_PROBABILITY = 5e-7
METRICS = ("war", "uar", "macro_f1", "weighted_f1", "ece")
SEGMENT_RULES = ("mean", "vote")
_TIE_SHARE = 1e-3  # of a vote: what decides between classes of equally many


def confusion(label: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count (label, prediction) pairs: (N,) int and (N,) int -> (K, K) int64.

    Raises:
      ValueError: lengths differ, or a class index is outside [0, num_classes).
    """
    label, predicted = np.asarray(label), np.asarray(predicted)
    if label.shape != predicted.shape or label.ndim != 1:
        raise ValueError(f"expected label and predicted of one shape (N,), got {label.shape} and {predicted.shape}")
    for name, indices in (("label", label), ("predicted", predicted)):
        if indices.size and not (indices.min() >= 0 and indices.max() < num_classes):
            raise ValueError(f"expected {name} in 0..{num_classes - 1}, got {indices.min()}..{indices.max()}")
    return np.bincount(label * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def segment_share(posterior: Any, rule: str) -> Any:
    """What one segment adds to its clip, posterior (..., K) -> (..., K); the clip is said what its segments say on average.

    "mean" averages posteriors. "vote" counts the segments' most probable classes (document B's majority vote): a clip's probabilities are
    then shares of votes; of classes with equally many votes the mean posterior decides, for which a thousandth of each vote is kept.
    """
    if rule == "mean":
        return posterior
    votes = posterior >= posterior.max(-1)[..., None]
    first = votes & (votes.cumsum(-1) == 1)
    return (1 - _TIE_SHARE) * first + _TIE_SHARE * posterior


def _ratio(part: Any, whole: Any) -> Any:
    """part / whole, 0 where whole is 0, in the arrays' own namespace."""
    return part / (whole + (whole == 0))


def war_from_confusion(counts: Any) -> Any:
    """Weighted average recall, that is accuracy: (..., K, K) -> (...)."""
    return _ratio(counts.diagonal(0, -2, -1).sum(-1), counts.sum((-2, -1)))


def recall_from_confusion(counts: Any) -> Any:
    """Recall of each class, 0 for a class without clips: (..., K, K) -> (..., K)."""
    return _ratio(counts.diagonal(0, -2, -1), counts.sum(-1))


def uar_from_confusion(counts: Any) -> Any:
    """Unweighted average recall over the classes that occur as labels: (..., K, K) -> (...)."""
    return _ratio(recall_from_confusion(counts).sum(-1), (counts.sum(-1) > 0).sum(-1))


def f1_from_confusion(counts: Any) -> Any:
    """F1 of each class, 0 for a class that neither occurs nor is predicted: (..., K, K) -> (..., K)."""
    return _ratio(2 * counts.diagonal(0, -2, -1), counts.sum(-1) + counts.sum(-2))


def macro_f1_from_confusion(counts: Any) -> Any:
    """Mean F1 over the classes that occur as labels or predictions (scikit-learn's convention): (..., K, K) -> (...)."""
    occurs = (counts.sum(-1) + counts.sum(-2)) > 0
    return _ratio(f1_from_confusion(counts).sum(-1), occurs.sum(-1))


def weighted_f1_from_confusion(counts: Any) -> Any:
    """Mean F1 weighted by the number of clips of each class: (..., K, K) -> (...)."""
    return _ratio((f1_from_confusion(counts) * counts.sum(-1)).sum(-1), counts.sum((-2, -1)))


FROM_CONFUSION = {
    "war": war_from_confusion,
    "uar": uar_from_confusion,
    "macro_f1": macro_f1_from_confusion,
    "weighted_f1": weighted_f1_from_confusion,
}


def per_class(label: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and number of clips of each class that occurs as label or prediction; what has nothing to count is 0.

    Args:
      label, predicted: (N,) int class indices.
      classes: K class names.
    """
    from sklearn.metrics import precision_recall_fscore_support  # late: it takes a second, and most of this module needs none of it

    values = precision_recall_fscore_support(label, predicted, labels=range(len(classes)), zero_division=0)
    occurs = np.isin(range(len(classes)), np.concatenate([label, predicted]))
    return {
        name: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "num_clips": int(support)}
        for name, precision, recall, f1, support, there in zip(classes, *values, occurs, strict=True)
        if there
    }


def calibration_bins(label: np.ndarray, probabilities: np.ndarray, *, num_bins: int = NUM_ECE_BINS) -> np.ndarray:
    """Sort clips into equal-width bins of confidence: (N,) int and (N, K) -> (num_bins, 3) float64.

    Columns are the number of clips, of right predictions, and the sum of confidences (the largest probability). Bin b holds confidences in
    (b / num_bins, (b + 1) / num_bins]. Sums of such arrays are the bins of the clips together.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    index = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    return np.stack([np.bincount(index, weights, num_bins) for weights in (np.ones(len(index)), right.astype(float), confidence)], axis=1)


def ece_from_bins(bins: Any) -> Any:
    """Expected calibration error: the mean over clips of |accuracy - confidence| of their bin: (..., num_bins, 3) -> (...).

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3; 15 bins as there.
    """
    return _ratio(abs(bins[..., 1] - bins[..., 2]).sum(-1), bins[..., 0].sum(-1))


def squared_errors(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Squared distance of each clip's probabilities (N, K) from its label: (N,) in [0, 2]; their mean is the Brier score.

    Source: Brier 1950, Verification of forecasts expressed in terms of probability, equation 2 (the sum over classes, not its half).
    """
    right = np.eye(probabilities.shape[1])[label]
    return np.square(probabilities - right).sum(axis=1)


def brier(label: np.ndarray, probabilities: np.ndarray) -> float:
    """Brier score over classes, in [0, 2]; see `squared_errors`."""
    return float(squared_errors(label, probabilities).mean())


def surprises(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Minus the logarithm of what each clip's label was given, in nats: (N,); probabilities count as LEAST_PROBABILITY at least."""
    return -np.log(np.maximum(probabilities[np.arange(len(label)), label], LEAST_PROBABILITY))


def negative_log_likelihood(label: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of `surprises`: scikit-learn's `log_loss` but for the rows that do not sum to 1 to the last digit, which it corrects."""
    return float(surprises(label, probabilities).mean())


def all_metrics(label: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All of METRICS for (N,) int labels and (N, K) probabilities; the prediction is the most probable class."""
    probabilities = np.asarray(probabilities)
    counts = confusion(label, probabilities.argmax(axis=1), probabilities.shape[1])
    values = {name: float(function(counts)) for name, function in FROM_CONFUSION.items()}
    return values | {"ece": float(ece_from_bins(calibration_bins(label, probabilities)))}
