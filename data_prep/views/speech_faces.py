"""The view `speech_faces`: the speaker's face during each segment of speech, the picture of system B; it needs the sound as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data_prep.decoding.frame_times import CLOCK_S
from data_prep.views.face_crops import detector_of, filled_from_nearest, largest_face
from data_prep.views.parameters import Margin, NumFrames, SizePx
from data_prep.views.segments import ViewSegment
from data_prep.views.speech_cut import Speech, SpeechCut

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechFaces(SpeechCut):
    """The face in the frames during each segment of `speech_segments` of equal cut; steps of (num_frames, size_px, size_px, 3) uint8.

    Frames are those of the film, at its own rate: 655 ms of 30 frames/s are 19 or 20. Of more than num_frames, (n - num_frames) / 2
    are removed at either end; fewer are filled up with the first and the last one, half of what lacks each (the odd one at the end). A
    frame without a face shows the nearest one of the piece that has one. A segment behind the end of the picture shows the nearest
    frame; a piece without any face is masked out.

    Attributes:
      num_frames: number of frames of a step.
      size_px: height and width of a face crop in px.
      detector: face detector: "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10" (as in the paper);
        the last two need a file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of a face, as a share of its longer side.

    Source: B, section 3.3.
    """

    name: ClassVar[str] = "speech_faces"
    modality: ClassVar[str] = "video"
    needs_audio: ClassVar[bool] = True
    VERSION: ClassVar[int] = 1

    num_frames: NumFrames = 20
    size_px: SizePx = 227
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_frames, self.size_px, self.size_px, 3)

    def segments(self, frames: Iterator[Frame], audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield the examples: values (T, num_frames, size_px, size_px, 3) uint8; as many as `speech_segments` has for the sound."""
        reader = _Reader(frames)
        for index, speech in self.speech(audio):
            yield from self._piece(reader.before((index + 1) * self.segment_s), speech)
        for _ in reader.before(np.inf):  # read to the end, where damage of the file shows
            pass

    def _piece(self, frames: Iterator[Frame], speech: Speech) -> Iterator[ViewSegment]:
        detector = detector_of(self)
        faces: list[np.ndarray | None] = []
        times: list[float] = []
        ends_s = speech.starts_s + self.step_s
        for frame in frames:
            if speech.starts_s[0] - CLOCK_S <= frame.time_s < ends_s[-1] - CLOCK_S:
                faces.append(largest_face(frame.image, detector, self.size_px, margin=self.margin))
                times.append(frame.time_s)
        times_s = np.array(times)
        filled, num_with_face = filled_from_nearest(faces, times_s, self.step_shape[1:])
        faces.clear()  # 46 MB of 10 s
        if num_with_face:
            steps = (filled[frames_between(times_s, *span_s, self.num_frames)] for span_s in zip(speech.starts_s, ends_s, strict=True))
        else:
            steps = (np.zeros(self.step_shape, np.uint8) for _ in ends_s)
        for number, example in enumerate(self.examples(steps, speech, mask=num_with_face > 0)):
            seen = (len(times), num_with_face) if number == 0 else (0, 0)  # segments overlap, and a frame counts once
            yield dataclasses.replace(example, num_seen=seen[0], num_with_face=seen[1])


def frames_between(times_s: np.ndarray, start_s: float, end_s: float, num_frames: int) -> np.ndarray:
    """Return the indices (num_frames,) of the frames from start_s to end_s: the middle ones, or all with the first and last repeated."""
    inside = np.flatnonzero((times_s >= start_s - CLOCK_S) & (times_s < end_s - CLOCK_S))
    if len(inside) == 0:
        inside = np.array([np.abs(times_s - (start_s + end_s) / 2).argmin()])
    more = max(0, len(inside) - num_frames)
    lacking = max(0, num_frames - len(inside))
    return np.pad(inside[more // 2 :][:num_frames], (lacking // 2, lacking - lacking // 2), mode="edge")


class _Reader:
    """Reads frames up to a time, and the next call continues there."""

    def __init__(self, frames: Iterator[Frame]):
        self._frames = frames
        self._held: Frame | None = None

    def before(self, end_s: float) -> Iterator[Frame]:
        while (frame := self._held or next(self._frames, None)) is not None:
            if frame.time_s >= end_s - CLOCK_S:
                self._held = frame
                return
            self._held = None
            yield frame
