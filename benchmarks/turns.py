"""Sides of a comparison taking turns, what each waits for before its own, and how two of them are set against each other."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

_PAUSE_S = 0.5


def rest() -> None:
    """Let threads of the side before come to rest: TensorFlow's above all look for work for a while, on the cores of the next side."""
    time.sleep(_PAUSE_S)


def measure(sides: dict[str, Callable[[], float]], num_rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each side, turn by turn, after one call of each that is not counted.

    Raises:
      ValueError: what a side returns, a loss, is not finite.
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
    """Median over rounds of how often the other's time of a round goes into what was taken, with its least and largest."""
    ratios = sorted(a / b for a, b in zip(taken, other, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
