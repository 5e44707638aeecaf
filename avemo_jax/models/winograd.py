"""Convolutions 3 x 3 by Winograd's minimal filtering, for frozen encoders on CPU: a quarter of the multiplications of the plain way.

Tiles of 4 x 4 outputs come from tiles of 6 x 6 inputs, F(4 x 4, 3 x 3): tiles and kernels are brought to 36 points each, multiplied point
by point, which is 36 matrix products over channels, and brought back. What a tile costs to transform grows with its channels and its
products grow with their square, so that wide layers gain and narrow ones lose. Kernels are transformed once, beforehand.

Source: Lavin and Gray 2016, arXiv 1509.09308, section 4.1 and 4.3. Rounding: about 1e-5 of the largest output a layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

_TILE, _POINTS = 4, 6  # edges of a tile of outputs, and of the inputs that they come from
_INPUT = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
)
_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
_FEWEST_CHANNELS = 256  # of either side, for which it was faster than XLA's convolution on two cores (benchmarks/encoders.py)


def pays(in_channels: int, out_channels: int) -> bool:
    """Whether a layer is wide enough to gain."""
    return min(in_channels, out_channels) >= _FEWEST_CHANNELS


def transform_kernels(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Transform the kernels (3, 3, C, C') of all layers of a network that gain: the variables of the same net with winograd=True."""
    params = traverse_util.flatten_dict(dict(variables["params"]))
    for path, value in params.items():
        if path[-1] == "kernel" and value.shape[:-2] == (3, 3) and pays(*value.shape[-2:]):
            points = np.kron(_KERNEL, _KERNEL).astype(np.float32) @ np.asarray(value, np.float32).reshape(9, -1)
            params[path] = points.reshape(_POINTS**2, *value.shape[-2:])
    return {**variables, "params": traverse_util.unflatten_dict(params)}


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve x (N, H, W, C) float32 with a transformed kernel (36, C, C'), padding "SAME": (N, H, W, C')."""
    num, height, width, channels = x.shape
    tiles = -(-height // _TILE), -(-width // _TILE)
    x = jnp.pad(x, ((0, 0), *((1, count * _TILE + 1 - size) for count, size in zip(tiles, (height, width), strict=True)), (0, 0)))
    # The k-th row of every tile of inputs, and of every row the k-th column.
    rows = [x[:, k : k + _TILE * (tiles[0] - 1) + 1 : _TILE] for k in range(_POINTS)]
    points = [
        _weighted(across, [row[:, :, k : k + _TILE * (tiles[1] - 1) + 1 : _TILE] for k in range(_POINTS)])
        for row in (_weighted(down, rows) for down in _INPUT)
        for across in _INPUT
    ]
    products = jnp.matmul(jnp.stack(points).reshape(len(points), -1, channels), kernel)
    lines = [[_weighted(down, products[k::_POINTS]) for k in range(_POINTS)] for down in _OUTPUT]
    outputs = jnp.stack([_weighted(across, line) for line, across in itertools.product(lines, _OUTPUT)])
    outputs = outputs.reshape(_TILE, _TILE, num, *tiles, -1).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(num, tiles[0] * _TILE, tiles[1] * _TILE, -1)[:, :height, :width]


def _weighted(weights: np.ndarray, values: Sequence[jax.Array] | jax.Array) -> jax.Array:
    """The sum of values, each with its weight; most weights are 0 or 1."""
    terms = [value if weight == 1 else value * np.float32(weight) for weight, value in zip(weights, values, strict=True) if weight]
    return sum(terms[1:], terms[0])


class TransformedConv(nn.Module):
    """`convolve` with a bias: parameters `kernel` (36, C, C') and `bias` (C',)."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x (N, H, W, C) to (N, H, W, C')."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (_POINTS**2, x.shape[-1], self.channels))
        return convolve(x, kernel) + self.param("bias", nn.initializers.zeros, (self.channels,))


def conv3x3(x: jax.Array, channels: int, *, winograd: bool, name: str) -> jax.Array:
    """Convolve x (N, H, W, C) 3 x 3, padding "SAME", with bias; to be called where a module makes its submodules.

    Args:
      winograd: kernels are transformed ones where the layer is wide enough to gain (`transform_kernels`); for frozen use.
    """
    if winograd and pays(x.shape[-1], channels):
        return TransformedConv(channels, name=name)(x)
    return nn.Conv(channels, (3, 3), kernel_init=nn.initializers.he_normal(), name=name)(x)
