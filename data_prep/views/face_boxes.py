"""Where faces are in a picture, and what finds them."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Box:
    """A face in an image.

    Attributes:
      x: left edge in px.
      y: upper edge in px.
      width: in px.
      height: in px.
      score: of the detector, higher is surer; Haar gives 1 to every face.
    """

    x: float
    y: float
    width: float
    height: float
    score: float = 1.0

    @property
    def area(self) -> float:
        return self.width * self.height


class Detector(Protocol):
    """Finds faces: image (H, W, 3) uint8 RGB -> boxes, largest first."""

    def detect(self, image: np.ndarray) -> list[Box]: ...
