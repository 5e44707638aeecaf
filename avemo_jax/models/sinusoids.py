"""Fixed positions of steps or patches: sines and cosines of several rates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def alternating_sinusoids(num_steps: int, width: int) -> np.ndarray:
    """Return sinusoids of the position (T, D) float32: sines at even places of D, cosines at odd ones.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    angles = np.arange(num_steps)[:, None] / 10_000 ** (2 * (np.arange(width) // 2) / width)
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


def with_positions(x: jax.Array) -> jax.Array:
    """Return steps x (B, T, D) plus the sinusoids of their positions."""
    return x + jnp.asarray(alternating_sinusoids(*x.shape[1:]), x.dtype)
