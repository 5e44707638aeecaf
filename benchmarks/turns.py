"""Measurement of the sides of a comparison in turns, and the ratio of their times."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

_PAUSE_S = 0.5


def rest() -> None:
    """Wait until threads of the previous side are idle: those of TensorFlow spin for a while and take cores from the next side."""
    time.sleep(_PAUSE_S)


def measure(sides: dict[str, Callable[[], float]], num_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round of each side, measured in turns after one call of each that is not counted.

    Raises:
      ValueError: the loss that a side returns is not finite.
    """
    losses = {name: [epoch()] for name, epoch in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(num_rounds):
        for name, epoch in sides.items():
            rest()
            start = time.perf_counter()
            losses[name].append(epoch())
            seconds[name].append(time.perf_counter() - start)
    for name, values in losses.items():
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{name}: a validation loss is not finite: {values}")
    return seconds


def format_ratio(taken: Sequence[float], other: Sequence[float]) -> str:
    """Return the ratio of `taken` to `other` in each round as its median over rounds, with the least and largest."""
    ratios = sorted(a / b for a, b in zip(taken, other, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
