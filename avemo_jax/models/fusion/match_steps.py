"""Bringing the steps of one stream to the number of steps of another."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def match_steps(x: jax.Array, mask: jax.Array, to_mask: jax.Array) -> jax.Array:
    """Repeat or drop steps of one stream so that it has the length of another, nearest in time.

    The real steps of both streams are taken to cover the same span evenly: real step j of n in the target gets real step
    floor((j + 1/2) m / n) of m in the source, whose share of the span holds the target step's middle. Where either stream has no
    real step the result is zero.

    Args:
      x: (B, S, D), the source.
      mask: (B, S) bool, its real steps.
      to_mask: (B, T) bool, the real steps of the target.

    Returns:
      (B, T, D).
    """
    rank = jnp.cumsum(mask, axis=-1) - 1
    to_rank = jnp.cumsum(to_mask, axis=-1) - 1
    count = jnp.sum(mask, axis=-1, keepdims=True)
    to_count = jnp.maximum(jnp.sum(to_mask, axis=-1, keepdims=True), 1)
    wanted = ((2 * to_rank + 1) * count) // (2 * to_count)  # in whole numbers, so that ties fall the same way everywhere
    chosen = (wanted[:, :, None] == rank[:, None, :]) & mask[:, None, :] & to_mask[:, :, None]
    return jnp.einsum("bts,bsd->btd", chosen.astype(x.dtype), x)
