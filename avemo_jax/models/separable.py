"""Depthwise separable convolution, as a sum over shifted pictures and a matrix product."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


def depthwise_conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolve each channel with its own kernel, padded as TensorFlow's "SAME" is.

    A sum over shifted pictures: XLA's grouped convolution takes 10 to 100 times as long on CPU, and must not stand in a loop there.

    Args:
      x: (N, H, W, C).
      kernel: (height, width, C).
      stride: along H and W.

    Returns:
      (N, ceil(H / stride), ceil(W / stride), C).
    """
    lengths = [-(-size // stride) for size in x.shape[1:3]]
    borders = []
    for size, length, width in zip(x.shape[1:3], lengths, kernel.shape, strict=False):
        missing = max((length - 1) * stride + width - size, 0)
        borders.append((missing // 2, missing - missing // 2))
    x = jnp.pad(x, ((0, 0), *borders, (0, 0)))
    reach = [(length - 1) * stride + 1 for length in lengths]
    shifted = (
        x[:, row : row + reach[0] : stride, column : column + reach[1] : stride] * kernel[row, column]
        for row in range(kernel.shape[0])
        for column in range(kernel.shape[1])
    )
    return sum(shifted, start=jnp.zeros((), x.dtype))


class SeparableConv(nn.Module):
    """3 x 3 convolution of each channel by itself, then a product over channels.

    Parameters `depthwise` (3, 3, C), `pointwise` (C, C'), and `bias` (C',) where it has one.

    Attributes:
      channels: C'.
      stride: of the first convolution.
      use_bias: a bias after the product.
    """

    channels: int
    stride: int = 1
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve x (N, H, W, C) to (N, H / stride, W / stride, C'), sizes rounded up."""
        num_channels = x.shape[-1]
        depthwise = self.param("depthwise", nn.initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=(0, 1)), (3, 3, num_channels))
        pointwise = self.param("pointwise", nn.initializers.he_normal(), (num_channels, self.channels))
        x = depthwise_conv(x, depthwise, self.stride) @ pointwise
        return x + self.param("bias", nn.initializers.zeros, (self.channels,)) if self.use_bias else x
