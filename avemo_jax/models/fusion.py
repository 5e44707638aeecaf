"""Joining an audio and a video stream into one vector a clip."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_mean, masked_softmax, weighted_sum
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


class TokenAttentionFusion(nn.Module):
    """Attend over tokens: h = tanh(W c + b), weights = softmax over tokens of <|h|, g>, with g learned; q = sum of weights x tokens.

    Source: document B, section 3.4, equations 5 to 7, which call the sum's index t and do not say what it counts. Choice: the tokens are
    the two modalities of a segment, the mean over an example's segments following; `over_segments` makes each segment, both modalities
    concatenated, a token.

    Attributes:
      width: of h.
      over_segments: False: two tokens a step, of equal width; True: one token a step.
    """

    width: int
    over_segments: bool

    @nn.compact
    def __call__(
        self, audio: jax.Array, audio_mask: jax.Array, video: jax.Array, video_mask: jax.Array
    ) -> tuple[jax.Array, jax.Array | None]:
        """Join audio (B, T, D) and video (B, T, D'), masks (B, T) bool, into (B, D) or (B, D + D'), and weights (B, T) over segments.

        A segment that one stream lacks has the other's token alone; over segments, zeros stand for it.

        Raises:
          ValueError: streams that do not go together step by step, or tokens of unequal width.
        """
        if audio.shape[1] != video.shape[1]:
            raise ValueError(
                f"token_attention joins segments one to one and got {audio.shape[1]} of sound and {video.shape[1]} of picture; use the "
                "views speech_segments and speech_faces with the same fields"
            )
        audio, video = jnp.where(audio_mask[..., None], audio, 0), jnp.where(video_mask[..., None], video, 0)
        real = audio_mask | video_mask
        if self.over_segments:
            tokens = jnp.concatenate([audio, video], axis=-1)
            weights = masked_softmax(self._scores(tokens), real)
            return weighted_sum(weights, tokens), weights
        if audio.shape[-1] != video.shape[-1]:
            raise ValueError(
                f"attention over modalities takes tokens of one width, got {audio.shape[-1]} of sound and {video.shape[-1]} of picture; "
                "set model.fusion.tokens='segments', or give both branches steps of equal width"
            )
        tokens = jnp.stack([audio, video], axis=2)
        weights = masked_softmax(self._scores(tokens), jnp.stack([audio_mask, video_mask], axis=2))
        return masked_mean(jnp.einsum("btm,btmd->btd", weights, tokens), real), None

    def _scores(self, tokens: jax.Array) -> jax.Array:
        hidden = jnp.tanh(nn.Dense(self.width, name="hidden")(tokens))
        return nn.Dense(1, use_bias=False, name="context")(jnp.abs(hidden))[..., 0]
