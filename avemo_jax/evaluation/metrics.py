"""Metrics of classes and dimensions, and the one list of them that training, evaluation, tables, tests and the schema of results.json read.

A confusion matrix counts clips: rows are labels, columns are predictions. The `*_from_confusion` functions take (..., K, K), work on
numpy and jax.numpy arrays alike and reduce the last two axes, so that a whole grid of trials is measured at once.
Where there is nothing to count, a metric is 0. To add a metric, add a record to METRICS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

NUM_ECE_BINS = 15
# Below this a probability is only known to be small: predictions.csv writes six digits, and 0.000000 may stand for anything up to here.
LEAST_PROBABILITY = 5e-7
SEGMENT_RULES = ("mean", "vote")
_TIE_SHARE = 1e-3  # of a vote: decides between classes with equally many votes
_LEAST_IN_LOSS = 1e-12  # keeps the loss of a validation part finite


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


def segment_share(probabilities: Any, rule: str) -> Any:
    """Return what each segment adds to the mean over its clip's segments, (..., K) -> (..., K).

    "mean" averages the segments' probabilities. "vote" counts the segments' most probable classes (document B's majority vote): a clip's
    probabilities are then shares of votes; between classes with equally many votes the mean probability decides, which enters with a
    weight of one thousandth.
    """
    if rule == "mean":
        return probabilities
    votes = probabilities >= probabilities.max(-1)[..., None]
    first = votes & (votes.cumsum(-1) == 1)
    return (1 - _TIE_SHARE) * first + _TIE_SHARE * probabilities


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


def per_class(counts: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and number of clips of each class that occurs as label or prediction; what has nothing to count is 0.

    Args:
      counts: (K, K) confusion matrix.
      classes: K class names.
    """
    precision = _ratio(counts.diagonal(), counts.sum(0))
    values = (precision, recall_from_confusion(counts), f1_from_confusion(counts), counts.sum(1), counts.sum(0))
    return {
        name: {"precision": float(precise), "recall": float(recall), "f1": float(f1), "num_clips": int(num_labels)}
        for name, precise, recall, f1, num_labels, num_predicted in zip(classes, *values, strict=True)
        if num_labels or num_predicted
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
    """Return the squared distance of each clip's probabilities (N, K) from its label: (N,) in [0, 2]; their mean is the Brier score.

    Source: Brier 1950, Verification of forecasts expressed in terms of probability, equation 2 (the sum over classes, not its half).
    """
    right = np.eye(probabilities.shape[1])[label]
    return np.square(probabilities - right).sum(axis=1)


def negative_log_likelihoods(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of each label's probability, in nats: (N,); a probability counts as LEAST_PROBABILITY at least.

    Differs: scikit-learn's `log_loss` first rescales rows that do not sum to 1 to the last digit.
    """
    return -np.log(np.maximum(probabilities[np.arange(len(label)), label], LEAST_PROBABILITY))


def loss_sums(label: Any, probabilities: Any, weight: Any = None) -> Any:
    """Sum minus the logarithms of the labels' probabilities, and the weights: (N,), (N, K), (N,) -> (2,), numpy or jax.numpy alike."""
    xp = probabilities.__array_namespace__()
    weight = xp.ones(len(label)) if weight is None else weight
    of_label = (probabilities * (label[:, None] == xp.arange(probabilities.shape[1]))).sum(axis=1)
    return xp.stack([(-xp.log(xp.maximum(of_label, _LEAST_IN_LOSS)) * weight).sum(), weight.sum()])


def mean_from_sums(sums: Any) -> Any:
    """Mean of a sum and its number of clips: (..., 2) -> (...)."""
    return _ratio(sums[..., 0], sums[..., 1])


def rating_sums(rating: Any, predicted: Any, weight: Any) -> Any:
    """Return what clips add to the metrics of each dimension: (N, D), (N, D) and (N, D) -> (D, 6), numpy or jax.numpy alike.

    The sums are those of the weights, of ratings, of predictions, of the squares of both, and of their products; a weight is 0 where a
    clip has no rating, whose value then has no effect unless it is NaN.
    """
    xp = weight.__array_namespace__()
    return xp.stack([(weight * one).sum(0) for one in (1, rating, predicted, rating**2, predicted**2, rating * predicted)], axis=-1)


def ccc_from_sums(sums: Any) -> Any:
    """Concordance correlation coefficient of `rating_sums`: (..., 6) -> (...) in [-1, 1]; 0 where nothing varies or differs.

    It is 1 for predictions that equal the ratings, and below the correlation where their mean or deviation differs.

    Source: Lin 1989, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45, equation 3; variances and covariance
    over N, as there.
    """
    count, first, second, first_squares, second_squares, products = (sums[..., index] for index in range(6))
    first, second = _ratio(first, count), _ratio(second, count)
    covariance = _ratio(products, count) - first * second
    variances = _ratio(first_squares, count) - first**2 + _ratio(second_squares, count) - second**2
    return _ratio(2 * covariance, variances + (first - second) ** 2)


def rmse_from_sums(sums: Any) -> Any:
    """Root of the mean squared error of `rating_sums`: (..., 6) -> (...), in units of the scale."""
    squares = _ratio(sums[..., 3] + sums[..., 4] - 2 * sums[..., 5], sums[..., 0])
    return (squares * (squares > 0)) ** 0.5  # rounding may leave less than nothing


@dataclasses.dataclass(frozen=True)
class FromProbabilities:
    """A metric of probabilities, as a function of sums over clips; a bootstrap over speakers then adds sums and touches no clip twice.

    Attributes:
      sums: (N,) int labels and (N, K) probabilities to an array that is additive over clips. For a selectable metric it also takes weights
        (N,), 0 for padding, and works on jax.numpy arrays.
      value: sums, with any leading axes, to values of those axes.
    """

    sums: Callable[..., Any]
    value: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
      name: in results.json, and in `protocol.metric` where it is selectable.
      title: in tables and charts.
      from_confusion: (..., K, K) counts to (...), numpy or jax.numpy; None for a metric of probabilities.
      from_probabilities: the same for a metric of probabilities.
      from_ratings: the same for a metric of dimensions: (..., 6) of `rating_sums` to (...).
      higher_is_better: False for errors and losses.
      scale: its range, one of `statistics.SCALES`: "share" in [0, 1], "error" in [0, 1] and biased upwards in small samples, "positive",
        "correlation" in [-1, 1], or "difference", which is unbounded.
      selectable: whether epochs and settings can be selected by it.
      reported: whether it is in results.json and in the tables of a run; metrics of dimensions have their own table.
      tested: whether paired tests between systems are made of it.
      primary: whether it is in the short tables too: by speaker and gender, between protocols, under degradations, learning curves.
    """

    name: str
    title: str
    from_confusion: Callable[[Any], Any] | None = None
    from_probabilities: FromProbabilities | None = None
    from_ratings: Callable[[Any], Any] | None = None
    higher_is_better: bool = True
    scale: str = "share"
    selectable: bool = False
    reported: bool = True
    tested: bool = False
    primary: bool = False

    def __post_init__(self):
        sources = (self.from_confusion, self.from_probabilities, self.from_ratings)
        if sum(source is not None for source in sources) != 1:
            raise ValueError(f"metric {self.name}: expected one of from_confusion, from_probabilities, from_ratings, got none or several")
        if self.reported and self.from_ratings is not None:
            raise ValueError(f"metric {self.name}: metrics of dimensions are in their own table; set reported=False")
        if (self.tested or self.primary) and self.from_confusion is None:
            raise ValueError(f"metric {self.name}: tested and primary metrics are made from confusion matrices; set from_confusion")

    def sums(self, label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Return what (N,) int labels and (N, K) probabilities add to the sums that `value` takes."""
        if self.from_probabilities is not None:
            return self.from_probabilities.sums(label, probabilities)
        return confusion(label, probabilities.argmax(axis=1), probabilities.shape[1])

    def value(self, sums: Any) -> Any:
        """Return the metric of sums, with any leading axes."""
        if self.from_ratings is not None:
            return self.from_ratings(sums)
        if self.from_probabilities is not None:
            return self.from_probabilities.value(sums)
        assert self.from_confusion is not None
        return self.from_confusion(sums)

    def score(self, value: Any) -> Any:
        """Return a value with its sign changed where lower is better, so that the highest score is the best."""
        return value if self.higher_is_better else -value


# In the order of the tables.
METRICS: list[Metric] = [
    Metric("uar", "UAR", uar_from_confusion, selectable=True, tested=True, primary=True),
    Metric("war", "WAR", war_from_confusion, selectable=True, tested=True, primary=True),
    Metric("macro_f1", "macro F1", macro_f1_from_confusion, selectable=True, tested=True),
    Metric("weighted_f1", "weighted F1", weighted_f1_from_confusion, selectable=True),
    Metric("ece", "ECE", None, FromProbabilities(calibration_bins, ece_from_bins), higher_is_better=False, scale="error"),
    Metric(
        "loss",
        "loss",
        None,
        FromProbabilities(loss_sums, mean_from_sums),
        higher_is_better=False,
        scale="positive",
        selectable=True,
        reported=False,
    ),
    Metric("ccc", "CCC", from_ratings=ccc_from_sums, scale="correlation", selectable=True, reported=False),
    Metric("rmse", "RMSE", from_ratings=rmse_from_sums, higher_is_better=False, scale="positive", selectable=True, reported=False),
]


def reported_metrics() -> list[Metric]:
    """Return the metrics of results.json and of a run's tables."""
    return [metric for metric in METRICS if metric.reported]


def tested_metrics() -> list[Metric]:
    """Return the metrics of paired tests."""
    return [metric for metric in METRICS if metric.tested]


def primary_metrics() -> list[Metric]:
    """Return the metrics of the short tables."""
    return [metric for metric in METRICS if metric.primary]


def rating_metrics() -> list[Metric]:
    """Return the metrics of dimensions."""
    return [metric for metric in METRICS if metric.from_ratings is not None]


def selectable_names(*, of_classes: bool = True, of_dimensions: bool = False) -> tuple[str, ...]:
    """Return the values that `protocol.metric` may have.

    Args:
      of_classes: the system has classes.
      of_dimensions: it predicts dimensions.
    """
    return tuple(metric.name for metric in METRICS if metric.selectable and (of_classes if metric.from_ratings is None else of_dimensions))


def metric_named(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
      ValueError: there is none; the message lists those there are.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise ValueError(f"expected a metric among {', '.join(metric.name for metric in METRICS)}, got {name!r}")


def selectable_values(counts: Any, label: Any, probabilities: Any, weight: Any) -> dict[str, Any]:
    """Measure every selectable metric of classes of a validation part, on jax.numpy arrays.

    Args:
      counts: (K, K) confusion matrix of the real clips.
      label: (N,) int.
      probabilities: (N, K).
      weight: (N,) float, 1 for a real clip and 0 for padding.
    """
    return {
        metric.name: metric.value(
            counts if metric.from_probabilities is None else metric.from_probabilities.sums(label, probabilities, weight)
        )
        for metric in METRICS
        if metric.selectable and metric.from_ratings is None
    }


def all_metrics(label: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Measure all reported metrics of (N,) int labels and (N, K) probabilities; the prediction is the most probable class."""
    probabilities = np.asarray(probabilities)
    return {metric.name: float(metric.value(metric.sums(label, probabilities))) for metric in reported_metrics()}
