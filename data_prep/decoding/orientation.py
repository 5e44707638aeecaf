"""The display matrix of a film: how its pictures are turned and mirrored before they are shown."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type


def upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Return the image (H, W, C) of a frame as it is shown: by the quarter turns and reflection nearest to its display matrix."""
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    return image if matrix is None else shown(image, np.frombuffer(bytes(matrix), np.int32))


def shown(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return an image (H, W, C) as a display matrix shows it.

    Args:
      matrix: (9,) int32 a, b, u, c, d, v, x, y, w, of ISO 14496-12: a pixel at (p, q), q downwards, is shown at (a p + c q, b p + d q).
    """
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        across, down = a, d
    else:  # p and q change places
        image, across, down = image.swapaxes(0, 1), c, b
    return image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
