"""Convolution over time in front of the recurrent layers."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.norm import BatchNorm


class TimeConv(nn.Module):
    """Convolution over steps (zero padding), batch norm, ReLU, and the mean of each `stride` neighbouring steps.

    The convolution is a matrix product over shifted slices, for the reason given in `cnn`.

    Attributes:
      num_channels: C'.
      width_steps: width of the kernel, odd.
      stride_steps: number of neighbouring steps that are averaged into one; 2 halves the steps of the recurrent layers.
    """

    num_channels: int
    width_steps: int = 5
    stride_steps: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, examples: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Map x (B, T, D) with mask (B, T) bool and real examples (B,) bool to steps (B, T', C') and their mask, T' = ceil(T / stride).

        Raises:
          ValueError: an even width.
        """
        if self.width_steps % 2 == 0:
            raise ValueError(f"expected an odd width of the convolution over time, got {self.width_steps} steps")
        num_steps, margin = x.shape[1], self.width_steps // 2
        x = jnp.pad(jnp.where(mask[..., None], x, 0), ((0, 0), (margin, margin), (0, 0)))
        x = jnp.concatenate([x[:, i : i + num_steps] for i in range(self.width_steps)], axis=-1)
        x = nn.Dense(self.num_channels, name="conv")(x)
        x = nn.relu(BatchNorm(name="norm")(x, mask & examples[:, None], train=train))
        return mean_of_neighbours(x, mask, self.stride_steps)


def mean_of_neighbours(x: jax.Array, mask: jax.Array, stride_steps: int) -> tuple[jax.Array, jax.Array]:
    """Return the mean over the real steps of each `stride_steps` neighbours of x (B, T, D), (B, T', D), and the mask (B, T').

    T' = ceil(T / stride).
    """
    short = -x.shape[1] % stride_steps
    x, mask = jnp.pad(x, ((0, 0), (0, short), (0, 0))), jnp.pad(mask, ((0, 0), (0, short)))
    groups = mask.reshape(x.shape[0], -1, stride_steps)
    weights = groups / jnp.maximum(jnp.sum(groups, axis=-1, keepdims=True), 1)
    x = jnp.sum(x.reshape(*groups.shape, -1) * weights[..., None].astype(x.dtype), axis=2)
    return x, jnp.any(groups, axis=-1)


def spread_over_neighbours(weights: jax.Array, mask: jax.Array, stride_steps: int) -> jax.Array:
    """Return the weights (B, T') of groups divided equally among their real steps, by mask (B, T): (B, T), with the same sum."""
    short = -mask.shape[1] % stride_steps
    groups = jnp.pad(mask, ((0, 0), (0, short))).reshape(mask.shape[0], -1, stride_steps)
    shares = groups / jnp.maximum(jnp.sum(groups, axis=-1, keepdims=True), 1) * weights[..., None]
    return shares.reshape(mask.shape[0], -1)[:, : mask.shape[1]]
