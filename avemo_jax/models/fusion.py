"""Joining an audio and a video stream into one vector a clip."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_softmax, weighted_sum
from avemo_jax.models.norm import BatchNorm
from avemo_jax.models.recurrent import GRU


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


class ConcatFusion(nn.Module):
    """Concatenate two vectors and batch-normalise. Source: thesis of system E, section 3.2, figure 3.5."""

    batch_norm: bool = True

    @nn.compact
    def __call__(self, audio: jax.Array, video: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Join audio (B, D) and video (B, D') of real examples mask (B,) into (B, D + D')."""
        x = jnp.concatenate([audio, video], axis=-1)
        return BatchNorm(name="norm")(x, mask, train=train) if self.batch_norm else x


class TanhGRUFusion(nn.Module):
    """Equalise both streams by tanh layers, join them step by step, run a GRU, take its last state.

    Source: thesis of system A, section 4.2.3. Choice: audio steps are repeated to the video's length (`match_steps`), since the
    text writes both streams with the same number of steps and has 5 and 16.

    Attributes:
      width: common width d of the streams, and of the joining layer.
      num_units: of the GRU.
      reset_after, unroll: see `GRU`.
    """

    width: int
    num_units: int
    reset_after: bool = True
    unroll: int = 1

    @nn.compact
    def __call__(self, audio: jax.Array, audio_mask: jax.Array, video: jax.Array, video_mask: jax.Array) -> jax.Array:
        """Join audio (B, S, D) and video (B, T, D'), masks (B, S) and (B, T) bool, into (B, num_units)."""
        audio = jnp.tanh(nn.Dense(self.width, name="audio")(audio))
        video = jnp.tanh(nn.Dense(self.width, name="video")(video))
        steps = jnp.concatenate([match_steps(audio, audio_mask, video_mask), video], axis=-1)
        joined = jnp.tanh(nn.Dense(self.width, name="join")(steps))
        _, last = GRU(self.num_units, self.reset_after, unroll=self.unroll, name="context")(joined, video_mask)
        return last


class DotAttentionFusion(nn.Module):
    """Attend over video steps by their agreement with the audio: sum_n P(n) v_n, P = softmax over n of <w_v v_n, w_a a_n>.

    Source: thesis of system A, section 6.2. Streams are equalised by tanh layers and matched in length as in `TanhGRUFusion`;
    score n compares video step n with the audio step at that time.

    Attributes:
      width: common width d of the streams, of the queries and of the keys.
    """

    width: int

    @nn.compact
    def __call__(self, audio: jax.Array, audio_mask: jax.Array, video: jax.Array, video_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Join audio (B, S, D) and video (B, T, D'), masks (B, S) and (B, T) bool, into (B, width) and weights (B, T)."""
        audio = jnp.tanh(nn.Dense(self.width, name="audio")(audio))
        video = jnp.tanh(nn.Dense(self.width, name="video")(video))
        queries = nn.Dense(self.width, use_bias=False, name="query")(match_steps(audio, audio_mask, video_mask))
        keys = nn.Dense(self.width, use_bias=False, name="key")(video)
        weights = masked_softmax(jnp.sum(queries * keys, axis=-1), video_mask)
        return weighted_sum(weights, video), weights
