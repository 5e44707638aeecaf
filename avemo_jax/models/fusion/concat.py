"""Fusion "concat": the streams' vectors side by side."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.norm import BatchNorm


class ConcatFusion(nn.Module):
    """Concatenate the streams' vectors and batch-normalise. Source: thesis of system E, section 3.2, figure 3.5."""

    batch_norm: bool = True

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, None]:
        """Join N vectors (B, D_i) of real examples (B,) bool into (B, sum of D_i); the masks of steps are unused."""
        x = jnp.concatenate(list(values), axis=-1)
        return BatchNorm(name="norm")(x, examples, train=train) if self.batch_norm else x, None
