"""Faces cut out of pictures: the square around a detected face, and what a frame without a face shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from data_prep.views.face_boxes import Box, Detector
from data_prep.views.pictures import resized


class LooksForFaces(Protocol):
    """A view with the parameters of a face detector."""

    @property
    def detector(self) -> str: ...

    @property
    def detector_path(self) -> str | None: ...


def detector_of(view: LooksForFaces) -> Detector:
    """Return the face detector that a view's parameters name, one a process."""
    from data_prep.views import face_detection  # late: brings OpenCV

    return face_detection.make_detector(view.detector, view.detector_path)


def crop_face(image: np.ndarray, box: Box, *, margin: float = 0.1) -> np.ndarray:
    """Cut the square around a face out of an image.

    Args:
      image: (H, W, C).
      box: the face.
      margin: added at each side, as a part of the box's longer side.

    Returns:
      (S, S, C), a copy. A square that reaches beyond the image is moved inside, and shrunk where the image is smaller: no border is made
      up.
    """
    height, width = image.shape[:2]
    side = max(1, min(round(max(box.width, box.height) * (1 + 2 * margin)), height, width))
    left = min(max(round(box.x + box.width / 2 - side / 2), 0), width - side)
    top = min(max(round(box.y + box.height / 2 - side / 2), 0), height - side)
    return image[top : top + side, left : left + side].copy()


def largest_face(image: np.ndarray, detector: Detector, size_px: int, *, margin: float = 0.1) -> np.ndarray | None:
    """Cut the largest face out of image (H, W, 3) uint8 RGB as (size_px, size_px, 3), or return None where there is none."""
    boxes = detector.detect(image)
    return resized(crop_face(image, boxes[0], margin=margin), size_px, size_px) if boxes else None


def filled_from_nearest(faces: Sequence[np.ndarray | None], times_s: np.ndarray, step_shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Fill the steps without a face from the nearest in time that has one.

    Args:
      faces: T steps, each of step_shape or None.
      times_s: (T,) their times.
      step_shape: shape of a step.

    Returns:
      (T,) + step_shape uint8, zeros where no step has a face; and how many have one.
    """
    have = np.array([index for index, face in enumerate(faces) if face is not None], int)
    if len(have) == 0:
        return np.zeros((len(faces), *step_shape), np.uint8), 0
    nearest = have[np.abs(times_s[:, None] - times_s[have]).argmin(axis=1)]
    return np.stack([faces[index] for index in nearest]), len(have)  # type: ignore[misc]
