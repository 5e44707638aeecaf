"""The view `frames`: whole frames at a fixed rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data_prep.decoding.frame_times import at_rate, cut_steps
from data_prep.views.parameters import RateFps, SegmentS, SizePx
from data_prep.views.pictures import resized
from data_prep.views.segments import ViewSegment, is_long_enough, usable_segments

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


@dataclasses.dataclass(frozen=True)
class Frames:
    """Whole frames at a fixed rate: each step is the nearest frame in time, resized whatever its proportions.

    Attributes:
      rate_fps: number of steps per second.
      size_px: height and width of a step in px.
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    rate_fps: RateFps = 7.5
    size_px: SizePx = 299
    segment_s: SegmentS = 30.0

    name: ClassVar[str] = "frames"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps steps for every segment_s of frames."""
        yield from usable_segments(self.segment_of(index, steps) for index, steps in cut_steps(self.steps(frames), self.segment_s))

    def steps(self, frames: Iterator[Frame]) -> Iterator[tuple[float, tuple[float, np.ndarray]]]:
        """Yield each step, the time of its frame in s and its picture (size_px, size_px, 3) uint8, with its time in s."""
        for step_s, frame in at_rate(frames, self.rate_fps):
            yield step_s, (frame.time_s, resized(frame.image, self.size_px, self.size_px))

    def segment_of(self, index: int, steps: Sequence[tuple[float, np.ndarray]]) -> ViewSegment | None:
        """Return the segment with that index made of its steps, or None where it is a tail that is too short."""
        if not is_long_enough(index, len(steps) / self.rate_fps, self.segment_s):
            return None
        times_s = np.array([time_s for time_s, _ in steps], np.float32)
        return ViewSegment(np.stack([image for _, image in steps]), np.ones(len(steps), bool), times_s, len(steps))
