"""Small convolutional encoders of images and spectrogram patches, trained from scratch.

On CPU, XLA runs a convolution inside a compiled loop (`scan`, and so in an epoch that is one program) far slower than
outside; a matrix product over shifted slices of the picture gives the same results and stays fast there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

_FEWEST_ROWS = 1024  # rows of one matrix product in a kernel's gradient


class ProductConv(nn.Module):
    """3 x 3 convolution, stride 1, zero padding to the same size, as one matrix product for groups of neighbouring columns.

    A product takes the 3 x (g + 2) inputs of g output columns and gives these g columns. Its kernel is banded: products with its zeros are
    wasted, but inputs are copied (g + 2) / g times for each row of the kernel instead of three times, and on CPU these copies take most of
    the time of a narrow convolution.

    It has the parameters of `flax.linen.Conv`: kernel (3, 3, C, C'), bias (C',).
    """

    num_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve x (N, H, W, C) to (N, H, W, C')."""
        num_images, height, width, channels = x.shape
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, channels, self.num_channels))
        bias = self.param("bias", nn.initializers.zeros, (self.num_channels,))
        group = columns_at_once(channels)
        num_groups = -(-width // group)
        wide = num_groups * group
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1 + wide - width), (0, 0)))
        own = x[:, :, :wide].reshape(num_images, height + 2, num_groups, group * channels)
        following = [x[:, :, first : first + wide : group] for first in (group, group + 1)]
        columns = jnp.concatenate([own, *following], axis=-1)
        patches = jnp.concatenate([columns[:, row : row + height] for row in range(3)], axis=-1)
        # (3, g + 2, C, g, C'): for each column of the output the kernel moves by one column of the input
        banded = jnp.stack([jnp.pad(kernel, ((0, 0), (at, group - 1 - at), (0, 0), (0, 0))) for at in range(group)], axis=3)
        product = _product_of_images(patches, banded.reshape(-1, group * self.num_channels))
        return product.reshape(num_images, height, wide, self.num_channels)[:, :, :width] + bias


def columns_at_once(channels: int) -> int:
    """Return the number of output columns in one product, by measurement: with more channels, products with zeros cost more."""
    return 4 if channels <= 4 else 2 if channels <= 32 else 1


@jax.custom_vjp
def _product_of_images(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return x (N, H, W, K) @ kernel (K, M), (N, H, W, M), with a kernel gradient that is a sum of products over a few images each.

    A single product over all rows, a hundred thousand of them for a few dozen outputs, is slow on CPU.
    """
    return x @ kernel


def _product_and_operands(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _gradients_of_product(operands: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = operands
    num_images, height, width, _ = x.shape
    enough = -(-_FEWEST_ROWS // (height * width))
    at_once = next((some for some in range(enough, num_images) if num_images % some == 0), num_images)
    rows, row_gradients = (array.reshape(num_images // at_once, -1, array.shape[-1]) for array in (x, gradient))
    return gradient @ kernel.T, jnp.einsum("brk,brm->bkm", rows, row_gradients).sum(axis=0)


_product_of_images.defvjp(_product_and_operands, _gradients_of_product)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Return the maximum of each 2 x 2 window of x (N, H, W, C), (N, H // 2, W // 2, C); an odd last row or column is dropped."""
    num_images, height, width, channels = x.shape
    half_height, half_width = height // 2, width // 2
    rows = x[:, : 2 * half_height, : 2 * half_width].reshape(num_images, half_height, 2, 2 * half_width, channels)
    columns = jnp.maximum(rows[:, :, 0], rows[:, :, 1]).reshape(num_images, half_height, half_width, 2, channels)
    return jnp.maximum(columns[:, :, :, 0], columns[:, :, :, 1])


class CNN(nn.Module):
    """Blocks of 3 x 3 convolution, 2 x 2 max-pooling, layer norm over the whole picture, ReLU; then the mean over positions.

    The norm is over each picture alone, so padded steps and other examples have no effect; it follows the pooling, where it takes a
    quarter of the time.

    Attributes:
      channels: number of channels of each block.
    """

    channels: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Encode pictures (N, H, W, C) or patches (N, H, W), uint8 in [0, 255] or float, to (N, channels[-1])."""
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = x.astype(jnp.float32) / 127.5 - 1
        if x.ndim == 3:
            x = x[..., None]
        for index, num_channels in enumerate(self.channels):
            x = max_pool_2x2(ProductConv(num_channels, name=f"conv{index}")(x))
            x = nn.relu(nn.LayerNorm(reduction_axes=(1, 2, 3), name=f"norm{index}")(x))
        return jnp.mean(x, axis=(1, 2))


class ConvPool(nn.Module):
    """Blocks of 3 x 3 convolution, ReLU, 2 x 2 max-pooling, flattened: system C's image network up to its dense layer.

    Source: document C, section on the image model. The convolution is a matrix product, for the reason in the docstring of this module.

    Attributes:
      channels: number of channels of each block.
    """

    channels: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array, drop: Callable[[jax.Array], jax.Array] | None = None) -> jax.Array:
        """Encode pictures (N, H, W, C) or patches (N, H, W), uint8 scaled to [0, 1] or float unscaled, to (N, H' W' C').

        Args:
          drop: dropout after each block; None for none.
        """
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = x.astype(jnp.float32) / 255
        if x.ndim == 3:
            x = x[..., None]
        for index, num_channels in enumerate(self.channels):
            x = max_pool_2x2(nn.relu(ProductConv(num_channels, name=f"conv{index}")(x)))
            x = x if drop is None else drop(x)
        return x.reshape(x.shape[0], -1)
