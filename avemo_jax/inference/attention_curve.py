"""Attention over time: the weights that networks with attention pooling give to the steps of a window, as one curve of a recording.

A value is the weight of a step times the number of steps of its window: 1 where all steps weigh the same, 2 where a step weighs twice as
much, so that windows of any number of steps can be joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEP_S = 0.1


def attention_curve(weights: np.ndarray, times_s: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """Return the attention in each tenth of a second, (N,) float32 with N at least 1.

    Tenths without a step lie between those that have some.

    Args:
      weights: (T,) of the real steps, at least one, with the sum 1.
      times_s: (T,) in order.
      start_s, end_s: of the window.
    """
    num = num_steps(start_s, end_s)
    place = np.clip(((times_s - start_s) / STEP_S + 1e-4).astype(int), 0, num - 1)  # times are float32
    count = np.bincount(place, minlength=num)
    total = np.bincount(place, weights=weights * len(weights), minlength=num)
    known = np.flatnonzero(count)
    return np.interp(np.arange(num), known, total[known] / count[known]).astype(np.float32)


def joined_curve(start_s: float, end_s: float, curves: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the mean of curves from start_s to end_s, (N,) float32; of those that cover a tenth of a second, else of the nearest ends.

    Args:
      start_s, end_s: of a hop.
      curves: start in s and values of at least one.
    """
    middles_s = start_s + (np.arange(num_steps(start_s, end_s)) + 0.5) * STEP_S
    places = [np.floor((middles_s - from_s) / STEP_S + 1e-6).astype(int) for from_s, _ in curves]
    inside = np.array([(place >= 0) & (place < len(values)) for place, (_, values) in zip(places, curves, strict=True)])
    inside |= ~inside.any(axis=0)
    values = np.array([values[np.clip(place, 0, len(values) - 1)] for place, (_, values) in zip(places, curves, strict=True)])
    return ((values * inside).sum(axis=0) / inside.sum(axis=0)).astype(np.float32)


def downsampled(values: np.ndarray, most: int) -> np.ndarray:
    """Return at most that many means of neighbours of values (N,)."""
    joined = -(-len(values) // most)
    if joined <= 1:
        return values
    starts = np.arange(0, len(values), joined)
    return np.add.reduceat(values, starts) / np.diff([*starts, len(values)])


def num_steps(start_s: float, end_s: float) -> int:
    """Return the number of tenths of a second of a span, at least 1."""
    return max(1, round((end_s - start_s) / STEP_S))
