"""Positions of steps, for fusions that attend over them."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def with_positions(x: jax.Array) -> jax.Array:
    """Return steps x (B, T, D) plus sine and cosine of their positions, the D / 2 sines first.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5. Differs: sines and cosines do not alternate, which only renames units.
    """
    num_steps, width = x.shape[1:]
    rates = 10000.0 ** (-jnp.arange(-(-width // 2)) / max(width // 2, 1))
    angles = jnp.arange(num_steps)[:, None] * rates
    return x + jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)[:, :width].astype(x.dtype)
