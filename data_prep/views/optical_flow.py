"""Optical flow between two pictures."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

METHODS = ("dis", "tvl1")


def flow_between(before: np.ndarray, after: np.ndarray, method: str) -> np.ndarray:
    """Return where each pixel of a picture has moved to in the next one.

    Args:
      before, after: (H, W) uint8 grey, at least 12 px high and wide.
      method: "dis" (OpenCV's dense inverse search, the faster one; it finds some motion in the noise of an even background), or "tvl1"
        (scikit-image's TV-L1, the kind that I3D was trained on).

    Returns:
      (H, W, 2) float32: to the right and downwards, in px.

    Source: Kroeger et al. 2016, arXiv 1603.03590 (DIS); Zach, Pock and Bischof 2007 (TV-L1).
    """
    if method == "tvl1":
        from skimage.registration import optical_flow_tvl1

        down, right = optical_flow_tvl1(before, after)
        return np.stack([right, down], axis=-1)
    return _dis().calc(before, after, None)


@functools.cache
def _dis() -> Any:
    import cv2  # late: views are imported for their parameters where OpenCV is not needed

    cv2.setNumThreads(1)  # workers share the cores
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
