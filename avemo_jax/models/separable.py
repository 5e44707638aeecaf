"""Depthwise separable convolution, as a sum over shifted pictures and a matrix product."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


def depthwise_conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Return the convolution of each channel with its own kernel, with TensorFlow's padding "SAME".

    It is a sum over shifted pictures: XLA's grouped convolution takes far longer on CPU, above all in a compiled loop.

    Args:
      x: (N, H, W, C).
      kernel: (height, width, C).
      stride: stride along H and W.

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

    Parameters `depthwise` (3, 3, C), `pointwise` (C, C'), and with `use_bias` also `bias` (C',).

    Attributes:
      channels: C'.
      stride: stride of the depthwise convolution.
      use_bias: whether a bias is added after the product.
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
