"""Whether predictions make sense in the declared order of classes, or would in another one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from avemo_jax.evaluation.metrics import confusion
from avemo_jax.evaluation.results import Predictions

_LEAST_GAIN = 0.1  # of accuracy: less is what a system's own habits may be worth
_SURE_RATIO = 1.5
_NUM_SHUFFLES, _DEVIATIONS = 199, 5


@dataclasses.dataclass(frozen=True)
class OrderFinding:
    """An order of classes under which predictions are far more often right.

    Attributes:
      accuracy: in the declared order.
      accuracy_if_permuted: in the likely one.
      is_at_chance: whether the accuracy is what predictions that know nothing reach.
      classes: in the declared order.
      likely: the class that each declared one seems to be.
    """

    accuracy: float
    accuracy_if_permuted: float
    is_at_chance: bool
    classes: tuple[str, ...]
    likely: tuple[str, ...]

    @property
    def is_sure(self) -> bool:
        """Whether no system's own confusions explain it: it is at chance, or half again as often right when permuted."""
        return self.is_at_chance or self.accuracy_if_permuted >= _SURE_RATIO * self.accuracy

    def sentence(self, declared: Sequence[str] | None = None) -> str:
        """What was found, and the order that is likely, in that of the `declared` columns where the classes have columns."""
        likely = dict(zip(self.classes, self.likely, strict=True))
        moved = [f"{name} is likely {other}" for name, other in likely.items() if name != other]
        how = "at chance" if self.is_at_chance else "lower than it need be"
        order = "" if declared is None else f"; the likely order of the columns is classes={','.join(likely[name] for name in declared)}"
        return (
            f"accuracy is {how} ({100 * self.accuracy:.1f} %) and would be {100 * self.accuracy_if_permuted:.1f} % if the classes were "
            f"permuted: what is said to be {', '.join(moved)}{order}"
        )


def check_order(predictions: Predictions) -> OrderFinding | None:
    """Look for a permutation of the classes under which predictions are far more often right.

    The best permutation is an assignment of predicted classes to labels. Some permutation always looks a little better, so its accuracy
    has to be five deviations above the mean of what the best permutations of shuffles of the same predictions reach, and a tenth above
    that of the declared order.

    Args:
      predictions: one row a clip.

    Returns:
      None where the declared order is as good as any.

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
    """Accuracy as declared, accuracy of the best permutation, and the label (K,) that each predicted class then stands for."""
    counts = confusion(label, predicted, num_classes)
    # A clip on the diagonal is worth a little more: of equally good orders the declared one is taken.
    columns, labels = linear_sum_assignment(counts.T + 1e-6 * np.eye(num_classes), maximize=True)
    return float(np.trace(counts) / len(label)), float(counts.T[columns, labels].sum() / len(label)), labels
