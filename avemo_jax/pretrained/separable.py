"""Separable convolutions of foreign files in the shapes of ours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def separable_kernels(arrays: Mapping[str, np.ndarray], *, depthwise: str, pointwise: str) -> dict[str, np.ndarray]:
    """Give TensorFlow's depthwise kernels (3, 3, C, 1) the shape (3, 3, C), and pointwise ones (1, 1, C, C') the shape (C, C').

    Args:
      arrays: by name; those whose last part is `depthwise` or `pointwise` are meant.
      depthwise, pointwise: what the file calls them.

    Returns:
      All arrays. One that has not these axes of length 1 stays as it is, and `merge` names it as of another shape.
    """
    axes = {depthwise: (3,), pointwise: (0, 1)}

    def shaped(name: str, array: np.ndarray) -> np.ndarray:
        single = axes.get(name.rsplit("/", 1)[-1], ())
        return array.squeeze(single) if array.ndim == 4 and all(array.shape[axis] == 1 for axis in single) else array

    return {name: shaped(name, array) for name, array in arrays.items()}
