"""Folding of a batch norm into the convolution before it, for frozen use."""

from __future__ import annotations

from typing import Any

import numpy as np


def folded(kernel: Any, *, mean: Any, variance: Any, bias: Any, scale: Any = 1.0, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel (..., C') and bias (C',) float32 of a convolution equivalent to one without bias and a batch norm.

    It is computed with NumPy in float64: JAX would compile each operation for each shape, which takes seconds for a large network.

    Args:
      kernel: kernel of the convolution.
      mean, variance: (C',) moving statistics of the norm.
      bias, scale: (C',) parameters of the norm.
      epsilon: constant that the norm adds to the variance.
    """
    factor = np.asarray(scale, np.float64) / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    return (np.asarray(kernel) * factor).astype(np.float32), (np.asarray(bias) - np.asarray(mean) * factor).astype(np.float32)
