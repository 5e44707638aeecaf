"""The view `mouths`: the lower part of the speaker's face at a fixed rate, for a stream of its own beside the face's."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from data_prep.views.face_boxes import Box, Detector
from data_prep.views.face_crops import crop_face
from data_prep.views.faces import Faces
from data_prep.views.parameters import Margin, Share, SizePx
from data_prep.views.pictures import resized


@dataclasses.dataclass(frozen=True)
class Mouths(Faces):
    """The region around the mouth of the speaker's face at a fixed rate; steps of (size_px, size_px, 3 or 1) uint8.

    Times, frames without a face and segments without any are treated as in the view `faces`. The region is a part of the box that the
    detector gives for the largest face; the step shows the square around it. No landmarks are looked for: a turned or tilted head shifts
    the mouth within the square.

    Attributes:
      size_px: height and width of a step in px.
      margin: margin added at each side of the mouth region, as a share of its longer side.
      left: left edge of the mouth region, as a share of the width of the face's box.
      right: right edge of the mouth region, as a share of the width of the face's box.
      top: upper edge of the mouth region, as a share of the height of the face's box.
      bottom: lower edge of the mouth region, as a share of the height of the face's box.
    """

    size_px: SizePx = 32
    margin: Margin = 0.0
    left: Share = 0.25
    right: Share = 0.75
    top: Share = 0.6
    bottom: Share = 1.0

    name: ClassVar[str] = "mouths"
    VERSION: ClassVar[int] = 1

    def __post_init__(self):
        for first, last in (("left", "right"), ("top", "bottom")):
            if not 0 <= getattr(self, first) < getattr(self, last) <= 1:
                raise ValueError(
                    f"config.views.mouths: expected 0 <= {first} < {last} <= 1, parts of the face's box, got {getattr(self, first)} and "
                    f"{getattr(self, last)}"
                )

    def _crop(self, image: np.ndarray, detector: Detector) -> np.ndarray | None:
        boxes = detector.detect(image)
        if not boxes:
            return None
        return resized(crop_face(image, self._region(boxes[0]), margin=self.margin), self.size_px, self.size_px)

    def _region(self, face: Box) -> Box:
        return Box(
            x=face.x + self.left * face.width,
            y=face.y + self.top * face.height,
            width=(self.right - self.left) * face.width,
            height=(self.bottom - self.top) * face.height,
            score=face.score,
        )
