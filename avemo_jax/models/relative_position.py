"""Relative positions in attention: a learned bias for each distance of two steps, and the gate that lets a query use it.

Source: Chen et al. 2022, WavLM, arXiv 2110.13900, section III-A; the classes of distances are those of Raffel et al. 2020 (T5), arXiv
1910.10683, section 2.1.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


class RelativePositions(nn.Module):
    """A number for each head and each class of distances between two steps.

    Parameters: `embedding` (classes, A).

    Attributes:
      num_heads: A.
      num_classes: classes of distances, half of them for keys behind the query.
      most_steps: longer distances are all of one class.
    """

    num_heads: int
    num_classes: int
    most_steps: int

    @nn.compact
    def __call__(self, num_steps: int) -> jax.Array:
        """Return (A, T, T) for T steps, query by key."""
        table = self.param("embedding", nn.initializers.normal(0.02), (self.num_classes, self.num_heads))
        steps = np.arange(num_steps)
        return table[distance_classes(steps[None] - steps[:, None], self.num_classes, self.most_steps)].transpose(2, 0, 1)


class PositionGate(nn.Module):
    """The factor, computed from the query, with which each query of each head takes the position bias; about 1 to 2.

    Parameters: `gates` with kernel (D / A, 2) and bias (2,), shared by the heads; `scale` (A,).
    """

    @nn.compact
    def __call__(self, heads: jax.Array) -> jax.Array:
        """Map the input of the attention, split into heads (B, T, A, D / A), to (B, T, A)."""
        scale = self.param("scale", nn.initializers.ones, (heads.shape[2],))
        update, reset = jnp.moveaxis(jax.nn.sigmoid(nn.Dense(2, name="gates")(heads)), -1, 0)
        return update * (reset * scale - 1) + 2


def distance_classes(distances: np.ndarray, num_classes: int, most_steps: int) -> np.ndarray:
    """Return the class of each distance, key minus query: one a distance for short ones, then wider and wider ones up to `most_steps`."""
    half = num_classes // 2
    num_exact = half // 2
    size = np.abs(distances)
    growth = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(num_exact)) / np.float32(np.log(most_steps / num_exact))
    wide = np.minimum(num_exact + (growth * (half - num_exact)).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(size < num_exact, size, wide)
