"""Fusion "dot_attention": attention over the steps of the last stream, queried by the others."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_softmax, weighted_sum
from avemo_jax.models.fusion.match_steps import match_steps


class DotAttentionFusion(nn.Module):
    """Attend over video steps by their agreement with the audio: sum_n P(n) v_n, P = softmax over n of <w_v v_n, w_a a_n>.

    Source: thesis of system A, section 6.2, which has two streams. Streams are brought to one width by tanh layers and matched in length as
    in `TanhGRUFusion`; score n compares video step n with the audio step at that time. Differs: of more than two streams the last one is
    attended over, each of the others queries it with a query layer of its own (`query_<name>`), and the attended vectors are concatenated.

    Attributes:
      names: of the streams.
      width: common width d of the streams, of the queries and of the keys.
    """

    names: tuple[str, ...]
    width: int

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Join N streams of steps (B, T_i, D_i) with masks (B, T_i) bool; examples and train are unused.

        Returns:
          (B, (N - 1) width), and weights (B, T) over the steps of the last stream, of several queries their mean.
        """
        *others, attended = [jnp.tanh(nn.Dense(self.width, name=name)(x)) for name, x in zip(self.names, values, strict=True)]
        keys = nn.Dense(self.width, use_bias=False, name="key")(attended)
        weights = []
        for name, x, mask in zip(self.names, others, masks, strict=False):
            layer = "query" if len(others) == 1 else f"query_{name}"
            queries = nn.Dense(self.width, use_bias=False, name=layer)(match_steps(x, mask, masks[-1]))
            weights.append(masked_softmax(jnp.sum(queries * keys, axis=-1), masks[-1]))
        vector = jnp.concatenate([weighted_sum(one, attended) for one in weights], axis=-1)
        return vector, weights[0] if len(weights) == 1 else jnp.mean(jnp.stack(weights), axis=0)
