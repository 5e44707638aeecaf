"""Folding a batch norm into the convolution before it, for frozen use."""

from __future__ import annotations

from typing import Any

import numpy as np


def folded(kernel: Any, *, mean: Any, variance: Any, bias: Any, scale: Any = 1.0, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (..., C') and bias (C',) float32 of a convolution that gives what a convolution without bias and a batch norm give.

    In NumPy, and float64: each operation of JAX on each shape would be compiled, which takes seconds for a large network.

    Args:
      kernel: of the convolution.
      mean, variance: (C',) moving statistics of the norm.
      bias, scale: (C',) of the norm.
      epsilon: of the norm.
    """
    factor = np.asarray(scale, np.float64) / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    return (np.asarray(kernel) * factor).astype(np.float32), (np.asarray(bias) - np.asarray(mean) * factor).astype(np.float32)
