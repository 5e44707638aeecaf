"""Long clips through encoders of sequences, in chunks that overlap, so that each step has its context.

A view cuts a long clip into segments, and a step at the border of a segment would be encoded without what is on the other side of it. Here
the segments of a clip are joined, cut into overlapping chunks, encoded, and the features are cut where the segments were. Each chunk gives
the features from the middle of its overlap with the chunk before to the middle of its overlap with the next, so that each moment has one
feature, and all lie on one time line.

Chunks are as long as the segments of the view, and not longer than the encoder takes. Longer ones would have more context, but Whisper's
features also tell the place in the chunk: a classifier that was trained on clips of 4 s fails on features from the middle of 30 s.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from avemo_jax.data.prepared import Example

Encode = Callable[[Iterator[Example]], Iterator[Example]]


@dataclasses.dataclass(frozen=True)
class Chunks:
    """How long clips are cut for an encoder.

    Attributes:
      most_steps: steps of the view that a chunk has at most.
      overlap_s: time in s that two successive chunks share; half a chunk where that is less.
      stride_steps: steps of the view that a feature stands for; chunks begin at multiples of it, so that features lie where those of one
        long chunk would lie.
    """

    most_steps: int
    overlap_s: float
    stride_steps: int

    def hop_steps(self, num_steps: int, step_s: float) -> int:
        """Return the distance between the starts of two chunks of `num_steps` steps that are `step_s` apart."""
        shared = min(round(self.overlap_s / step_s), num_steps // 2)
        return max((num_steps - shared) // self.stride_steps, 1) * self.stride_steps


def encode_in_chunks(examples: Iterable[Example], encode: Encode, chunks: Chunks) -> Iterator[Example]:
    """Yield the features of segments, in order, with as many examples as there are segments.

    A segment without a neighbour is encoded by itself. So are segments that do not continue each other in time.

    Args:
      examples: segments of clips, in order, with times.
      encode: maps segments to their features, in order, of which the times are computed from those of the steps.
      chunks: how clips of several segments are cut.
    """
    order: deque[_Core | None] = deque()  # what comes out of `encode` next
    for encoded in encode(_chunked(examples, chunks, order)):
        core = order.popleft()
        if core is None:
            yield encoded
        else:
            yield from core.recording.cut(encoded, core)


@dataclasses.dataclass(frozen=True)
class _Core:
    """The part of a chunk that is used: steps from `first` to `end` of its recording, all to the end where `end` is None."""

    recording: _Recording
    start: int
    first: int
    end: int | None


def _chunked(examples: Iterable[Example], chunks: Chunks, order: deque[_Core | None]) -> Iterator[Example]:
    """Yield what is to be encoded, and note in `order` what each of it is."""
    recording: _Recording | None = None
    for example, is_continued in _with_continuation(examples):
        if recording is None and not is_continued:
            order.append(None)
            yield example
            continue
        recording = recording or _Recording(chunks, len(example.mask), _step_s(example))
        recording.add(example)
        for core, chunk in recording.chunks(is_last=not is_continued):
            order.append(core)
            yield chunk
        if not is_continued:
            recording = None


def _with_continuation(examples: Iterable[Example]) -> Iterator[tuple[Example, bool]]:
    """Yield each segment and whether the next one continues it."""
    examples = iter(examples)
    previous = next(examples, None)
    for example in examples:
        assert previous is not None
        yield previous, _continues(previous, example)
        previous = example
    if previous is not None:
        yield previous, False


def _continues(previous: Example, example: Example) -> bool:
    if previous.clip_id != example.clip_id or min(len(previous.times_s), len(example.times_s)) < 2:
        return False
    step_s = _step_s(previous)
    gap_s = float(example.times_s[0]) - float(previous.times_s[-1])
    rounding_s = 2 * float(np.spacing(example.times_s[0]))  # after an hour, float32 is coarser than a sample of sound
    return abs(gap_s - step_s) < max(step_s / 2, rounding_s)


def _step_s(example: Example) -> float:
    """Return the distance of the steps of a segment of at least two."""
    return float(example.times_s[-1] - example.times_s[0]) / (len(example.times_s) - 1)


class _Recording:
    """Successive segments as one row of steps, of which a chunk is in memory, and its features until a segment is complete."""

    def __init__(self, chunks: Chunks, segment_steps: int, step_s: float):
        self._length = min(segment_steps, chunks.most_steps)
        self._hop = chunks.hop_steps(self._length, step_s)
        self._start = 0  # of the next chunk
        self._end = 0
        self._held: list[tuple[np.ndarray, np.ndarray]] = []  # values and masks from `_start` on
        self._segments: deque[tuple[Example, int]] = deque()  # without values; and the first step
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # step, values and mask of features

    def add(self, example: Example) -> None:
        """Take the next segment."""
        self._held.append((example.values, example.mask))
        self._segments.append((dataclasses.replace(example, values=np.zeros(0)), self._end))
        self._end += len(example.mask)

    def chunks(self, *, is_last: bool) -> Iterator[tuple[_Core, Example]]:
        """Yield the chunks that are complete; with `is_last` all that are left. Their times are places of steps in the chunk."""
        length = self._length
        half = (length - self._hop) // 2
        while self._end - self._start > length or (is_last and self._end > self._start):
            is_end = self._end - self._start <= length
            values, mask = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
            own = Example(
                self._segments[-1][0].clip_id, 0, values[:length], mask[:length], np.arange(min(len(mask), length), dtype=np.float32)
            )
            first = 0 if self._start == 0 else self._start + half
            yield _Core(self, self._start, first, None if is_end else self._start + self._hop + half), own
            self._start = self._end if is_end else self._start + self._hop
            self._held = [(values[self._hop :], mask[self._hop :])]

    def cut(self, encoded: Example, core: _Core) -> Iterator[Example]:
        """Yield the segments of which all features are there, given those of the next chunk."""
        steps = core.start + encoded.times_s.astype(np.float64)
        used = (steps >= core.first) & (steps < (np.inf if core.end is None else core.end))
        self._found.append((steps[used], encoded.values[used], encoded.mask[used]))
        while self._segments and (core.end is None or self._segments[0][1] + len(self._segments[0][0].mask) <= core.end):
            segment, first = self._segments.popleft()
            steps, values, mask = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
            start, end = np.searchsorted(steps, (first, first + len(segment.mask)))
            if start == end:  # a segment shorter than a feature has the nearest one
                start = max(start - 1, 0)
                end = start + 1
            times_s = np.interp(steps[start:end] - first, np.arange(len(segment.times_s)), segment.times_s).astype(np.float32)
            yield Example(segment.clip_id, segment.segment, values[start:end].copy(), mask[start:end].copy(), times_s)
            self._found = [(steps[end - 1 :], values[end - 1 :], mask[end - 1 :])]
