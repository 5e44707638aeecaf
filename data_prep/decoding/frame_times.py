"""Frames by their time: cut into segments, and taken at a fixed rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame

Step = TypeVar("Step")

CLOCK_S = 1e-6  # time stamps are rational, their floats nearly so


def by_time(frames: Iterator[Frame], segment_s: float) -> Iterator[Iterator[Frame]]:
    """Cut at multiples of segment_s."""
    for _, piece in itertools.groupby(frames, lambda frame: segment_index(frame.time_s, segment_s)):
        yield piece


def duration_s(times_s: np.ndarray) -> float:
    """From the first frame to the end of the last, by their mean distance, for times (T,) in s."""
    return float(times_s[-1] - times_s[0]) * len(times_s) / max(len(times_s) - 1, 1)


def cut_steps(steps: Iterable[tuple[float, Step]], segment_s: float) -> Iterator[tuple[int, list[Step]]]:
    """Yield (segment index, its steps) of steps with their times in s, cut at multiples of segment_s."""
    for index, piece in itertools.groupby(steps, lambda step: segment_index(step[0], segment_s)):
        yield index, [step for _, step in piece]


def segment_index(time_s: float, segment_s: float) -> int:
    """Return the number of the segment that a time belongs to, cut at multiples of segment_s."""
    return math.floor((time_s + CLOCK_S) / segment_s)


def at_rate(frames: Iterator[Frame], rate_fps: float) -> Iterator[tuple[float, Frame]]:
    """Yield (k / rate_fps, the nearest frame) up to the last frame, the earlier one of two equally near."""
    return ((number / rate_fps, frame) for number, frame in enumerate(_nearest(frames, rate_fps)))


def _nearest(frames: Iterator[Frame], rate_fps: float) -> Iterator[Frame]:
    step, before = 0, None
    for frame in frames:
        while step / rate_fps <= frame.time_s + CLOCK_S:
            nearer = before is not None and step / rate_fps - before.time_s <= frame.time_s - step / rate_fps + CLOCK_S
            yield before if before is not None and nearer else frame
            step += 1
        before = frame
    if step == 0 and before is not None:
        yield before
