"""Convolutions by minimal filtering (Winograd, Toom and Cook), for frozen encoders on CPU: fewer multiplications than the plain way.

Along an axis of r taps, tiles of 4 outputs come from tiles of 4 + r - 1 inputs, F(4, r): tiles and kernels are brought to as many points,
multiplied point by point, which is a matrix product over channels at each, and brought back. Of 3 x 3 taps that is a quarter of the
multiplications, of 7 taps (1 x 7, 7 x 1) two fifths. What a tile costs to transform grows with its channels and its products grow with
their square, so that wide layers gain and narrow ones lose. Kernels are transformed once, beforehand.

Needed because XLA on CPU convolves plainly, up to JAX 0.10 at least. Row "plain" of `python -m benchmarks.encoders` shows the gain;
tests/models/test_winograd.py fails once XLA uses another way.

Source: Lavin and Gray 2016, arXiv 1509.09308, section 4; the construction from points is that of Blahut, Fast Algorithms for Signal
Processing, section 5.2. Rounding: about 1e-5 of the largest output a layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

_TILE = 4  # outputs of a tile along an axis
# Where polynomials are evaluated, by taps, and at infinity; small numbers and their inverses in pairs round least.
_POINTS = {
    3: (0, 1, -1, 2, -2),
    7: (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 4), Fraction(-3, 4)),
}
# Fewest channels, of either side, for which it was faster than XLA's convolution on two cores (benchmarks/encoders.py), by kernel.
_FEWEST_CHANNELS = {(3, 3): 256, (1, 3): 256, (3, 1): 256, (1, 7): 128, (7, 1): 128}
_FEW_ROWS = 300  # of a point's product, below which all points' products are faster as one batched product


class Filter(NamedTuple):
    """Outputs of a tile are output @ ((kernel @ taps) * (input @ inputs)).

    Attributes:
      input: (points, points).
      kernel: (points, taps).
      output: (4, points).
    """

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


def minimal_filter(num_taps: int, points: Sequence[Fraction | int]) -> Filter:
    """F(4, num_taps) from 4 + num_taps - 2 different points and infinity, worked out in fractions."""
    size = _TILE + num_taps - 1

    def powers(count: int) -> list[list[Fraction]]:
        at_infinity = [Fraction(index == count - 1) for index in range(count)]
        return [[Fraction(point) ** index for index in range(count)] for point in points] + [at_infinity]

    # A product of two polynomials is interpolated from its values at the points; filtering is its transpose.
    inputs = [list(column) for column in zip(*_inverse(powers(size)), strict=True)]
    kernel = powers(num_taps)
    for row, taps in zip(inputs, kernel, strict=True):  # inputs are weighted by whole numbers, as small as can be
        scale = Fraction(math.lcm(*(weight.denominator for weight in row)))
        scale /= math.gcd(*(int(weight * scale) for weight in row))
        row[:] = [weight * scale for weight in row]
        taps[:] = [weight / scale for weight in taps]
    output = zip(*powers(_TILE), strict=True)
    return Filter(*(np.array([[float(weight) for weight in row] for row in matrix]) for matrix in (inputs, kernel, output)))


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(row for row in range(column, size) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [value - row[column] * other for value, other in zip(row, rows[column], strict=True)]
    return [row[size:] for row in rows]


_AS_IT_IS = Filter(*(np.eye(1),) * 3)  # of an axis along which there is one tap
_FILTERS = {1: _AS_IT_IS} | {num_taps: minimal_filter(num_taps, points) for num_taps, points in _POINTS.items()}


def pays(size: tuple[int, ...], in_channels: int, out_channels: int) -> bool:
    """Whether a layer of stride 1 is wide enough to gain, `size` the edges of its kernel."""
    return size in _FEWEST_CHANNELS and min(in_channels, out_channels) >= _FEWEST_CHANNELS[size]


def transform_kernel(kernel: np.ndarray) -> np.ndarray:
    """Transform a kernel (H, W, C, C') to (points, C, C')."""
    down, across = (_FILTERS[num_taps].kernel for num_taps in kernel.shape[:2])
    points = np.einsum("ph,qw,hwio->pqio", down, across, np.asarray(kernel, np.float64), optimize=True)
    return points.astype(np.float32).reshape(-1, *kernel.shape[2:])


def transform_kernels(variables: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Transform the kernels of a network's layers that gain: the variables of the same net with winograd=True.

    Args:
      like: shapes of these (arrays or `jax.ShapeDtypeStruct`); a kernel of three axes is a transformed one.
    """
    params, wanted = (traverse_util.flatten_dict(dict(one["params"])) for one in (variables, like))
    params = {path: value if value.shape == wanted[path].shape else transform_kernel(value) for path, value in params.items()}
    return {**variables, "params": traverse_util.unflatten_dict(params)}


def convolve(x: jax.Array, kernel: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Convolve x (N, H, W, C) float32 with a transformed kernel (points, C, C') of edges `size`, padding "SAME": (N, H, W, C')."""
    num, height, width, channels = x.shape
    ways = [_FILTERS[num_taps] for num_taps in size]
    edges = [len(way.output) for way in ways]  # of a tile of outputs
    counts = [-(-length // edge) for length, edge in zip((height, width), edges, strict=True)]
    x = jnp.pad(x, [(0, 0), *map(_padding, (height, width), size, counts, edges), (0, 0)])
    tiles = [x]
    for axis, way, count, edge in zip((1, 2), ways, counts, edges, strict=True):
        # The k-th row of every tile of inputs, then of each of these the k-th column.
        pieces = [[_every(tile, axis, k, count, edge) for k in range(len(way.input))] for tile in tiles]
        tiles = [_weighted(row, one) for one in pieces for row in way.input]
    rows = [tile.reshape(-1, channels) for tile in tiles]
    few = len(rows[0]) < _FEW_ROWS
    # Of many rows a product a point, while they are still in the cache, as those of all points side by side would not be.
    products = list(jnp.stack(rows) @ kernel) if few else [one @ kernel[point] for point, one in enumerate(rows)]
    down, across = ways
    lines = [products[start : start + len(across.input)] for start in range(0, len(products), len(across.input))]
    lines = [[_weighted(row, line) for row in across.output] for line in lines]
    outputs = jnp.stack([_weighted(row, column) for row in down.output for column in zip(*lines, strict=True)])
    outputs = outputs.reshape(*edges, num, *counts, -1).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(num, counts[0] * edges[0], counts[1] * edges[1], -1)[:, :height, :width]


def _padding(length: int, num_taps: int, count: int, edge: int) -> tuple[int, int]:
    """Zeros on both sides of an axis that is cut into tiles."""
    before = (num_taps - 1) // 2
    return before, count * edge + num_taps - 1 - before - length


def _every(x: jax.Array, axis: int, start: int, count: int, stride: int) -> jax.Array:
    return jax.lax.slice_in_dim(x, start, start + stride * (count - 1) + 1, stride, axis)


def _weighted(weights: np.ndarray, values: Sequence[jax.Array]) -> jax.Array:
    """The sum of values, each with its weight; many weights are 0 or 1."""
    terms = [value if weight == 1 else value * np.float32(weight) for weight, value in zip(weights, values, strict=True) if weight]
    return sum(terms[1:], terms[0])


class TransformedConv(nn.Module):
    """`convolve` with a bias: parameters `kernel` (points, C, C') and `bias` (C',)."""

    channels: int
    size: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x (N, H, W, C) to (N, H, W, C')."""
        num_points = math.prod(len(_FILTERS[num_taps].input) for num_taps in self.size)
        kernel = self.param("kernel", nn.initializers.he_normal(), (num_points, x.shape[-1], self.channels))
        return convolve(x, kernel, self.size) + self.param("bias", nn.initializers.zeros, (self.channels,))


def conv3x3(x: jax.Array, channels: int, *, winograd: bool, name: str) -> jax.Array:
    """Convolve x (N, H, W, C) 3 x 3, padding "SAME", with bias; to be called where a module makes its submodules.

    Args:
      winograd: kernels are transformed ones where the layer is wide enough to gain (`transform_kernels`); for frozen use.
    """
    if winograd and pays((3, 3), x.shape[-1], channels):
        return TransformedConv(channels, (3, 3), name=name)(x)
    return nn.Conv(channels, (3, 3), kernel_init=nn.initializers.he_normal(), name=name)(x)
