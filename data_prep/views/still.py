"""One picture, or a few evenly spaced ones: what nets for single images see of a picture or a film."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import cv2
import numpy as np

from data_prep.decoding.frame_times import by_time, duration_s
from data_prep.decoding.media import Frame
from data_prep.views.face_detection import crop_centre, filled_from_nearest, largest_face, make_detector, reduced, resized
from data_prep.views.parameters import check_crop, check_margin, check_positive
from data_prep.views.segments import ViewSegment, keeps_segment, kept_segments

_MOST_HELD = 128


@dataclasses.dataclass(frozen=True)
class Still:
    """A still picture, or num_frames pictures of each segment of a film.

    A film's segment is cut into num_frames parts of equal length, each shown by the frame in its middle; one part is the segment's middle
    frame. Fewer frames than that are repeated in place. Of segments of more than 128 frames the nearest of at least 64 evenly spaced
    ones is taken.

    Attributes:
      num_frames: steps of a segment.
      size_px: height and width of a step.
      gray: one channel in place of three.
      crop: "whole" frames are resized whatever their proportions; "centre" shows the largest square in their middle; "face" the square
        around the largest face. A step without a face shows the nearest one with a face; the mask is False throughout where none has one.
      segment_s: length of a segment.
      detector, detector_path: as `make_detector` takes them.
      margin: around the face, as `crop_face` takes it.

    Source: C (48 px and 88 px, stills and frames of films).
    """

    num_frames: int = 1
    size_px: int = 48
    gray: bool = False
    crop: str = "whole"
    segment_s: float = 30.0
    detector: str = "haar"
    detector_path: str | None = None
    margin: float = 0.1

    name: ClassVar[str] = "still"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_positive(self, "num_frames", "size_px", "segment_s")
        check_crop(self)
        check_margin(self)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 1 if self.gray else 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of num_frames steps for every segment_s of frames."""
        yield from kept_segments(self._segment(index, piece) for index, piece in enumerate(by_time(frames, self.segment_s)))

    def _segment(self, index: int, frames: Iterator[Frame]) -> ViewSegment | None:
        held, times = self._held(frames)
        times_s = np.array(times, np.float32)
        if not keeps_segment(index, duration_s(times_s), self.segment_s):
            return None
        chosen = [_nearest(held, int((number + 0.5) * len(times) / self.num_frames)) for number in range(self.num_frames)]
        distinct = {place: self._step(held[place]) for place in dict.fromkeys(chosen)}
        times_s = times_s[chosen]
        values, num_with_face = filled_from_nearest([distinct[place] for place in chosen], times_s, self.step_shape)
        if self.crop != "face":
            return ViewSegment(values, np.ones(len(chosen), bool), times_s, len(distinct))
        num_with_face = sum(step is not None for step in distinct.values())
        return ViewSegment(values, np.full(len(chosen), num_with_face > 0), times_s, len(distinct), num_with_face)

    def _held(self, frames: Iterator[Frame]) -> tuple[dict[int, np.ndarray], list[float]]:
        """Frames by their number in the segment, every second one dropped whenever they are too many; and the times of all."""
        held: dict[int, np.ndarray] = {}
        times: list[float] = []
        stride = 1
        for number, frame in enumerate(frames):
            times.append(frame.time_s)
            if number % stride:
                continue
            held[number] = reduced(frame.image) if self.crop == "face" else self._cut(frame.image)
            if len(held) > _MOST_HELD:
                stride *= 2
                held = {place: image for place, image in held.items() if place % stride == 0}
        return held, times

    def _cut(self, image: np.ndarray) -> np.ndarray:
        return resized(crop_centre(image) if self.crop == "centre" else image, self.size_px, self.size_px)

    def _step(self, image: np.ndarray) -> np.ndarray | None:
        if self.crop == "face":
            found = largest_face(image, make_detector(self.detector, self.detector_path), self.size_px, margin=self.margin)
            if found is None:
                return None
            image = found
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if self.gray else image


def _nearest(held: dict[int, np.ndarray], number: int) -> int:
    return min(held, key=lambda place: abs(place - number))
