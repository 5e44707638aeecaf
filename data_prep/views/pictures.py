"""Pictures as arrays: cropped, resized, turned to grey."""

from __future__ import annotations

import numpy as np


def crop_centre(image: np.ndarray, part: float = 1.0) -> np.ndarray:
    """Return the square in the middle of an image (H, W, C); its side is that part of the image's shorter side."""
    side = max(1, round(min(image.shape[:2]) * part))
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side]


def resized(image: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """Return an image (H, W, 3) uint8 resized, by area where it shrinks and bilinearly otherwise."""
    import cv2  # late: views are imported for their parameters where OpenCV is not needed

    shrinks = width_px < image.shape[1] or height_px < image.shape[0]
    return cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def reduced(image: np.ndarray, longest_px: int = 640) -> np.ndarray:
    """Return an image (H, W, 3) uint8 reduced to a longer side of longest_px; a smaller image is returned as it is.

    640 is the size in which views hold frames that a face may be cut out of: 0.7 MB of a wide one.
    """
    scale = min(1.0, longest_px / max(image.shape))
    return image if scale == 1 else resized(image, round(image.shape[1] * scale), round(image.shape[0] * scale))


def to_gray(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 RGB as (H, W) uint8 grey."""
    import cv2  # late, as in `resized`

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
