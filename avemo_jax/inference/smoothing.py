"""Predictions of overlapping windows as one curve: each hop has the mean of the windows that cover it."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from avemo_jax.inference.attention_curve import joined_curve
from avemo_jax.inference.predict import SegmentPrediction

_CLOCK_S = 1e-6


def smoothed(windows: Iterable[SegmentPrediction], hop_s: float) -> Iterator[SegmentPrediction]:
    """Yield one prediction a hop of hop_s seconds, in order; they follow each other without gaps to the end of the last window.

    The probabilities and values of a hop are the mean over the windows that overlap with it, weighted by the overlap, without those that
    are silent or have no face unless all are. Its attention is their mean. Which streams a hop lacks is that of the window whose middle is
    nearest. A rest shorter than half a hop belongs to the last hop. Only the windows that overlap with a hop are in memory.

    Args:
      windows: window n begins at n * hop_s; only the last ones may be shorter than the others.
    """
    smoother = Smoother(hop_s)
    for window in windows:
        yield from smoother.push(window)
    yield from smoother.close()


class Smoother:
    """`smoothed` for windows that come one at a time.

    Args:
      hop_s: distance of the starts of two windows.
    """

    def __init__(self, hop_s: float):
        self._hop_s = hop_s
        self._held: deque[SegmentPrediction] = deque()
        self._number = 0  # of the next hop

    def push(self, window: SegmentPrediction) -> Iterator[SegmentPrediction]:
        """Take a window; yield the hops that no later window overlaps with and that cannot be the last one."""
        while (self._number + 1) * self._hop_s <= window.start_s + _CLOCK_S:
            yield self._next()
        self._held.append(window)
        # The next window begins one hop later, at the end of this hop or behind it.
        while (self._number + 1) * self._hop_s <= min(window.start_s + self._hop_s, window.end_s - self._hop_s) + _CLOCK_S:
            yield self._next()

    def close(self, end_s: float | None = None) -> Iterator[SegmentPrediction]:
        """Yield the hops that are left.

        Args:
          end_s: end of the last window, where it has turned out to be earlier than was pushed.
        """
        if end_s is not None and self._held:
            self._held.append(dataclasses.replace(self._held.pop(), end_s=end_s))
        end_s = max((window.end_s for window in self._held), default=0.0)
        while self._held and (self._number * self._hop_s < end_s - _CLOCK_S or self._number == 0):
            is_last = end_s - (self._number + 1) * self._hop_s < self._hop_s / 2
            yield _hop(self._number * self._hop_s, end_s if is_last else (self._number + 1) * self._hop_s, self._held)
            if is_last:
                return
            self._number += 1

    def _next(self) -> SegmentPrediction:
        """Return the next hop, and forget the windows that end with it."""
        start_s, self._number = self._number * self._hop_s, self._number + 1
        found = _hop(start_s, self._number * self._hop_s, self._held)
        while self._held and self._held[0].end_s <= self._number * self._hop_s + _CLOCK_S:
            self._held.popleft()
        return found


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
    return dataclasses.replace(
        nearest, start_s=start_s, end_s=end_s, probabilities=probabilities, values=values, attention=_attention(start_s, end_s, used)
    )


def _attention(start_s: float, end_s: float, windows: Sequence[SegmentPrediction]) -> dict[str, np.ndarray]:
    streams = dict.fromkeys(name for one in windows for name in one.attention)
    return {
        name: joined_curve(start_s, end_s, [(one.start_s, one.attention[name]) for one in windows if name in one.attention])
        for name in streams
    }
