"""Convolutions by minimal filtering (Winograd, Toom and Cook), for frozen encoders on CPU: fewer multiplications than a direct convolution.

Along an axis of r taps, tiles of 4 outputs come from tiles of 4 + r - 1 inputs, F(4, r): tiles and kernels are transformed to as many
points, multiplied point by point, which is a matrix product over channels at each point, and transformed back. For 3 x 3 taps that is a
quarter of the multiplications, for 7 taps (1 x 7, 7 x 1) two fifths. The cost of transforming a tile grows with the number of channels, and
that of its products with its square, so wide layers become faster and narrow ones slower. Kernels are transformed once, in advance.

It is needed because XLA on CPU computes direct convolutions, up to JAX 0.10 at least. Row "plain" of `python -m benchmarks.encoders` shows
the gain; tests/models/test_winograd.py fails once XLA uses another algorithm.

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
# Number of taps -> points, besides infinity, at which polynomials are evaluated; small numbers and pairs of inverses round least.
_POINTS = {
    3: (0, 1, -1, 2, -2),
    7: (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 4), Fraction(-3, 4)),
}
# Size of a kernel -> fewest input and output channels for which it was faster than XLA's convolution on two cores (benchmarks/encoders.py).
_FEWEST_CHANNELS = {(3, 3): 256, (1, 3): 256, (3, 1): 256, (1, 7): 128, (7, 1): 128}
_FEW_ROWS = 300  # rows of a point's product below which one batched product of all points is faster


class Filter(NamedTuple):
    """The matrices of a minimal filter: the outputs of a tile are output @ ((kernel @ taps) * (input @ inputs)).

    Attributes:
      input: (points, points).
      kernel: (points, taps).
      output: (4, points).
    """

    input: np.ndarray
    kernel: np.ndarray
    output: np.ndarray


def minimal_filter(num_taps: int, points: Sequence[Fraction | int]) -> Filter:
    """Return F(4, num_taps) from 4 + num_taps - 2 different points and infinity, computed in exact fractions."""
    size = _TILE + num_taps - 1

    def powers(count: int) -> list[list[Fraction]]:
        at_infinity = [Fraction(index == count - 1) for index in range(count)]
        return [[Fraction(point) ** index for index in range(count)] for point in points] + [at_infinity]

    # A product of two polynomials is interpolated from its values at the points; filtering is its transpose.
    inputs = [list(column) for column in zip(*_inverse(powers(size)), strict=True)]
    kernel = powers(num_taps)
    for row, taps in zip(inputs, kernel, strict=True):  # makes the weights of inputs the smallest possible integers
        scale = Fraction(math.lcm(*(weight.denominator for weight in row)))
        scale /= math.gcd(*(int(weight * scale) for weight in row))
        row[:] = [weight * scale for weight in row]
        taps[:] = [weight / scale for weight in taps]
    output = zip(*powers(_TILE), strict=True)
    return Filter(*(np.array([[float(weight) for weight in row] for row in matrix]) for matrix in (inputs, kernel, output)))


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Return the inverse by Gauss-Jordan elimination."""
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


_IDENTITY = Filter(*(np.eye(1),) * 3)  # for an axis with one tap
_FILTERS = {1: _IDENTITY} | {num_taps: minimal_filter(num_taps, points) for num_taps, points in _POINTS.items()}


def pays(size: tuple[int, ...], in_channels: int, out_channels: int) -> bool:
    """Return whether a layer of stride 1 with a kernel of `size` is wide enough to become faster."""
    return size in _FEWEST_CHANNELS and min(in_channels, out_channels) >= _FEWEST_CHANNELS[size]


def transform_kernel(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel (H, W, C, C') transformed, (points, C, C')."""
    down, across = (_FILTERS[num_taps].kernel for num_taps in kernel.shape[:2])
    points = np.einsum("ph,qw,hwio->pqio", down, across, np.asarray(kernel, np.float64), optimize=True)
    return points.astype(np.float32).reshape(-1, *kernel.shape[2:])


def transform_kernels(variables: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a network with the kernels of wide layers transformed, for the same network with winograd=True.

    Args:
      like: tree of the returned variables' shapes (arrays or `jax.ShapeDtypeStruct`); transformed kernels have three axes.
    """
    params, wanted = (traverse_util.flatten_dict(dict(one["params"])) for one in (variables, like))
    params = {path: value if value.shape == wanted[path].shape else transform_kernel(value) for path, value in params.items()}
    return {**variables, "params": traverse_util.unflatten_dict(params)}


def convolve(x: jax.Array, kernel: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """Return x (N, H, W, C) float32 convolved with a transformed kernel (points, C, C') of `size`, padding "SAME": (N, H, W, C')."""
    num, height, width, channels = x.shape
    filters = [_FILTERS[num_taps] for num_taps in size]
    edges = [len(one.output) for one in filters]  # of a tile of outputs
    counts = [-(-length // edge) for length, edge in zip((height, width), edges, strict=True)]
    x = jnp.pad(x, [(0, 0), *map(_padding, (height, width), size, counts, edges), (0, 0)])
    tiles = [x]
    for axis, own, count, edge in zip((1, 2), filters, counts, edges, strict=True):
        # The k-th row of every tile of inputs, then of each of these the k-th column.
        pieces = [[_every(tile, axis, k, count, edge) for k in range(len(own.input))] for tile in tiles]
        tiles = [_weighted(row, one) for one in pieces for row in own.input]
    rows = [tile.reshape(-1, channels) for tile in tiles]
    few = len(rows[0]) < _FEW_ROWS
    # With many rows, one product a point while its rows are still in the cache; those of all points together would not fit.
    products = list(jnp.stack(rows) @ kernel) if few else [one @ kernel[point] for point, one in enumerate(rows)]
    down, across = filters
    lines = [products[start : start + len(across.input)] for start in range(0, len(products), len(across.input))]
    lines = [[_weighted(row, line) for row in across.output] for line in lines]
    outputs = jnp.stack([_weighted(row, column) for row in down.output for column in zip(*lines, strict=True)])
    outputs = outputs.reshape(*edges, num, *counts, -1).transpose(2, 3, 0, 4, 1, 5)
    return outputs.reshape(num, counts[0] * edges[0], counts[1] * edges[1], -1)[:, :height, :width]


def _padding(length: int, num_taps: int, count: int, edge: int) -> tuple[int, int]:
    """Return the number of zeros on both sides of an axis that is cut into tiles."""
    before = (num_taps - 1) // 2
    return before, count * edge + num_taps - 1 - before - length


def _every(x: jax.Array, axis: int, start: int, count: int, stride: int) -> jax.Array:
    return jax.lax.slice_in_dim(x, start, start + stride * (count - 1) + 1, stride, axis)


def _weighted(weights: np.ndarray, values: Sequence[jax.Array]) -> jax.Array:
    """Return the weighted sum of values; many weights are 0 or 1."""
    terms = [value if weight == 1 else value * np.float32(weight) for weight, value in zip(weights, values, strict=True) if weight]
    return sum(terms[1:], terms[0])


class TransformedConv(nn.Module):
    """Convolution with a transformed kernel and a bias: parameters `kernel` (points, C, C') and `bias` (C',)."""

    channels: int
    size: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x (N, H, W, C) to (N, H, W, C')."""
        num_points = math.prod(len(_FILTERS[num_taps].input) for num_taps in self.size)
        kernel = self.param("kernel", nn.initializers.he_normal(), (num_points, x.shape[-1], self.channels))
        return convolve(x, kernel, self.size) + self.param("bias", nn.initializers.zeros, (self.channels,))


def conv3x3(x: jax.Array, channels: int, *, winograd: bool, name: str) -> jax.Array:
    """Return x (N, H, W, C) after a 3 x 3 convolution with bias, padding "SAME"; to be called where a module makes its submodules.

    Args:
      winograd: whether the kernel is transformed where the layer is wide enough (`transform_kernels`), for frozen use.
    """
    if winograd and pays((3, 3), x.shape[-1], channels):
        return TransformedConv(channels, (3, 3), name=name)(x)
    return nn.Conv(channels, (3, 3), kernel_init=nn.initializers.he_normal(), name=name)(x)
