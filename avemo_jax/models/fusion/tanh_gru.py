"""Fusion "tanh_gru": the streams joined step by step, and a GRU over the joined steps."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.fusion.match_steps import match_steps
from avemo_jax.models.recurrent import GRU


class TanhGRUFusion(nn.Module):
    """Bring all streams to one width by tanh layers, join them step by step, run a GRU, take its last state.

    Source: thesis of system A, section 4.2.3, which has two streams, audio and video. Choice: audio steps are repeated to the video's
    length (`match_steps`), since the text writes both streams with the same number of steps and has 5 and 16. Of more streams, all others
    are matched to the last one, which sets the steps, and stand in front of it in their order.

    Attributes:
      names: of the streams.
      width: common width d of the streams, and of the joining layer.
      num_units: of the GRU.
    """

    names: tuple[str, ...]
    width: int
    num_units: int

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, None]:
        """Join steps (B, T_i, D_i) with masks (B, T_i) bool into (B, num_units); examples and train are unused."""
        *others, last = [jnp.tanh(nn.Dense(self.width, name=name)(x)) for name, x in zip(self.names, values, strict=True)]
        matched = [match_steps(x, mask, masks[-1]) for x, mask in zip(others, masks[:-1], strict=True)]
        joined = jnp.tanh(nn.Dense(self.width, name="join")(jnp.concatenate([*matched, last], axis=-1)))
        return GRU(self.num_units, name="context")(joined, masks[-1])[1], None
