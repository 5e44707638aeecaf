"""Dimensions in training: their ratings, which are z-scored with the training part alone, their loss, and their part of a network's output.

A network's output (B, K + D) is the logits of K classes, then the values of D dimensions, z-scored. Between a network and the predictions
of a run, arrays of "probabilities" have the same columns: the probabilities of the classes, then the values in units of the scale.
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.evaluation.metrics import ccc_from_sums, rating_metrics, rating_sums

# Name of the ratings in a batch, and of their scaler in a trial's state.
RATING = "rating"
LOSSES = ("ccc", "mse")


@flax.struct.dataclass
class Ratings:
    """The ratings that a trial is trained and selected on.

    Attributes:
      of_clip: (C, D) float32, z-scored with mean and deviation; NaN where a clip has no rating.
      mean, deviation: (D,) float32, of the rated clips of the training part.
    """

    of_clip: Any
    mean: Any
    deviation: Any

    @property
    def scaler(self) -> dict[str, Any]:
        """The entry of a trial's scaler, by which `with_values` returns to the units of the scale."""
        return {RATING: {"mean": self.mean, "deviation": self.deviation}}


def fit_ratings(ratings: np.ndarray, train: np.ndarray) -> Ratings:
    """Return the ratings of clips (C, D), NaN where there is none, z-scored with those of the clips `train` (M,) int.

    Raises:
      ValueError: a dimension has fewer than two different ratings among the clips `train`.
    """
    used = ratings[train]
    for column in range(ratings.shape[1]):
        if len(np.unique(used[~np.isnan(used[:, column]), column])) < 2:
            raise ValueError(
                f"dimension {column + 1} of {ratings.shape[1]} (--config.corpus.dimensions): expected training clips with two different "
                f"ratings or more, found {int((~np.isnan(used[:, column])).sum())} rated clips of {len(train)}"
            )
    mean, deviation = np.nanmean(used, axis=0), np.nanstd(used, axis=0)
    return Ratings(*(one.astype(np.float32) for one in ((ratings - mean) / deviation, mean, deviation)))


def targets_of(rating: jax.Array) -> jax.Array:
    """Return (B, 2 D) targets of ratings (B, D), NaN where there is none: ratings with 0 in place of NaN, and 1 where there is one.

    Mixup blends both halves. A blend counts as rated where both of its clips are.
    """
    is_rated = ~jnp.isnan(rating)
    return jnp.concatenate([jnp.where(is_rated, rating, 0), is_rated.astype(rating.dtype)], axis=1)


def dimension_loss(kind: str, values: jax.Array, target: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the loss of a batch, the mean over dimensions; one with fewer than two rated clips ("ccc"), or none ("mse"), adds 0.

    Args:
      kind: "ccc" for one minus the concordance correlation coefficient over the batch, "mse" for the mean squared error.
      values: (B, D), z-scored.
      target: (B, 2 D) from `targets_of`.
      mask: (B,) float, 0 for padding.

    Source: Trigeorgis et al. 2016, Adieu features? End-to-end speech emotion recognition using a deep convolutional recurrent network,
    section 3.3 (one minus CCC as the loss). Differs: over the rated clips of a batch, one value each, not over the steps of a recording.
    """
    rating, is_rated = jnp.split(target, 2, axis=1)
    weight = (is_rated > 0.999) * mask[:, None]  # mixup's shares add up to 1 up to rounding
    count = weight.sum(axis=0)
    if kind == "mse":
        return (((values - rating) ** 2 * weight).sum(axis=0) / jnp.maximum(count, 1)).mean()
    return jnp.where(count > 1, 1 - ccc_from_sums(rating_sums(rating, values, weight)), 0).mean()


def with_values(output: jax.Array, num_classes: int, scaler: Any) -> jax.Array:
    """Return a network's output (B, K + D) as probabilities (B, K) beside values in units of the scale (B, D)."""
    logits, values = output[:, :num_classes], output[:, num_classes:]
    return jnp.concatenate([jax.nn.softmax(logits), values * scaler[RATING]["deviation"] + scaler[RATING]["mean"]], axis=1)


def selection_metrics(ratings: Ratings, values: jax.Array, present: jax.Array, *, loss: str) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return every metric of dimensions on a selection part, the mean over dimensions, and their loss; all of z-scored ratings.

    Args:
      ratings: of all clips.
      values: (C, D) predictions in units of the scale.
      present: (C,) float, 1 for the clips of the part.
      loss: kind of loss, as in `dimension_loss`.
    """
    values = (values - ratings.mean) / ratings.deviation
    target = targets_of(ratings.of_clip)
    rating, is_rated = jnp.split(target, 2, axis=1)
    sums = rating_sums(rating, values, is_rated * present[:, None])
    found = {metric.name: metric.value(sums).mean() for metric in rating_metrics()}
    return found, dimension_loss(loss, values, target, present)
