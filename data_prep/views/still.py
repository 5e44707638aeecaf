"""The view `still`: one picture, or a few evenly spaced ones of a film, for networks of single images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data_prep.decoding.frame_times import by_time, duration_s
from data_prep.views.face_crops import detector_of, filled_from_nearest, largest_face
from data_prep.views.parameters import Margin, NumFrames, SegmentS, SizePx, check_crop
from data_prep.views.pictures import crop_centre, reduced, resized, to_gray
from data_prep.views.segments import ViewSegment, is_long_enough, usable_segments

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame

_MOST_HELD = 128


@dataclasses.dataclass(frozen=True)
class Still:
    """A still picture, or num_frames pictures of each segment of a film.

    A film's segment is cut into num_frames parts of equal length, each shown by the frame in its middle; one part is the segment's middle
    frame. Fewer frames than that are repeated in place. Of segments of more than 128 frames the nearest of at least 64 evenly spaced
    ones is taken.

    Attributes:
      num_frames: number of steps of a segment of a film, evenly spaced; a picture has one step.
      size_px: height and width of a step in px; C also names 88.
      gray: convert pictures to grey, with one channel in place of three.
      crop: part of the frame that is used: "whole", the whole frame without regard to its aspect ratio; "centre", the largest square in the
        middle; "face", the square around the largest face. A step without a face is replaced by the nearest one with a face; a segment in
        which no step has a face is masked out.
      segment_s: length of a segment in s; longer films are cut into several segments.
      detector: face detector of crop="face": "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10"; the
        last two need a file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of the face, as a share of its longer side.

    Source: C (48 px and 88 px, stills and frames of films).
    """

    num_frames: NumFrames = 1
    size_px: SizePx = 48
    gray: bool = False
    crop: str = "whole"
    segment_s: SegmentS = 30.0
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    name: ClassVar[str] = "still"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_crop(self)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 1 if self.gray else 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of num_frames steps for every segment_s of frames."""
        yield from usable_segments(self._segment(index, piece) for index, piece in enumerate(by_time(frames, self.segment_s)))

    def _segment(self, index: int, frames: Iterator[Frame]) -> ViewSegment | None:
        held, times = self._held(frames)
        times_s = np.array(times, np.float32)
        if not is_long_enough(index, duration_s(times_s), self.segment_s):
            return None
        chosen = [_nearest(held, int((number + 0.5) * len(times) / self.num_frames)) for number in range(self.num_frames)]
        distinct = {place: self._step(held[place]) for place in dict.fromkeys(chosen)}
        times_s = times_s[chosen]
        values, _ = filled_from_nearest([distinct[place] for place in chosen], times_s, self.step_shape)
        if self.crop != "face":
            return ViewSegment(values, np.ones(len(chosen), bool), times_s, len(distinct))
        num_with_face = sum(step is not None for step in distinct.values())
        return ViewSegment(values, np.full(len(chosen), num_with_face > 0), times_s, len(distinct), num_with_face)

    def _held(self, frames: Iterator[Frame]) -> tuple[dict[int, np.ndarray], list[float]]:
        """Number in the segment -> picture, every second one dropped whenever there are more than 128; and the times of all frames."""
        held: dict[int, np.ndarray] = {}
        times: list[float] = []
        stride = 1
        for number, frame in enumerate(frames):
            times.append(frame.time_s)
            if number % stride:
                continue
            held[number] = reduced(frame.image) if self.crop == "face" else self._whole_or_centre(frame.image)
            if len(held) > _MOST_HELD:
                stride *= 2
                held = {place: image for place, image in held.items() if place % stride == 0}
        return held, times

    def _whole_or_centre(self, image: np.ndarray) -> np.ndarray:
        return resized(crop_centre(image) if self.crop == "centre" else image, self.size_px, self.size_px)

    def _step(self, image: np.ndarray) -> np.ndarray | None:
        if self.crop == "face":
            found = largest_face(image, detector_of(self), self.size_px, margin=self.margin)
            if found is None:
                return None
            image = found
        return to_gray(image)[..., None] if self.gray else image


def _nearest(held: dict[int, np.ndarray], number: int) -> int:
    return min(held, key=lambda place: abs(place - number))
