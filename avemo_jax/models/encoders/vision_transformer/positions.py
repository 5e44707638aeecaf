"""Learned positions of the patches of a picture, brought to another number of patches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

_BICUBIC_A = -0.75  # of torch's plain bicubic interpolation; with antialiasing it is -0.5, as jax.image has it


def resize_positions(positions: jax.Array, num_rows: int, num_columns: int, *, antialias: bool) -> jax.Array:
    """Bring the positions of a square of patches (T, D) to (num_rows * num_columns, D), bicubically.

    Equal to torch's `interpolate` with mode="bicubic" and align_corners=False, which the transformers library applies to DINOv2
    (antialias=False) and DINOv2 with registers (antialias=True). Differs: the code of DINOv2's owners adds 0.1 to the new numbers of
    rows and columns before it computes the scale, which moves the sampling points by a fraction of a patch.
    """
    side = round(len(positions) ** 0.5)
    grid = positions.reshape(side, side, -1)
    if (num_rows, num_columns) == (side, side):
        return positions
    if antialias:
        resized = jax.image.resize(grid, (num_rows, num_columns, grid.shape[-1]), "cubic", antialias=True)
    else:
        resized = jnp.einsum("ri,cj,ijd->rcd", _bicubic(side, num_rows), _bicubic(side, num_columns), grid)
    return resized.reshape(num_rows * num_columns, -1)


def _bicubic(old: int, new: int) -> np.ndarray:
    """Return the weights (new, old) of bicubic interpolation of a line; beyond its ends the line continues with its last value.

    Source: Keys 1981, Cubic Convolution Interpolation for Digital Image Processing, equation 4, with another a.
    """
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    nearest = np.floor(centres).astype(int)
    weights = np.zeros((new, old))
    for offset in (-1, 0, 1, 2):
        index = nearest + offset
        np.add.at(weights, (np.arange(new), np.clip(index, 0, old - 1)), _keys(np.abs(centres - index)))
    return weights.astype(np.float32)


def _keys(distance: np.ndarray) -> np.ndarray:
    a = _BICUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
