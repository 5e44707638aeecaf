"""Predictions of overlapping windows as one curve: each hop has the mean of the windows that cover it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from avemo_jax.inference.predict import SegmentPrediction

_CLOCK_S = 1e-6


def smoothed(windows: Iterable[SegmentPrediction], hop_s: float) -> Iterator[SegmentPrediction]:
    """Yield one prediction a hop of hop_s seconds, in order; they follow each other without gaps to the end of the last window.

    The probabilities and values of a hop are the mean over the windows that overlap with it, weighted by the overlap, without those that
    are silent or have no face unless all are. Which streams a hop lacks is that of the window whose middle is nearest. A rest shorter than
    half a hop belongs to the last hop. Only the windows that overlap with a hop are in memory.

    Args:
      windows: window n begins at n * hop_s; only the last ones may be shorter than the others.
    """
    held: deque[SegmentPrediction] = deque()
    number = 0
    for window in windows:
        while (number + 1) * hop_s <= window.start_s + _CLOCK_S:
            yield _hop(number * hop_s, (number + 1) * hop_s, held)
            number += 1
            while held and held[0].end_s <= number * hop_s + _CLOCK_S:
                held.popleft()
        held.append(window)
    end_s = max((window.end_s for window in held), default=0.0)
    while held and (number * hop_s < end_s - _CLOCK_S or number == 0):
        is_last = end_s - (number + 1) * hop_s < hop_s / 2
        yield _hop(number * hop_s, end_s if is_last else (number + 1) * hop_s, held)
        if is_last:
            return
        number += 1


def _hop(start_s: float, end_s: float, windows: Iterable[SegmentPrediction]) -> SegmentPrediction:
    overlaps_s = {id(one): min(end_s, one.end_s) - max(start_s, one.start_s) for one in windows}
    covering = [one for one in windows if overlaps_s[id(one)] > _CLOCK_S] or list(windows)[-1:]
    used = [one for one in covering if one.has_emotion] or covering
    weights = np.array([max(overlaps_s[id(one)], _CLOCK_S) for one in used])
    weights /= weights.sum()
    middle_s = (start_s + end_s) / 2
    nearest = min(covering, key=lambda one: abs((one.start_s + one.end_s) / 2 - middle_s))
    values = {name: float(weights @ [one.values[name] for one in used]) for name in nearest.values}
    probabilities = weights @ np.array([one.probabilities for one in used])
    return dataclasses.replace(nearest, start_s=start_s, end_s=end_s, probabilities=probabilities, values=values)
