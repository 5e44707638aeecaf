"""Batch norm without the statistics of padded examples, and dropout with a rate that may differ from trial to trial."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
    """Batch norm over examples (and steps), with the statistics of real ones alone.

    Parameters `scale`, `bias` (D,); collection "batch_stats" with `mean`, `var` (D,), as in Flax and Keras.

    Source: Ioffe and Szegedy 2015. Differs: a batch without a real example does not change the moving statistics, where
    `flax.linen.BatchNorm` with an empty mask gives NaN; trial groups with folds of different sizes need this.

    Attributes:
      momentum: decay per step of the moving statistics; with 0.9 they converge within the few hundred steps of small corpora.
      epsilon: constant added to the variance; Keras' value.
    """

    momentum: float = 0.9
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Normalise x (B, D) or (B, T, D) with mask (B,) or (B, T) bool, True where the example or step is real."""
        num_features = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (num_features,))
        bias = self.param("bias", nn.initializers.zeros, (num_features,))
        moving_mean = self.variable("batch_stats", "mean", jnp.zeros, (num_features,))
        moving_var = self.variable("batch_stats", "var", jnp.ones, (num_features,))
        if train:
            weights = mask.reshape(-1).astype(x.dtype)
            count = jnp.sum(weights)
            weights = weights / jnp.maximum(count, 1)
            rows = x.reshape(-1, num_features)
            mean = weights @ rows
            var = weights @ jnp.square(rows - mean)
            if not self.is_initializing():
                keep = jnp.where(count > 0, self.momentum, 1.0)
                moving_mean.value = keep * moving_mean.value + (1 - keep) * mean
                moving_var.value = keep * moving_var.value + (1 - keep) * var
        else:
            mean, var = moving_mean.value, moving_var.value
        return (x - mean) * jax.lax.rsqrt(var + self.epsilon) * scale + bias


def dropout(x: jax.Array, rate: float | jax.Array, key: jax.Array) -> jax.Array:
    """Return x with each element zeroed with probability `rate` in [0, 1), and the others scaled by 1 / (1 - rate).

    `rate` may be a traced array over trials; `flax.linen.Dropout` compares it with 0 and so needs a Python number.
    """
    keep = jax.random.uniform(key, x.shape) >= rate
    return jnp.where(keep, x / (1 - rate), 0)
