"""Fusion "gated": a sum of the streams' vectors, with a gate for each unit of each stream."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_softmax


class GatedFusion(nn.Module):
    """Gated multimodal unit: h = sum over streams of z_i tanh(W_i x_i), gates z by all streams, computed for each unit.

    Source: Arevalo et al. 2017, Gated multimodal units for information fusion, arXiv 1702.01992, section 3.1, bimodal case: z and 1 - z
    with z = sigmoid(W [x_1, x_2]). Differs: of more than two streams the paper has independent sigmoids; here gates are a softmax over the
    streams that a clip has, which for two streams is the same function, and for a clip that lacks a stream is the unit of the others.

    Attributes:
      names: of the streams, in the order of their values.
      width: units of h.
    """

    names: tuple[str, ...]
    width: int

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, None]:
        """Join N vectors (B, D_i) into (B, width), zeros where no stream has a real step in its mask (B, T_i); the rest is unused."""
        present = jnp.stack([mask.any(axis=-1) for mask in masks], axis=-1)
        equal = jnp.stack([jnp.tanh(nn.Dense(self.width, name=name)(x)) for name, x in zip(self.names, values, strict=True)], axis=-1)
        seen = [jnp.where(present[:, i, None], x, 0) for i, x in enumerate(values)]
        scores = nn.Dense(self.width * len(values), name="gate")(jnp.concatenate(seen, axis=-1)).reshape(equal.shape)
        gates = masked_softmax(scores, jnp.broadcast_to(present[:, None], scores.shape))
        return jnp.sum(gates * equal, axis=-1), None
