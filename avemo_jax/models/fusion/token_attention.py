"""Fusion "token_attention": attention over the streams of each segment, or over segments."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_mean, masked_softmax, weighted_sum


class TokenAttentionFusion(nn.Module):
    """Attend over tokens: h = tanh(W c + b), weights = softmax over tokens of <|h|, g>, with g learned; q = sum of weights x tokens.

    Source: document B, section 3.4, equations 5 to 7, which call the sum's index t and do not say what it counts. Choice: the tokens are
    the streams (there: two modalities) of a segment, followed by the mean over an example's segments; with `over_segments` each segment,
    all its streams concatenated, is a token.

    Attributes:
      names: of the streams, for messages.
      width: of h.
      over_segments: False: a token a stream at each step, of equal width; True: one token a step.
    """

    names: tuple[str, ...]
    width: int
    over_segments: bool

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        """Join steps (B, T, D_i) with masks (B, T) bool; examples and train are unused.

        A segment that a stream lacks has the other streams' tokens alone; over segments, zeros stand for it.

        Returns:
          (B, D) and None; over segments (B, sum of D_i) and weights (B, T).

        Raises:
          ValueError: streams with different numbers of steps, or tokens of unequal width.
        """
        if len({x.shape[1] for x in values}) > 1:
            raise ValueError(
                f"token_attention joins the segments of all streams one to one, got {self._each(values, 1)} steps; choose views of "
                "the same segments, such as speech_segments and speech_faces with the same fields"
            )
        values = [jnp.where(mask[..., None], x, 0) for x, mask in zip(values, masks, strict=True)]
        stacked = jnp.stack(list(masks), axis=2)
        real = stacked.any(axis=2)
        if self.over_segments:
            tokens = jnp.concatenate(values, axis=-1)
            weights = masked_softmax(self._scores(tokens), real)
            return weighted_sum(weights, tokens), weights
        if len({x.shape[-1] for x in values}) > 1:
            raise ValueError(
                f"attention over modalities takes tokens of one width, got {self._each(values, -1)} numbers a step; set "
                "--config.fusion.tokens=segments, or give all branches steps of equal width"
            )
        tokens = jnp.stack(values, axis=2)
        weights = masked_softmax(self._scores(tokens), stacked)
        return masked_mean(jnp.einsum("btm,btmd->btd", weights, tokens), real), None

    def _scores(self, tokens: jax.Array) -> jax.Array:
        hidden = jnp.tanh(nn.Dense(self.width, name="hidden")(tokens))
        return nn.Dense(1, use_bias=False, name="context")(jnp.abs(hidden))[..., 0]

    def _each(self, values: Sequence[jax.Array], axis: int) -> dict[str, int]:
        return {name: x.shape[axis] for name, x in zip(self.names, values, strict=True)}
