"""What a network sees of the picture: key frames, faces, whole frames.

A view reads frames lazily, cuts them by time into segments (see `segments`), and holds no more than one segment of reduced frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import cv2
import numpy as np

from data_prep.decoding.frame_times import at_rate, by_time, duration_s
from data_prep.decoding.media import Frame
from data_prep.views.face_detection import filled_from_nearest, largest_face, make_detector, reduced, resized
from data_prep.views.parameters import check_margin, check_positive
from data_prep.views.segments import ViewSegment, keeps_segment, kept_segments

__all__ = ["VIDEO_VIEWS", "Faces", "Frames", "KeyFrames", "ViewSegment"]


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What is held of a frame until its segment is complete: what is measured and shown, and what a face may be cropped from."""

    time_s: float
    small: np.ndarray
    large: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class KeyFrames:
    """Key frames of each segment, by the five steps of system A.

    (a) The frames' absolute difference to the frame before, in LUV, averaged over the picture: candidates are its local maxima and
    the segment's first frame. (b) Frames darker than 10 or brighter than 90 percent, (c) with an entropy under 1 bit or of low
    contrast are left out. (d) K-means of the candidates on their 256-bin grey histograms, K = num_frames. (e) From each cluster the
    frame with the largest variance of the Laplacian. Chosen frames keep their order in time.

    Choices where the thesis is silent: candidates fewer than K are joined by the other frames of largest difference; a segment in
    which no frame passes (b) and (c) is used as it is; fewer than K distinct frames are repeated in place, so every step is real. The
    thresholds of (b) and (c) and the kind of histogram are those of Katna, a public library of the same five steps. All
    measures are taken on the picture reduced to size_px. A segment is held reduced: 40 MB for 5 s at 30 frames/s and 299 px.

    Attributes:
      num_frames: K.
      size_px: height and width of a step; the whole frame is resized to it, whatever its proportions.
      segment_s: length of a segment.
      face_crop: steps show the square around the largest face. A key frame without a face shows the nearest one with a face; the
        mask is False throughout where no key frame has one.
      detector, detector_path: as `make_detector` takes them.
      margin: around a face, as `crop_face` takes it.

    Source: A, section 3.2.1.
    """

    num_frames: int = 16
    size_px: int = 299
    segment_s: float = 5.0
    face_crop: bool = False
    detector: str = "haar"
    detector_path: str | None = None
    margin: float = 0.1

    name: ClassVar[str] = "keyframes"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_positive(self, "num_frames", "size_px", "segment_s")
        check_margin(self)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of num_frames steps for every segment_s of frames."""
        yield from kept_segments(self._segment(index, piece) for index, piece in enumerate(by_time(frames, self.segment_s)))

    def _segment(self, index: int, frames: Iterator[Frame]) -> ViewSegment | None:
        seen = [
            _Seen(frame.time_s, resized(frame.image, self.size_px, self.size_px), reduced(frame.image) if self.face_crop else None)
            for frame in frames
        ]
        times_s = np.array([one.time_s for one in seen], np.float32)
        if not keeps_segment(index, duration_s(times_s), self.segment_s):
            return None
        chosen = key_frame_indices([one.small for one in seen], self.num_frames)
        if not self.face_crop:
            return ViewSegment(np.stack([seen[place].small for place in chosen]), np.ones(len(chosen), bool), times_s[chosen], len(seen))
        detector = make_detector(self.detector, self.detector_path)
        faces = {
            place: largest_face(seen[place].large, detector, self.size_px, margin=self.margin)  # type: ignore[arg-type]
            for place in dict.fromkeys(chosen)
        }
        values, _ = filled_from_nearest([faces[place] for place in chosen], times_s[chosen], self.step_shape)
        num_with_face = sum(face is not None for face in faces.values())
        return ViewSegment(values, np.full(len(chosen), num_with_face > 0), times_s[chosen], len(faces), num_with_face)


@dataclasses.dataclass(frozen=True)
class Faces:
    """The speaker's face at a fixed rate.

    Each step is the nearest frame in time, cut to the square around its largest face. A frame without a face shows the nearest one
    that has one (B's rule). A segment without any face is one step of zeros, masked out.

    Attributes:
      rate_fps: steps a second.
      size_px: height and width of a step.
      gray: one channel in place of three.
      segment_s: length of a segment.
      max_frames: steps of a segment from this one on are cut off; 0 keeps all.
      detector, detector_path: as `make_detector` takes them.
      margin: around the face, as `crop_face` takes it.

    Source: B (every frame, 227 px, res10), D (45 frames/s, 48 px, grey, "haar_coarse") and E (7.5 frames/s, 48 px).
    """

    rate_fps: float = 7.5
    size_px: int = 48
    gray: bool = False
    segment_s: float = 30.0
    max_frames: int = 0
    detector: str = "haar"
    detector_path: str | None = None
    margin: float = 0.1

    name: ClassVar[str] = "faces"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_positive(self, "rate_fps", "size_px", "segment_s")
        check_margin(self)
        if self.max_frames < 0:
            raise ValueError(f"config.views.{self.name}.max_frames must be 0 (all) or above, got {self.max_frames}")

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 1 if self.gray else 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps steps for every segment_s of frames."""
        yield from kept_segments(self._segment(index, piece) for index, piece in at_rate(frames, self.rate_fps, self.segment_s))

    def _segment(self, index: int, frames: Iterator[Frame]) -> ViewSegment | None:
        detector = make_detector(self.detector, self.detector_path)
        faces: list[np.ndarray | None] = []
        times: list[float] = []
        last: Frame | None = None
        num_steps = 0
        for num_steps, frame in enumerate(frames, start=1):
            if self.max_frames and num_steps > self.max_frames:
                continue  # the file tells at its end that it is damaged
            if frame is not last:  # a repeated frame needs no second look
                face = largest_face(frame.image, detector, self.size_px, margin=self.margin)
                if face is not None and self.gray:
                    face = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None]
            faces.append(face)
            times.append(frame.time_s)
            last = frame
        if not keeps_segment(index, num_steps / self.rate_fps, self.segment_s):
            return None
        times_s = np.array(times, np.float32)
        values, num_with_face = filled_from_nearest(faces, times_s, self.step_shape)
        if num_with_face == 0:
            values, times_s = values[:1], times_s[:1]
        return ViewSegment(values, np.full(len(values), num_with_face > 0), times_s, len(faces), num_with_face)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Whole frames at a fixed rate: each step is the nearest frame in time, resized whatever its proportions.

    Attributes:
      rate_fps: steps a second.
      size_px: height and width of a step.
      segment_s: length of a segment.
    """

    rate_fps: float = 7.5
    size_px: int = 299
    segment_s: float = 30.0

    name: ClassVar[str] = "frames"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "uint8"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        check_positive(self, "rate_fps", "size_px", "segment_s")

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.size_px, self.size_px, 3)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps steps for every segment_s of frames."""
        yield from kept_segments(self._segment(index, piece) for index, piece in at_rate(frames, self.rate_fps, self.segment_s))

    def _segment(self, index: int, frames: Iterator[Frame]) -> ViewSegment | None:
        steps = [(frame.time_s, resized(frame.image, self.size_px, self.size_px)) for frame in frames]
        if not keeps_segment(index, len(steps) / self.rate_fps, self.segment_s):
            return None
        times_s = np.array([time_s for time_s, _ in steps], np.float32)
        return ViewSegment(np.stack([image for _, image in steps]), np.ones(len(steps), bool), times_s, len(steps))


VIDEO_VIEWS = {view.name: view for view in (KeyFrames, Faces, Frames)}


_BRIGHTNESS_RANGE = (0.1, 0.9)  # of full lightness
_LEAST_ENTROPY_BITS = 1.0


def key_frame_indices(images: list[np.ndarray], num_frames: int) -> list[int]:
    """Choose key frames by the five steps that `KeyFrames` describes.

    Args:
      images: (H, W, 3) uint8 RGB each, in order of time, at least one.
      num_frames: K.

    Returns:
      K indices in ascending order; repeated where fewer than K frames are distinct.
    """
    from scipy.stats import entropy  # late, as scikit-learn below: they take seconds, and a worker that cuts faces needs none of them
    from skimage.exposure import is_low_contrast

    grays = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    histograms = np.stack([cv2.calcHist([gray], [0], None, [256], [0, 256])[:, 0].astype(np.float64) / gray.size for gray in grays])
    difference, brightness = _luv_measures(images)
    good = (
        (brightness > _BRIGHTNESS_RANGE[0])
        & (brightness < _BRIGHTNESS_RANGE[1])
        & (entropy(histograms, base=2, axis=1) > _LEAST_ENTROPY_BITS)
        & [not is_low_contrast(gray[::4, ::4]) for gray in grays]  # a sixteenth of the pixels tells, in a tenth of the time
    )
    if not good.any():
        good[:] = True
    around = np.concatenate([[-np.inf], difference[1:], [-np.inf]])
    peak = np.concatenate([[True], (around[1:-1] > around[:-2]) & (around[1:-1] >= around[2:])])  # the first frame has no difference
    ranked = sorted(np.flatnonzero(good), key=lambda index: (not peak[index], -difference[index]))
    candidates = sorted(ranked[: max((good & peak).sum(), num_frames)])
    chosen = _sharpest_of_clusters([grays[index] for index in candidates], histograms[candidates], num_frames)
    # stretched over K places, which repeats frames in place where there are fewer than K
    return [int(candidates[chosen[place]]) for place in np.round(np.linspace(0, len(chosen) - 1, num_frames)).astype(int)]


def _luv_measures(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) mean absolute difference to the frame before in LUV, 0 for the first, and (T,) mean lightness in [0, 1].

    OpenCV sums the bytes, which is exact and ten times as fast as NumPy's means of them.
    """
    difference, brightness = np.zeros(len(images)), np.zeros(len(images))
    before = None
    for index, image in enumerate(images):
        luv = cv2.cvtColor(image, cv2.COLOR_RGB2LUV)
        brightness[index] = cv2.sumElems(luv)[0] / luv[..., 0].size / 255
        if before is not None:
            difference[index] = cv2.norm(luv, before, cv2.NORM_L1) / luv.size
        before = luv
    return difference, brightness


def _sharpest_of_clusters(grays: list[np.ndarray], histograms: np.ndarray, num_clusters: int) -> list[int]:
    """Cluster grey pictures on their histograms (T, 256); return the sharpest of each cluster, in ascending order."""
    distinct, labels = np.unique(histograms, axis=0, return_inverse=True)
    if len(distinct) > num_clusters:  # else each histogram is a cluster of its own, which K-means would find too
        from sklearn.cluster import KMeans

        labels = KMeans(num_clusters, n_init=10, random_state=0).fit(histograms).labels_
    sharpness = np.array([_laplacian_variance(gray) for gray in grays])
    return sorted(int(max(np.flatnonzero(labels == label), key=lambda index: sharpness[index])) for label in np.unique(labels))


def _laplacian_variance(gray: np.ndarray) -> float:
    """Variance of the Laplacian, which is whole numbers of at most 1020: their sums are exact too."""
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    mean = cv2.sumElems(laplacian)[0] / laplacian.size
    return cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size - mean**2
