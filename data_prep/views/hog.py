"""The view `hog`: histograms of oriented gradients of the face, the hand-crafted picture of system A1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from data_prep.views.faces import Faces, FaceStep
from data_prep.views.parameters import Count, Margin, MaxFrames, RateFps, SegmentS, SizePx
from data_prep.views.segments import ViewSegment

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


@dataclasses.dataclass(frozen=True)
class Hog:
    """The HOG of the grey face at a fixed rate; steps of (D,) float32.

    The faces are those of the view `faces` with the same parameters: of a frame without a face the nearest one's, and one step of zeros,
    masked out, where a segment has none. Gradients of size_px x size_px pixels are counted by their direction in cells; blocks of cells,
    one cell apart, are normalised (L2-Hys) and follow each other row by row.

    Choices where the thesis is silent: the numbers of Dalal and Triggs 2005 (9 directions without sign, cells of 8 px, blocks of
    2 x 2) on faces of 64 px: D = 1764.

    Attributes:
      rate_fps: number of steps per second.
      size_px: height and width of the face crop in px, a whole number of cells.
      orientations: number of unsigned gradient directions; Dalal and Triggs have 9.
      pixels_per_cell: height and width of a cell in px; Dalal and Triggs have 8.
      cells_per_block: height and width of a block in cells; Dalal and Triggs have 2.
      segment_s: length of a segment in s; longer clips are cut into several segments.
      max_frames: largest number of steps of a segment; later steps are dropped. 0 is no limit.
      detector: face detector: "haar", "haar_coarse" (scale factor 1.3 and 5 neighbours, as in D), "yunet" or "res10" (SSD, as in the
        thesis); the last two need a file, see detector_path.
      detector_path: model file of the face detector; "haar" and "haar_coarse" need none.
      margin: margin added at each side of the face, as a share of its longer side.

    Source: A, section 3.1 (SSD for the face: "res10"); Dalal and Triggs 2005.
    """

    rate_fps: RateFps = 7.5
    size_px: SizePx = 64
    orientations: Count = 9
    pixels_per_cell: Count = 8
    cells_per_block: Count = 2
    segment_s: SegmentS = 30.0
    max_frames: MaxFrames = 0
    detector: str = "haar"
    detector_path: str | None = None
    margin: Margin = 0.1

    name: ClassVar[str] = "hog"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "float32"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        if self.size_px % self.pixels_per_cell or self._num_blocks < 1:
            raise ValueError(
                f"config.views.hog.size_px must be a whole number of cells of pixels_per_cell={self.pixels_per_cell}, at least "
                f"cells_per_block={self.cells_per_block} of them, got {self.size_px}"
            )

    @property
    def _num_blocks(self) -> int:
        """Along an edge."""
        return self.size_px // self.pixels_per_cell - self.cells_per_block + 1

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self._num_blocks**2 * self.cells_per_block**2 * self.orientations,)

    def segments(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        """Yield a segment of about segment_s x rate_fps steps for every segment_s of frames."""
        yield from map(self._of_faces, self._faces().segments(frames))

    def steps(self, frames: Iterator[Frame]) -> Iterator[tuple[float, FaceStep]]:
        """Yield the face of each step with its time in s."""
        return self._faces().steps(frames)

    def segment_of(self, index: int, steps: Sequence[FaceStep]) -> ViewSegment | None:
        """Return the segment with that index made of its steps, or None where it is a tail that is too short."""
        faces = self._faces().segment_of(index, steps)
        return None if faces is None else self._of_faces(faces)

    def _of_faces(self, faces: ViewSegment) -> ViewSegment:
        return dataclasses.replace(faces, values=np.stack([self.histogram(face[..., 0]) for face in faces.values]))

    def _faces(self) -> Faces:
        return Faces(self.rate_fps, self.size_px, True, self.segment_s, self.max_frames, self.detector, self.detector_path, self.margin)

    def histogram(self, gray: np.ndarray) -> np.ndarray:
        """Return the histogram of oriented gradients of a gray picture (H, W), float32 (length,)."""
        from skimage.feature import hog  # late: it is slow

        cell, block = (self.pixels_per_cell,) * 2, (self.cells_per_block,) * 2
        return hog(gray, self.orientations, cell, block, block_norm="L2-Hys").astype(np.float32)
