"""Windows of consecutive frames, and of the optical flow between them: what nets with a time axis of their own see."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from data_prep.decoding.frame_times import at_rate
from data_prep.decoding.media import Frame
from data_prep.views.face_detection import Box, crop_centre, crop_face, make_detector, reduced, resized
from data_prep.views.optical_flow import METHODS, flow_between
from data_prep.views.parameters import check_crop, check_margin, check_positive
from data_prep.views.segments import ViewSegment, keeps_segment

_CENTRE_PART = 7 / 8  # of the shorter side: I3D sees 224 of 256 px
_LOOKS_PER_S = 5.0  # for a face: a head moves slowly, and all frames of a segment share one square


class _Piece(NamedTuple):
    """One segment: its pictures (size_px, size_px, 3), none where no face is in it, their times, and what was seen on the way."""

    images: list[np.ndarray]
    times_s: np.ndarray
    num_seen: int
    num_with_face: int | None


@dataclasses.dataclass(frozen=True)
class _Windows:
    """What both kinds share: frames at a fixed rate, all of a segment cut alike, num_frames in a row to a step.

    A last window that is not full is filled up with its last frame; it is left out where less than half of it is real, unless it is the
    only one. A segment without any face is one step of zeros, masked out.

    Attributes:
      rate_fps: frames a second, the nearest in time each.
      num_frames: of a step.
      size_px: height and width of a frame.
      crop: "whole" frames are resized whatever their proportions; "centre" shows the square of 7/8 of the shorter side in their middle,
        as I3D takes 224 of 256 px; "face" one square for all of a segment, around the median of the largest faces found in five frames a
        second, so that it does not shake.
      segment_s: length of a segment. With crop="face" its frames are held at 640 px, 90 MB for 5 s.
      detector, detector_path: as `make_detector` takes them.
      margin: around the face, as `crop_face` takes it.
    """

    rate_fps: float = 25.0
    num_frames: int = 25
    size_px: int = 224
    crop: str = "centre"
    segment_s: float = 5.0
    detector: str = "haar"
    detector_path: str | None = None
    margin: float = 0.1

    name: ClassVar[str]
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str]
    num_channels: ClassVar[int]
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_positive(self, "rate_fps", "num_frames", "size_px", "segment_s")
        check_crop(self)
        check_margin(self)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_frames, self.size_px, self.size_px, self.num_channels)

    def _pieces(self, frames: Iterator[Frame]) -> Iterator[_Piece]:
        for index, piece in at_rate(frames, self.rate_fps, self.segment_s):
            images: list[np.ndarray] = []
            times: list[float] = []
            last: Frame | None = None
            for frame in piece:
                images.append(images[-1] if frame is last else self._held(frame.image))
                times.append(frame.time_s)
                last = frame
            if not keeps_segment(index, len(times) / self.rate_fps, self.segment_s):
                continue
            num_seen, num_with_face = len(times), None
            if self.crop == "face":
                images, num_seen, num_with_face = self._faces(images)
            yield _Piece(images, np.array(times, np.float32), num_seen, num_with_face)

    def _held(self, image: np.ndarray) -> np.ndarray:
        if self.crop == "face":
            return reduced(image)
        return resized(crop_centre(image, _CENTRE_PART) if self.crop == "centre" else image, self.size_px, self.size_px)

    def _faces(self, images: list[np.ndarray]) -> tuple[list[np.ndarray], int, int]:
        """The square around the face in all images, none where no face was found; and how many were looked at and have one."""
        detector = make_detector(self.detector, self.detector_path)
        looked = [detector.detect(image) for image in images[:: max(1, round(self.rate_fps / _LOOKS_PER_S))]]
        boxes = [(found[0].x, found[0].y, found[0].width, found[0].height) for found in looked if found]
        if not boxes:
            return [], len(looked), 0
        box = Box(*(float(value) for value in np.median(boxes, axis=0)))
        squares = [resized(crop_face(image, box, margin=self.margin), self.size_px, self.size_px) for image in images]
        return squares, len(looked), len(boxes)

    def _windows(self, steps: Sequence[np.ndarray], piece: _Piece) -> ViewSegment:
        """Put a segment's steps, one a frame, num_frames to a window; none at all is one window, masked out."""
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


@dataclasses.dataclass(frozen=True)
class FrameWindows(_Windows):
    """Windows of frames; steps of (num_frames, size_px, size_px, 3) uint8, 3.8 MB each, with the time of their middle.

    See `_Windows` for the cut and the attributes. Choice: windows of a second, five of a segment, as the sound has five patches.

    Source: Carreira and Zisserman 2017, section 3.1 (25 frames/s, 224 px); A, Table 5.4.
    """

    name: ClassVar[str] = "frame_windows"
    dtype: ClassVar[str] = "uint8"
    num_channels: ClassVar[int] = 3

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps / num_frames steps for every segment_s of frames."""
        for piece in self._pieces(frames):
            yield self._windows(piece.images, piece)


@dataclasses.dataclass(frozen=True)
class FlowWindows(_Windows):
    """Windows of optical flow; steps of (num_frames, size_px, size_px, 2) float16 in [-1, 1], 5 MB each, with the time of their middle.

    Flow number i is from frame i to frame i + 1: to the right, downwards. It is measured on the grey pictures as they are seen (224 of 256
    px, with crop="centre", as I3D's was), cut off at clip_px and divided by it. A segment of one frame has no flow, and is masked out.

    See `_Windows` for the cut and the other attributes.

    Attributes:
      method: as `flow_between` takes it. "tvl1" is the published kind; 5 s of 224 px take it a minute, "dis" a second.
      clip_px: flow of a larger extent is cut off, per axis; 20 as published.

    Source: Carreira and Zisserman 2017, section 3.1. Differs: DIS unless method="tvl1"; the published code is not known to the last
    parameter.
    """

    method: str = "dis"
    clip_px: float = 20.0

    name: ClassVar[str] = "flow_windows"
    dtype: ClassVar[str] = "float16"
    num_channels: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        check_positive(self, "clip_px")
        if self.method not in METHODS:
            raise ValueError(f"config.views.flow_windows.method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if self.size_px < 12:
            raise ValueError(f"config.views.flow_windows.size_px must be at least 12, which the flow takes, got {self.size_px}")

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps / num_frames steps for every segment_s of frames."""
        for piece in self._pieces(frames):
            grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in piece.images]
            yield self._windows([self._flow(*pair) for pair in itertools.pairwise(grays)], piece)

    def _flow(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        flow = flow_between(before, after, self.method) / self.clip_px
        return np.clip(flow, -1, 1).astype(np.float16)
