"""Measurement of the sides of a comparison in turns, and the ratio of their times."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from avemo_jax.allocator import give_back_freed_memory, keep_freed_memory

_PAUSE_S = 0.5
Run = Callable[[np.ndarray], np.ndarray]  # a batch -> features on the host


class Timing(NamedTuple):
    """One side of a comparison.

    Attributes:
      seconds: of a batch in each round.
      processor_s: processor time of all threads in each round, which other processes on the machine change less.
      difference: largest difference from the first side's outputs, relative to their largest value.
    """

    seconds: list[float]
    processor_s: list[float]
    difference: float


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


def measure_batch(sides: dict[str, Run], batch: np.ndarray, num_rounds: int, *, keeping: Collection[str] = ()) -> dict[str, Timing]:
    """Return the timings of the sides on one batch, measured in turns after a first call of each, which compiles.

    Args:
      keeping: sides that keep freed memory, as in a run; the others have the allocator's default settings.
    """
    outputs = {side: run(batch) for side, run in sides.items()}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    processor_s: dict[str, list[float]] = {side: [] for side in sides}
    give_back_freed_memory()
    for _ in range(num_rounds):
        for side, run in sides.items():
            if side in keeping:
                keep_freed_memory()
            rest()
            run(batch)  # warms up: allocates the memory that the previous side gave back, and wakes the threads, as in a corpus
            start, processor_start = time.perf_counter(), time.process_time()
            run(batch)
            seconds[side].append(time.perf_counter() - start)
            processor_s[side].append(time.process_time() - processor_start)
            give_back_freed_memory()
    first = next(iter(outputs.values()))
    differences = {side: float(np.abs(output - first).max() / np.abs(first).max()) for side, output in outputs.items()}
    return {side: Timing(seconds[side], processor_s[side], differences[side]) for side in sides}


def format_ratio(taken: Sequence[float], other: Sequence[float]) -> str:
    """Return the ratio of `taken` to `other` in each round as its median over rounds, with the least and largest."""
    ratios = sorted(a / b for a, b in zip(taken, other, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
