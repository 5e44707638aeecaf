"""Decision functions of the classical system: plain arrays and the arithmetic on them, so that a run can store what it has fitted.

A fit and everything that is read back from its arrays give the same decision values, bit by bit for the same features.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# Standardised features are cut here: a clip that is unlike all training clips in one feature must not be decided by it.
LARGEST_DEVIATION = 2.0
# The kernel of two clips is exp(-KERNEL_RATE d²), d² the mean squared difference of their standardised features, about 2 for two clips.
KERNEL_RATE = 0.3


@dataclasses.dataclass(frozen=True)
class Standard:
    """Mean and inverse deviation of the training part, and the weight of each feature, (D,) float64 each.

    A feature that never changes in the training part becomes 0. Features of streams count in the same measure, however many a stream has:
    the sum of squares is the mean over the streams of the means over their features. A stream that a clip lacks (NaN) has the mean of the
    training part.
    """

    mean: np.ndarray
    inverse: np.ndarray
    weight: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        cut = np.clip((features - self.mean) * self.inverse, -LARGEST_DEVIATION, LARGEST_DEVIATION)
        return np.where(np.isnan(features), 0.0, cut) * self.weight


@dataclasses.dataclass(frozen=True)
class LinearDecision:
    """The function (standard(x) - centre) W + share.

    Attributes:
      centre: (D,) float64.
      weights: W, (D, C) float64, or (P, D, C) for P penalties.
      share: (C,) float64.
    """

    standard: Standard
    centre: np.ndarray
    weights: np.ndarray
    share: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return decision values (N, C), or (P, N, C), of features (N, D) float64."""
        return (self.standard(features) - self.centre) @ self.weights + self.share


@dataclasses.dataclass(frozen=True)
class GaussianDecision:
    """The function k(standard(x), rows) W + share of kernel ridge regression.

    Attributes:
      rows: (M, D) float32, the standardised training clips; as many as these take the most room of a run, so they are no float64.
      weights: W, (M, C) float64, or (P, M, C) for P penalties.
      share: (C,) float64.
    """

    standard: Standard
    rows: np.ndarray
    weights: np.ndarray
    share: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return decision values (N, C), or (P, N, C), of features (N, D) float64."""
        return gaussian_kernel(self.standard(features), self.rows.astype(np.float64)) @ self.weights + self.share


@dataclasses.dataclass(frozen=True)
class SupportVectorDecision:
    """The decision function of a support vector classifier with RBF kernel: votes of all pairs of classes, ties broken by their margins.

    Source: scikit-learn's `SVC` with decision_function_shape="ovr", whose arrays these are; tests compare both.

    Attributes:
      mean, deviation: (D,) float64, of the scaler before it.
      gamma: () float64, rate of the kernel.
      rows: (M, D) float64, the support vectors, class after class.
      num_rows: (C,) int64, support vectors of each class.
      coefficients: (C - 1, M) float64, dual coefficients.
      intercepts: (C (C - 1) / 2,) float64, one for each pair of classes.
    """

    mean: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    rows: np.ndarray
    num_rows: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return decision values (N, C) of features (N, D) float64."""
        kernel = np.exp(-self.gamma * _squared_distances((features - self.mean) / self.deviation, self.rows))
        num_classes = len(self.num_rows)
        if num_classes == 2:
            margin = kernel @ self.coefficients[0] + self.intercepts[0]
            return np.stack([-margin, margin], axis=1)
        ends = np.cumsum([0, *self.num_rows])
        votes, margins = (np.zeros((len(features), num_classes)) for _ in range(2))
        pairs = [(one, other) for one in range(num_classes) for other in range(one + 1, num_classes)]
        for (one, other), intercept in zip(pairs, self.intercepts, strict=True):
            of_one, of_other = (slice(ends[each], ends[each + 1]) for each in (one, other))
            margin = kernel[:, of_one] @ self.coefficients[other - 1, of_one]
            margin += kernel[:, of_other] @ self.coefficients[one, of_other] + intercept
            margins[:, one] += margin
            margins[:, other] -= margin
            votes[:, one] += margin >= 0
            votes[:, other] += margin < 0
        return votes + margins / (3 * (np.abs(margins) + 1))


Decision = LinearDecision | GaussianDecision | SupportVectorDecision


def gaussian_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the kernel of each pair of standardised rows (N, D) and (M, D), as (N, M)."""
    return np.exp(-KERNEL_RATE * _squared_distances(first, second))


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    return np.maximum(squares, 0.0)
