"""Check of the declared order of classes: whether a permutation of it would raise the accuracy far above chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from avemo_jax.evaluation.metrics import confusion
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.text import format_percent

_LEAST_GAIN = 0.1  # of accuracy; a smaller one may be due to the systematic confusions of a system
_SURE_RATIO = 1.5
_NUM_SHUFFLES, _DEVIATIONS = 199, 5


@dataclasses.dataclass(frozen=True)
class OrderFinding:
    """A permutation of the classes with a far higher accuracy than the declared order.

    Attributes:
      accuracy: in the declared order.
      accuracy_if_permuted: in the likely order.
      is_at_chance: whether the accuracy in the declared order is that of shuffled predictions.
      classes: in the declared order.
      likely: the likely class of each declared one.
    """

    accuracy: float
    accuracy_if_permuted: float
    is_at_chance: bool
    classes: tuple[str, ...]
    likely: tuple[str, ...]

    @property
    def is_sure(self) -> bool:
        """Whether confusions of a system cannot explain it: accuracy is at chance, or 1.5 times as high when permuted."""
        return self.is_at_chance or self.accuracy_if_permuted >= _SURE_RATIO * self.accuracy

    def sentence(self, declared: Sequence[str] | None = None) -> str:
        """Describe the finding, with the likely order of the `declared` columns where classes have columns."""
        likely = dict(zip(self.classes, self.likely, strict=True))
        moved = [f"{name} is likely {other}" for name, other in likely.items() if name != other]
        how = "at chance" if self.is_at_chance else "low"
        order = "" if declared is None else f"; the likely order of the columns is classes={','.join(likely[name] for name in declared)}"
        return (
            f"accuracy is {how} ({format_percent(self.accuracy)} %) and would be {format_percent(self.accuracy_if_permuted)} % if the "
            f"classes were permuted: {', '.join(moved)}{order}"
        )


def check_order(predictions: Predictions) -> OrderFinding | None:
    """Look for a permutation of the classes with a far higher accuracy.

    The best permutation is an assignment of predicted classes to labels. Some permutation is always a little better, so its accuracy must
    be five deviations above the mean of the best permutations of shuffled predictions, and 0.1 above that of the declared order.

    Args:
      predictions: one row a clip.

    Returns:
      None where no permutation is far better than the declared order.

    Source: Kuhn 1955, The Hungarian method for the assignment problem, by scipy.
    """
    label, predicted, num_classes = predictions.label, predictions.predicted, len(predictions.classes)
    accuracy, best, likely = _best(label, predicted, num_classes)
    if best - accuracy < _LEAST_GAIN:
        return None
    generator = np.random.default_rng(0)
    shuffles = [_best(label, generator.permutation(predicted), num_classes)[:2] for _ in range(_NUM_SHUFFLES)]
    by_chance = [permuted for _, permuted in shuffles]
    if best <= np.mean(by_chance) + _DEVIATIONS * np.std(by_chance):
        return None
    at_chance = accuracy <= float(np.quantile([plain for plain, _ in shuffles], 0.975))
    return OrderFinding(accuracy, best, at_chance, predictions.classes, tuple(predictions.classes[index] for index in likely))


def _best(label: np.ndarray, predicted: np.ndarray, num_classes: int) -> tuple[float, float, np.ndarray]:
    """Accuracy as declared, accuracy of the best permutation, and the label (K,) of each predicted class under it."""
    counts = confusion(label, predicted, num_classes)
    # The diagonal weighs slightly more, so that of equally good orders the declared one is taken.
    columns, labels = linear_sum_assignment(counts.T + 1e-6 * np.eye(num_classes), maximize=True)
    return float(np.trace(counts) / len(label)), float(counts.T[columns, labels].sum() / len(label)), labels
