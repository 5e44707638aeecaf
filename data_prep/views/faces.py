"""The view `faces`: the speaker's face at a fixed rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from data_prep.decoding.frame_times import at_rate, cut_steps, segment_index
from data_prep.views.face_boxes import Detector
from data_prep.views.face_crops import detector_of, filled_from_nearest, largest_face
from data_prep.views.parameters import Margin, MaxFrames, RateFps, SegmentS, SizePx
from data_prep.views.pictures import to_gray
from data_prep.views.segments import ViewSegment, is_long_enough, usable_segments

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


class FaceStep(NamedTuple):
    """The face of one frame.

    Attributes:
      time_s: of the frame.
      face: (size_px, size_px, C) uint8, None where no face was found.
    """

    time_s: float
    face: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Faces:
    """The speaker's face at a fixed rate; steps of (size_px, size_px, 3 or 1) uint8.

    Each step is the nearest frame in time, cut to the square around its largest face. A frame without a face shows the nearest one
    that has one (B's rule). A segment without any face is one step of zeros, masked out.

    Attributes:
      rate_fps: number of steps per second.
      size_px: height and width of a step in px.
      gray: convert pictures to grey, with one channel in place of three.
      segment_s: length of a segment in s; longer clips are cut into several segments.
      max_frames: largest number of steps of a segment (D also tried 45); later steps are dropped. 0 is no limit.
      detector: face detector: "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10"; the last two need a
        file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of the face, as a share of its longer side; 0.1 suits all detectors and the landmark network.

    Source: B (every frame, 227 px, res10), D (45 frames/s, 48 px, grey, "haar_coarse") and E (7.5 frames/s, 48 px).
    """

    rate_fps: RateFps = 7.5
    size_px: SizePx = 48
    gray: bool = False
    segment_s: SegmentS = 30.0
    max_frames: MaxFrames = 0
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    name: ClassVar[str] = "faces"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 1 if self.gray else 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps steps for every segment_s of frames."""
        yield from usable_segments(
            self.segment_of(index, steps) for index, steps in cut_steps(self._steps(frames, is_cut=True), self.segment_s)
        )

    def steps(self, frames: Iterator[Frame]) -> Iterator[tuple[float, FaceStep]]:
        """Yield each step with its time in s."""
        return self._steps(frames, is_cut=False)

    def _steps(self, frames: Iterator[Frame], *, is_cut: bool) -> Iterator[tuple[float, FaceStep]]:
        """Yield the steps; with `is_cut` no face is looked for in those that max_frames drops from their segment."""
        detector = detector_of(self)
        last: Frame | None = None
        face: np.ndarray | None = None
        index, number = -1, 0
        for step_s, frame in at_rate(frames, self.rate_fps):
            before, index = index, segment_index(step_s, self.segment_s)
            number = number + 1 if index == before else 1
            if is_cut and 0 < self.max_frames < number:
                yield step_s, FaceStep(frame.time_s, None)
                continue
            if frame is not last:  # a repeated frame has the same face
                face = self._crop(frame.image, detector)
                if face is not None and self.gray:
                    face = to_gray(face)[..., None]
            yield step_s, FaceStep(frame.time_s, face)
            last = frame

    def segment_of(self, index: int, steps: Sequence[FaceStep]) -> ViewSegment | None:
        """Return the segment with that index made of its steps, or None where it is a tail that is too short."""
        if not is_long_enough(index, len(steps) / self.rate_fps, self.segment_s):
            return None
        steps = steps[: self.max_frames or None]
        faces = [step.face for step in steps]
        times_s = np.array([step.time_s for step in steps], np.float32)
        values, num_with_face = filled_from_nearest(faces, times_s, self.step_shape)
        if num_with_face == 0:
            values, times_s = values[:1], times_s[:1]
        return ViewSegment(values, np.full(len(values), num_with_face > 0), times_s, len(faces), num_with_face)

    def _crop(self, image: np.ndarray, detector: Detector) -> np.ndarray | None:
        """(size_px, size_px, 3) of an image (H, W, 3), or None where there is no face."""
        return largest_face(image, detector, self.size_px, margin=self.margin)
