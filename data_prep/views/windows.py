"""Windows of consecutive frames, for networks with a time axis of their own: the common part of `frame_windows` and `flow_windows`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from data_prep.decoding.frame_times import at_rate, cut_steps
from data_prep.views.face_boxes import Box
from data_prep.views.face_crops import crop_face, detector_of
from data_prep.views.parameters import Margin, NumFrames, RateFps, SegmentS, SizePx, check_crop
from data_prep.views.pictures import crop_centre, reduced, resized
from data_prep.views.segments import ViewSegment, is_long_enough, usable_segments

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame

_CENTRE_PART = 7 / 8  # of the shorter side: the input of I3D is 224 of 256 px
_DETECTIONS_PER_S = 5.0  # a head moves slowly, and all frames of a segment share one square


class Piece(NamedTuple):
    """The pictures of one segment.

    Attributes:
      images: (size_px, size_px, 3) uint8 each; none where the segment has no face.
      times_s: (T,) float32.
      num_seen: frames searched for faces.
      num_with_face: those with a face; None where no face is looked for.
    """

    images: list[np.ndarray]
    times_s: np.ndarray
    num_seen: int
    num_with_face: int | None


@dataclasses.dataclass(frozen=True)
class Windows:
    """Frames at a fixed rate, all of a segment cropped alike, num_frames in a row to a step.

    A last window that is not full is filled up with its last frame; it is left out where less than half of it is real, unless it is the
    only one. A segment without any face is one step of zeros, masked out.

    Attributes:
      rate_fps: number of frames per second, each the nearest in time; I3D is published for 25.
      num_frames: number of frames of a step; at the default rate, 25 are one second.
      size_px: height and width of a frame in px; I3D is published for 224.
      crop: part of the frame that is used: "centre", a square in the middle with 7/8 of the shorter side, as published (224 of 256 px);
        "whole", the whole frame without regard to its aspect ratio; "face", one square for a whole segment, so that it does not shake,
        around the median of the largest faces found in five frames a second.
      segment_s: length of a segment in s; longer clips are cut into several segments. With crop="face" its frames are in memory at 640 px,
        90 MB for 5 s.
      detector: face detector of crop="face": "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10"; the
        last two need a file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of the face, as a share of its longer side.
    """

    rate_fps: RateFps = 25.0
    num_frames: NumFrames = 25
    size_px: SizePx = 224
    crop: str = "centre"
    segment_s: SegmentS = 5.0
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    name: ClassVar[str]
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str]
    num_channels: ClassVar[int]
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_crop(self)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_frames, self.size_px, self.size_px, self.num_channels)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps / num_frames steps for every segment_s of frames."""
        yield from usable_segments(self.segment_of(index, steps) for index, steps in cut_steps(self.steps(frames), self.segment_s))

    def steps(self, frames: Iterator[Frame]) -> Iterator[tuple[float, tuple[float, np.ndarray]]]:
        """Yield each frame, its time in s and its picture as it is held, with the time of its step in s."""
        last: Frame | None = None
        image = np.zeros(0, np.uint8)
        for step_s, frame in at_rate(frames, self.rate_fps):
            if frame is not last:
                image = self._held(frame.image)
            yield step_s, (frame.time_s, image)
            last = frame

    def segment_of(self, index: int, steps: Sequence[tuple[float, np.ndarray]]) -> ViewSegment | None:
        """Return the segment with that index made of its frames, or None where it is a tail that is too short."""
        if not is_long_enough(index, len(steps) / self.rate_fps, self.segment_s):
            return None
        images = [image for _, image in steps]
        num_seen, num_with_face = len(steps), None
        if self.crop == "face":
            images, num_seen, num_with_face = self._faces(images)
        return self.windows(Piece(images, np.array([time_s for time_s, _ in steps], np.float32), num_seen, num_with_face))

    def windows(self, piece: Piece) -> ViewSegment:
        """Return the windows of the cropped frames of a segment."""
        raise NotImplementedError

    def _held(self, image: np.ndarray) -> np.ndarray:
        if self.crop == "face":
            return reduced(image)
        return resized(crop_centre(image, _CENTRE_PART) if self.crop == "centre" else image, self.size_px, self.size_px)

    def _faces(self, images: list[np.ndarray]) -> tuple[list[np.ndarray], int, int]:
        """The square around the face in all images, none where no face was found; images that were searched, and those with a face."""
        detector = detector_of(self)
        searched = [detector.detect(image) for image in images[:: max(1, round(self.rate_fps / _DETECTIONS_PER_S))]]
        boxes = [(found[0].x, found[0].y, found[0].width, found[0].height) for found in searched if found]
        if not boxes:
            return [], len(searched), 0
        box = Box(*(float(value) for value in np.median(boxes, axis=0)))
        squares = [resized(crop_face(image, box, margin=self.margin), self.size_px, self.size_px) for image in images]
        return squares, len(searched), len(boxes)

    def joined(self, steps: Sequence[np.ndarray], piece: Piece) -> ViewSegment:
        """Join pictures or flows, one a frame, num_frames to a window; none at all gives one window of zeros, masked out."""
        if not steps:
            values = np.zeros((1, *self.step_shape), self.dtype)
            return ViewSegment(values, np.zeros(1, bool), piece.times_s[:1], piece.num_seen, piece.num_with_face)
        starts = [start for start in range(0, len(steps), self.num_frames) if start == 0 or len(steps) - start >= self.num_frames / 2]
        values = np.empty((len(starts), *self.step_shape), self.dtype)
        times_s = np.empty(len(starts), np.float32)
        for window, start in enumerate(starts):
            last = min(start + self.num_frames, len(steps)) - 1
            for place in range(self.num_frames):
                values[window, place] = steps[min(start + place, last)]
            times_s[window] = (piece.times_s[start] + piece.times_s[last]) / 2
        return ViewSegment(values, np.ones(len(starts), bool), times_s, piece.num_seen, piece.num_with_face)
