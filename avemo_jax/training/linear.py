"""The linear machine of the classical system: ridge regression of the classes, or of the ratings of a dimension.

The penalty is chosen by inner folds over speakers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avemo_jax.evaluation.metrics import ccc_from_sums, confusion, metric_named, rating_sums
from avemo_jax.training.classical import FittedClassifier, check_parts, fit_temperature, share_of_classes

# Of the mean squared error with features of unit deviation, their inner product divided by their number.
PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(-5, 0.6, 0.5))
# Standardised features are cut here: a clip that is unlike all training clips in one feature must not be decided by it.
LARGEST_DEVIATION = 2.0
_NUM_INNER_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class _Standard:
    """Mean and inverse deviation of the training part; a feature that never changes there becomes 0."""

    mean: np.ndarray
    inverse: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.clip((features - self.mean) * self.inverse, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def fit_linear(
    features: np.ndarray,
    label: np.ndarray,
    *,
    speaker: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    num_classes: int,
    metric: str = "uar",
    penalties: Sequence[float] = PENALTIES,
) -> FittedClassifier:
    """Return a ridge classifier, fitted on one fold.

    Features are z-scored with the training part and cut at two deviations; a linear function of them is fitted to the indicator of each
    class. The penalty is the strongest of those with the best `metric` of out-of-fold predictions within the training part, whose five
    inner folds share no speaker. Where the training part has fewer than two named speakers, the validation part decides. The softmax
    temperature is fitted on the validation part.

    Args:
      features: (N, D) float, one row a clip; finite in both parts.
      label: (N,) int class index.
      speaker: (N,) str, "" where unknown.
      train, validation: int indices into the N clips.
      num_classes: K.
      metric: name of a metric of `evaluation.metrics` that is computed from a confusion matrix.
      penalties: values to try.

    Raises:
      ValueError: features that are not finite or not (N, D), an empty part, a training part of one class.
    """
    features, label = np.asarray(features, dtype=np.float64), np.asarray(label)
    check_parts(features, label, {"train": train, "validation": validation})
    penalties = sorted(penalties, reverse=True)
    counts = np.zeros((len(penalties), num_classes, num_classes), dtype=int)
    for fitted, held_out in inner_folds(train, validation, np.asarray(speaker)):
        classes, index = np.unique(label[fitted], return_inverse=True)
        standard, solutions = _path(features[fitted], np.eye(len(classes))[index], penalties)
        rest = standard(features[held_out])
        for position, (weights, bias) in enumerate(solutions):
            found = classes[(rest @ weights + bias).argmax(axis=1)]
            counts[position] += confusion(label[held_out], found, num_classes)
    chosen = metric_named(metric)
    scores = [float(chosen.score(chosen.value(each))) for each in counts]
    penalty = penalties[int(np.argmax(scores))]
    classes, index = np.unique(label[train], return_inverse=True)
    standard, ((weights, bias),) = _path(features[train], np.eye(len(classes))[index], [penalty])

    def decide(values: np.ndarray) -> np.ndarray:
        return standard(values) @ weights + bias

    decision = decide(features[validation])
    found = confusion(label[validation], classes[decision.argmax(axis=1)], num_classes)
    return FittedClassifier(
        num_classes=num_classes,
        regularization=penalty,
        temperature=fit_temperature(decision, label[validation], classes),
        validation_metric=float(chosen.score(chosen.value(found))),
        class_shares=share_of_classes(label[train], num_classes),
        classes=classes,
        decide=decide,
    )


def inner_folds(train: np.ndarray, validation: np.ndarray, speaker: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows to fit on and rows to predict, so that every training row is predicted once by a fit without its speaker."""
    from sklearn.model_selection import GroupKFold  # imported late: it is slow, and prediction needs none of it

    train = train[speaker[train] != ""] if (speaker[train] != "").any() else train
    num_folds = min(_NUM_INNER_FOLDS, len(np.unique(speaker[train])))
    if num_folds < 2:
        yield train, validation
        return
    for fitted, held_out in GroupKFold(num_folds).split(train, groups=speaker[train]):
        yield train[fitted], train[held_out]


def fit_ridge(
    features: np.ndarray, rating: np.ndarray, *, speaker: np.ndarray, train: np.ndarray, validation: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return ridge regression of the ratings of one dimension, fitted on one fold: features (N, D) -> (N,) in units of the scale.

    Features are z-scored and cut as by `fit_linear`, and the penalty is chosen in the same inner folds, by CCC.

    Args:
      features: (N, D) float, one row a clip; finite in both parts.
      rating: (N,) float, NaN where a clip has none; such clips are not used.
      speaker: (N,) str, "" where unknown.
      train, validation: int indices into the N clips.

    Raises:
      ValueError: no rated training clip, or no inner fold and no rated validation clip.
    """
    features, target = np.asarray(features, dtype=np.float64), np.asarray(rating, dtype=np.float64)[:, None]
    train, validation = (part[~np.isnan(rating[part])] for part in (train, validation))
    penalties = sorted(PENALTIES, reverse=True)
    sums = np.zeros((len(penalties), 6))
    if not len(train):
        raise ValueError("no training clip has a rating")
    for fitted, held_out in inner_folds(train, validation, np.asarray(speaker)):
        if not len(held_out):
            raise ValueError("no validation clip has a rating, and the training clips are of fewer than two named speakers")
        standard, solutions = _path(features[fitted], target[fitted], penalties)
        rest = standard(features[held_out])
        for position, (weights, bias) in enumerate(solutions):
            sums[position] += rating_sums(target[held_out], rest @ weights + bias, np.ones((len(held_out), 1)))[0]
    penalty = penalties[int(np.argmax(ccc_from_sums(sums)))]
    standard, ((weights, bias),) = _path(features[train], target[train], [penalty])
    return lambda values: (standard(np.asarray(values, dtype=np.float64)) @ weights + bias)[:, 0]


def _path(features: np.ndarray, target: np.ndarray, penalties: Sequence[float]) -> tuple[_Standard, list[tuple[np.ndarray, np.ndarray]]]:
    """Return the scaler, and for each penalty weights (D, K) and bias (K,) for features (N, D) and targets (N, K).

    The weights minimise |XW - Y|² / N + penalty * D |W|², by one eigendecomposition for all penalties.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    standard = _Standard(mean, np.where(deviation > 1e-8 * (1 + np.abs(mean)), 1 / np.maximum(deviation, 1e-300), 0.0))
    scaled = standard(features)
    centre = scaled.mean(axis=0)  # not 0 after the cut
    scaled -= centre
    share = target.mean(axis=0)
    num_clips, num_features = scaled.shape
    is_wide = num_features > num_clips
    values, vectors = np.linalg.eigh((scaled @ scaled.T if is_wide else scaled.T @ scaled) / (num_clips * num_features))
    values = np.maximum(values, 0.0)
    right = target - share if is_wide else scaled.T @ (target - share)
    projected = vectors.T @ right / (num_clips * num_features)
    solutions = []
    for penalty in penalties:
        weights = vectors @ (projected / (values + penalty)[:, None])
        weights = scaled.T @ weights if is_wide else weights
        solutions.append((weights, share - centre @ weights))
    return standard, solutions
