"""The linear and the kernel machine of the classical system: ridge regression of classes or ratings, its penalty chosen by inner folds."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avemo_jax.evaluation.metrics import ccc_from_sums, confusion, metric_named, rating_sums
from avemo_jax.training.classical import FittedClassifier, check_parts, fit_temperature, share_of_classes
from avemo_jax.training.decisions import GaussianDecision, LinearDecision, Standard, gaussian_kernel

# Of the mean squared error, where features are scaled so that their inner product is its mean over features and streams.
PENALTIES = tuple(float(value) for value in 10.0 ** np.arange(-5, 0.6, 0.5))
_NUM_INNER_FOLDS = 5
_MOST_KERNEL_CLIPS = 20_000  # 3 GB for their kernel


def fit_ridge_classes(
    features: np.ndarray,
    label: np.ndarray,
    *,
    kernel: str,
    speaker: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    num_classes: int,
    widths: Sequence[int] = (),
    metric: str = "uar",
    penalties: Sequence[float] = PENALTIES,
) -> FittedClassifier:
    """Return a ridge classifier, fitted on one fold.

    Features are z-scored with the training part and cut at two deviations; a function of them is fitted to the indicator of each class. The
    penalty is the strongest of those with the best `metric` of out-of-fold predictions within the training part, whose five inner folds
    share no speaker. Where the training part has fewer than two named speakers, the validation part decides. The softmax temperature is
    fitted on the validation part, or where that is empty, on the out-of-fold predictions.

    Args:
      features: (N, D) float, one row a clip or a copy of one; finite in both parts, or NaN in all features of a stream that a clip lacks.
      label: (N,) int class index.
      kernel: "linear", or "gaussian": kernel ridge regression (Saunders et al. 1998, section 2) with the kernel of KERNEL_RATE.
      speaker: (N,) str, "" where unknown.
      train, validation: int indices into the N rows; validation may be empty if the training part has two named speakers.
      num_classes: K.
      widths: number of features of each stream, in order; () is one stream.
      metric: name of a metric of `evaluation.metrics` that is computed from a confusion matrix.
      penalties: values to try.

    Raises:
      ValueError: features that are not finite or not (N, D), an empty training part or one of one class, too many clips for a kernel, or
        neither a validation part nor two named speakers.
    """
    features, label, speaker = np.asarray(features, dtype=np.float64), np.asarray(label), np.asarray(speaker)
    widths = tuple(widths) or features.shape[1:]
    check_parts(_with_zeros(features, widths), label, {"train": train} | ({"validation": validation} if len(validation) else {}))
    if kernel == "gaussian" and len(train) > _MOST_KERNEL_CLIPS:
        raise ValueError(
            f"the stage 'kernel' takes at most {_MOST_KERNEL_CLIPS:,} training clips with their copies, and a fold has {len(train):,}; set "
            "--config.train.stages=\"('linear',)\""
        )
    found = inner_predictions(
        features, label, kernel=kernel, speaker=speaker, train=train, validation=validation, widths=widths, penalties=penalties
    )
    chosen = metric_named(metric)
    position = found.best(label, num_classes, metric)
    penalty = found.penalties[position]
    classes, decide_all = ridge_path(features[train], label[train], kernel=kernel, widths=widths, penalties=[penalty])
    decide = dataclasses.replace(decide_all, weights=decide_all.weights[0])
    if len(validation):
        unseen, decision = validation, decide(features[validation])
    else:  # all rows of speakers without whom every class was trained
        decision = found.decision[position][:, classes]
        is_whole = np.isfinite(decision).all(axis=1)
        unseen, decision = found.rows[is_whole], decision[is_whole]
    counts = confusion(label[unseen], classes[decision.argmax(axis=1)], num_classes)
    return FittedClassifier(
        num_classes=num_classes,
        regularization=penalty,
        temperature=fit_temperature(decision, label[unseen], classes),
        validation_metric=float(chosen.score(chosen.value(counts))),
        class_shares=share_of_classes(label[train], num_classes),
        classes=classes,
        decide=decide,
    )


@dataclasses.dataclass(frozen=True)
class InnerPredictions:
    """Out-of-fold predictions of a training part, or predictions of the validation part where the training part has too few speakers.

    Attributes:
      rows: (M,) the predicted rows, each once.
      penalties: P values, from strong to weak.
      decision: (P, M, K) decision values; -inf for a class without clips in the fit that predicts a row.
    """

    rows: np.ndarray
    penalties: tuple[float, ...]
    decision: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The predicted classes, (P, M)."""
        return self.decision.argmax(axis=2)

    def best(self, label: np.ndarray, num_classes: int, metric: str) -> int:
        """Return the position of the strongest of the penalties with the best metric."""
        own = metric_named(metric)
        counts = np.stack([confusion(label[self.rows], one, num_classes) for one in self.predicted])
        return int(np.argmax([float(own.score(own.value(each))) for each in counts]))


def inner_predictions(
    features: np.ndarray,
    label: np.ndarray,
    *,
    kernel: str,
    speaker: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    widths: Sequence[int],
    penalties: Sequence[float] = PENALTIES,
) -> InnerPredictions:
    """Return what fits within a training part predict of their held-out speakers; arguments and errors as `fit_ridge_classes` has them."""
    penalties = tuple(sorted(penalties, reverse=True))
    rows, decisions = [], []
    for fitted, held_out in inner_folds(train, validation, speaker):
        classes, decide_all = ridge_path(features[fitted], label[fitted], kernel=kernel, widths=widths, penalties=penalties)
        rows.append(held_out)
        decisions.append(np.full((len(penalties), len(held_out), label.max() + 1), -np.inf))
        decisions[-1][:, :, classes] = decide_all(features[held_out])
    return InnerPredictions(np.concatenate(rows), penalties, np.concatenate(decisions, axis=1))


def ridge_path(
    features: np.ndarray, label: np.ndarray, *, kernel: str, widths: Sequence[int], penalties: Sequence[float]
) -> tuple[np.ndarray, LinearDecision | GaussianDecision]:
    """Return the classes (C,) of a training part, and the decision function whose weights have an axis of these penalties in front.

    Args:
      features: (N, D) float64; NaN in all features of a stream that a clip lacks.
      label: (N,) int class index.
      kernel, widths: as `fit_ridge_classes` has them.
    """
    solve = _solve_gaussian if kernel == "gaussian" else _solve_linear
    classes, index = np.unique(label, return_inverse=True)
    return classes, solve(_standard(features, widths), features, np.eye(len(classes))[index], penalties)


def fit_ridge_rating(
    features: np.ndarray, rating: np.ndarray, *, speaker: np.ndarray, train: np.ndarray, validation: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return linear ridge regression of the ratings of one dimension, fitted on one fold: features (N, D) -> (N,) in units of the scale.

    Features are z-scored and cut as by `fit_ridge_classes`, and the penalty is chosen in the same inner folds, by CCC.

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
    if not len(train):
        raise ValueError("no training clip has a rating")

    def path(rows: np.ndarray, tried: Sequence[float]) -> LinearDecision:
        return _solve_linear(_standard(features[rows], features.shape[1:]), features[rows], target[rows], tried)

    penalties = sorted(PENALTIES, reverse=True)
    sums = np.zeros((len(penalties), 6))
    for fitted, held_out in inner_folds(train, validation, np.asarray(speaker)):
        for position, predicted in enumerate(path(fitted, penalties)(features[held_out])):
            sums[position] += rating_sums(target[held_out], predicted, np.ones((len(held_out), 1)))[0]
    decide = path(train, [penalties[int(np.argmax(ccc_from_sums(sums)))]])
    return lambda found: decide(np.asarray(found, dtype=np.float64))[0, :, 0]


def inner_folds(train: np.ndarray, validation: np.ndarray, speaker: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows to fit on and rows to predict, so that every training row is predicted once by a fit without its speaker."""
    from sklearn.model_selection import GroupKFold  # imported late: it is slow, and prediction needs none of it

    train = train[speaker[train] != ""] if (speaker[train] != "").any() else train
    num_folds = min(_NUM_INNER_FOLDS, len(np.unique(speaker[train])))
    if num_folds < 2:
        if not len(validation):
            raise ValueError(
                "the penalty needs two named training speakers or a validation part, found neither; set --config.protocol.select=validation"
            )
        yield train, validation
        return
    for fitted, held_out in GroupKFold(num_folds).split(train, groups=speaker[train]):
        yield train[fitted], train[held_out]


def _with_zeros(features: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Return the features with zeros for streams that a clip lacks; a NaN beside a number stays."""
    if features.ndim != 2:
        return features  # which check_parts refuses
    starts = np.cumsum([0, *widths])
    parts = [features[:, start:end] for start, end in itertools.pairwise(starts)]
    return np.concatenate([np.where(np.isnan(part).all(axis=1, keepdims=True), 0.0, part) for part in parts], axis=1)


def _standard(features: np.ndarray, widths: Sequence[int]) -> Standard:
    has = ~np.isnan(features)
    num_clips = np.maximum(has.sum(axis=0), 1)
    mean = np.where(has, features, 0.0).sum(axis=0) / num_clips
    deviation = np.sqrt(np.square(np.where(has, features - mean, 0.0)).sum(axis=0) / num_clips)
    inverse = np.where(deviation > 1e-8 * (1 + np.abs(mean)), 1 / np.maximum(deviation, 1e-300), 0.0)
    return Standard(mean, inverse, np.repeat([1 / np.sqrt(width * len(widths)) for width in widths], widths))


def _solve_linear(standard: Standard, features: np.ndarray, target: np.ndarray, penalties: Sequence[float]) -> LinearDecision:
    """Return for each penalty the function XW + b that minimises |XW + b - Y|² / N + penalty |W|², by one eigendecomposition for all.

    Args:
      features: (N, D) of the training part; X is what `standard` makes of them.
      target: (N, K), the indicators or ratings Y.
    """
    scaled = standard(features)
    centre, share = scaled.mean(axis=0), target.mean(axis=0)  # the centre is not 0 after the cut
    scaled -= centre
    is_wide = scaled.shape[1] > len(scaled)
    weights = _weights(
        scaled @ scaled.T if is_wide else scaled.T @ scaled,
        target - share if is_wide else scaled.T @ (target - share),
        penalties,
        len(scaled),
    )
    weights = scaled.T @ weights if is_wide else weights
    return LinearDecision(standard, centre, weights, share)


def _solve_gaussian(standard: Standard, features: np.ndarray, target: np.ndarray, penalties: Sequence[float]) -> GaussianDecision:
    """Return for each penalty the function of kernel ridge regression; arguments as `_solve_linear` has them."""
    # Rounded before the weights are solved for, so that what is stored is what was fitted.
    rows, share = standard(features).astype(np.float32), target.mean(axis=0)
    scaled = rows.astype(np.float64)
    return GaussianDecision(standard, rows, _weights(gaussian_kernel(scaled, scaled), target - share, penalties, len(rows)), share)


def _weights(products: np.ndarray, right: np.ndarray, penalties: Sequence[float], num_clips: int) -> np.ndarray:
    """Return the solutions W of (products / N + penalty) W = right / N for each penalty, (P, M, K) of (M, M) and (M, K)."""
    values, vectors = np.linalg.eigh(products / num_clips)
    projected = vectors.T @ right / num_clips
    return vectors @ np.stack([projected / (np.maximum(values, 0.0) + penalty)[:, None] for penalty in penalties])
