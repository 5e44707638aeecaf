"""Small convolutional encoders of images and spectrogram patches, trained from scratch.

On CPU, XLA runs a convolution inside a compiled loop (`scan`, and so a whole epoch as one program) about 50 times slower than
outside; a matrix product over shifted slices of the picture gives the same numbers and stays fast there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


class ProductConv(nn.Module):
    """3 x 3 convolution, stride 1, zero padding to the same size, as matrix products over shifted slices.

    Parameters as `flax.linen.Conv` has them: kernel (3, 3, C, C'), bias (C',).
    """

    num_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve x (N, H, W, C) to (N, H, W, C')."""
        height, width, channels = x.shape[1:]
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, channels, self.num_channels))
        bias = self.param("bias", nn.initializers.zeros, (self.num_channels,))
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifted = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        return jnp.concatenate(shifted, axis=-1) @ kernel.reshape(9 * channels, self.num_channels) + bias


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Largest of each 2 x 2 window of x (N, H, W, C), (N, H // 2, W // 2, C); an odd last row or column is dropped."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])


class CNN(nn.Module):
    """Blocks of 3 x 3 convolution, 2 x 2 max-pooling, layer norm over the whole picture, ReLU; then the mean over positions.

    The norm is of each picture alone, so padded steps and other examples change nothing; it comes after the pooling, where it
    costs a quarter.

    Attributes:
      channels: of the blocks, one a block.
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

    Source: document C, section on the image model. The convolution is a matrix product, for the reason given above.

    Attributes:
      channels: of the blocks, one a block.
    """

    channels: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array, drop: Callable[[jax.Array], jax.Array] | None = None) -> jax.Array:
        """Encode pictures (N, H, W, C) or patches (N, H, W), uint8 taken as [0, 1] or float as it is, to (N, H' W' C').

        `drop`, where given, follows each block.
        """
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = x.astype(jnp.float32) / 255
        if x.ndim == 3:
            x = x[..., None]
        for index, num_channels in enumerate(self.channels):
            x = max_pool_2x2(nn.relu(ProductConv(num_channels, name=f"conv{index}")(x)))
            x = x if drop is None else drop(x)
        return x.reshape(len(x), -1)
