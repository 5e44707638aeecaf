"""The view `keyframes`: a few key frames of each segment, the picture of system A."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data_prep.decoding.frame_times import cut_steps, duration_s
from data_prep.views.face_crops import detector_of, filled_from_nearest, largest_face
from data_prep.views.parameters import Margin, NumFrames, SegmentS, SizePx
from data_prep.views.pictures import reduced, resized
from data_prep.views.segments import ViewSegment, is_long_enough, usable_segments

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


@dataclasses.dataclass(frozen=True)
class HeldFrame:
    """A frame until its segment is complete: the reduced picture that is measured and shown, and one that a face may be cropped from."""

    time_s: float
    small: np.ndarray
    large: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class KeyFrames:
    """Key frames of each segment, by the five steps of system A.

    (a) The frames' absolute difference to the frame before, in LUV, averaged over the picture: candidates are its local maxima and
    the segment's first frame. (b) Frames darker than 10 or brighter than 90 percent, (c) with an entropy under 1 bit or of low
    contrast are left out. (d) K-means of the candidates on their 256-bin grey histograms, K = num_frames. (e) From each cluster the
    frame with the largest variance of the Laplacian. Chosen frames are in order of time.

    Choices where the thesis is silent: candidates fewer than K are joined by the other frames of largest difference; a segment in
    which no frame passes (b) and (c) is used as it is; fewer than K distinct frames are repeated in place, so every step is real. The
    thresholds of (b) and (c) and the kind of histogram are those of Katna, a public library of the same five steps. All
    measures are taken on the picture reduced to size_px. A segment is held reduced: 40 MB for 5 s at 30 frames/s and 299 px.

    Attributes:
      num_frames: number of key frames of a segment.
      size_px: height and width of a step in px; the whole frame is resized to it, without regard to its aspect ratio.
      segment_s: length of a segment in s; longer clips are cut into several segments.
      face_crop: crop the square around the largest face instead of using the whole frame. A key frame without a face is replaced by the
        nearest one with a face; a segment in which no key frame has a face is masked out.
      detector: face detector: "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10"; the last two need a
        file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of a face, as a share of its longer side; 0.1 suits all detectors and the landmark network.

    Source: A, section 3.2.1.
    """

    num_frames: NumFrames = 16
    size_px: SizePx = 299
    segment_s: SegmentS = 5.0
    face_crop: bool = False
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    name: ClassVar[str] = "keyframes"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of num_frames steps for every segment_s of frames."""
        pieces = cut_steps(self.steps(frames), self.segment_s)
        yield from usable_segments(self.segment_of(index, held) for index, (_, held) in enumerate(pieces))

    def steps(self, frames: Iterator[Frame]) -> Iterator[tuple[float, HeldFrame]]:
        """Yield each frame, reduced, with its time in s."""
        for frame in frames:
            small = resized(frame.image, self.size_px, self.size_px)
            yield frame.time_s, HeldFrame(frame.time_s, small, reduced(frame.image) if self.face_crop else None)

    def segment_of(self, index: int, held: Sequence[HeldFrame]) -> ViewSegment | None:
        """Return the segment with that index made of its frames, or None where it is a tail that is too short."""
        from data_prep.views.key_frame_choice import key_frame_indices  # late: brings OpenCV

        times_s = np.array([one.time_s for one in held], np.float32)
        if not is_long_enough(index, duration_s(times_s), self.segment_s):
            return None
        chosen = key_frame_indices([one.small for one in held], self.num_frames)
        if not self.face_crop:
            return ViewSegment(np.stack([held[place].small for place in chosen]), np.ones(len(chosen), bool), times_s[chosen], len(held))
        detector = detector_of(self)
        faces = {
            place: largest_face(held[place].large, detector, self.size_px, margin=self.margin)  # type: ignore[arg-type]
            for place in dict.fromkeys(chosen)
        }
        values, _ = filled_from_nearest([faces[place] for place in chosen], times_s[chosen], self.step_shape)
        num_with_face = sum(face is not None for face in faces.values())
        return ViewSegment(values, np.full(len(chosen), num_with_face > 0), times_s[chosen], len(faces), num_with_face)
