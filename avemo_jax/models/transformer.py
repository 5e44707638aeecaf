"""Transformer blocks: self-attention over steps and a feed-forward layer, each with a residual connection."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.dot_product import attend
from avemo_jax.models.relative_position import PositionGate

EPSILON = 1e-5  # of the layer norms, as torch has it


def gelu(x: jax.Array) -> jax.Array:
    """Return GELU of x by the error function, as published weights expect it; Hendrycks and Gimpel 2016, arXiv 1606.08415."""
    return jax.nn.gelu(x, approximate=False)


class SelfAttention(nn.Module):
    """Multi-head self-attention; steps that are masked are not attended to.

    Parameters: `query`, `key`, `value`, `out` with kernel (D, D) and bias (D,); `key` has no bias unless `key_bias`. With a position bias
    also those of `gate` (`PositionGate`), if `has_gate`; with a LoRA rank `query_lora` and `value_lora` (`LowRank`).

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2; Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.2, for the two projections
    that are adapted.

    Attributes:
      num_heads: heads, which share D equally.
      key_bias: whether the projection to keys has a bias. It adds the same number to all scores of a query and so changes nothing but
        rounding; published weights have it or not.
      lora_rank: rank of what is added to the projections to queries and values; 0 adds nothing.
      has_gate: whether each query has a gate for the position bias.
    """

    num_heads: int
    key_bias: bool = True
    lora_rank: int = 0
    has_gate: bool = True

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None, position_bias: jax.Array | None = None, source: jax.Array | None = None
    ) -> jax.Array:
        """Map x (B, T, D) with mask (B, T), True where a step is real, to (B, T, D); results at masked steps have no meaning.

        Args:
          mask: None where all steps are real.
          position_bias: (A, T, T), query by key, added to the scores of the A heads, in the share that each query's gate lets through, or
            as a whole without gates.
          source: (B, S, D), what is attended to in place of x (cross-attention); `mask` is then (B, S).
        """
        source = x if source is None else source
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(f"expected a width that {self.num_heads} heads share equally, got {width}")
        projected = {
            name: nn.Dense(width, use_bias=has_bias, name=name)(own)
            for name, own, has_bias in (("query", x, True), ("key", source, self.key_bias), ("value", source, True))
        }
        for name, own in (("query", x), ("value", source)) if self.lora_rank else ():
            projected[name] += LowRank(self.lora_rank, name=f"{name}_lora")(own)
        query, key, value = (one.reshape(*one.shape[:2], self.num_heads, -1) for one in projected.values())
        bias = None
        if position_bias is not None:
            bias = position_bias[None]
            if self.has_gate:
                gates = PositionGate(name="gate")(x.reshape(query.shape))
                bias = gates.transpose(0, 2, 1)[..., None] * bias
        return nn.Dense(width, name="out")(attend(query, key, value, bias, mask).reshape(x.shape))


class LowRank(nn.Module):
    """A linear map of low rank, which is zero as it is initialised.

    Parameters: `down` with kernel (D, R), drawn at random, and `up` with kernel (R, D), zero.

    Source: Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.1, with alpha = R.

    Attributes:
      rank: R.
    """

    rank: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x (B, T, D) to (B, T, D)."""
        x_down = nn.Dense(self.rank, use_bias=False, name="down")(x)
        return nn.Dense(x.shape[-1], use_bias=False, kernel_init=nn.initializers.zeros, name="up")(x_down)


class LayerScale(nn.Module):
    """Parameter `scale` (D,): one factor a feature. Source: Touvron et al. 2021, arXiv 2103.17239, section 2."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return x (..., D) times the factors."""
        return x * self.param("scale", nn.initializers.ones, (x.shape[-1],))


class PreNormBlock(nn.Module):
    """A transformer block with layer norms in front of attention and feed-forward layer.

    Parameters: `attention_norm`, `feed_forward_norm` and with a source `source_norm`, with scale and bias (D,); `attention`
    (`SelfAttention`); `expand` with kernel (D, H), `contract` with kernel (H, D), and their biases; with `layer_scale` also
    `attention_scale` and `feed_forward_scale` (`LayerScale`).

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv 2002.04745, figure 1 (b).

    Attributes:
      num_heads, key_bias, lora_rank: of the attention.
      num_hidden: units H of the feed-forward layer.
      activation: of these units.
      epsilon: of the layer norms.
      layer_scale: whether the outputs of attention and feed-forward layer are scaled before they are added.
    """

    num_heads: int
    num_hidden: int
    key_bias: bool = True
    activation: Callable[[jax.Array], jax.Array] = gelu
    epsilon: float = EPSILON
    layer_scale: bool = False
    lora_rank: int = 0

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None, position_bias: jax.Array | None = None, source: jax.Array | None = None
    ) -> jax.Array:
        """Map x (B, T, D), with mask (B, T), `position_bias` and `source` as in `SelfAttention`, to (B, T, D)."""
        attention = SelfAttention(self.num_heads, self.key_bias, self.lora_rank, name="attention")
        own = nn.LayerNorm(self.epsilon, name="attention_norm")(x)
        source = None if source is None else nn.LayerNorm(self.epsilon, name="source_norm")(source)
        x = x + self._scaled(attention(own, mask, position_bias, source), "attention_scale")
        hidden = _feed_forward(nn.LayerNorm(self.epsilon, name="feed_forward_norm")(x), self.num_hidden, self.activation)
        return x + self._scaled(hidden, "feed_forward_scale")

    def _scaled(self, x: jax.Array, name: str) -> jax.Array:
        return LayerScale(name=name)(x) if self.layer_scale else x


class PostNormBlock(nn.Module):
    """A transformer block with layer norms behind the sums of attention and feed-forward layer; parameters as those of `PreNormBlock`.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.1; Xiong et al. 2020, arXiv 2002.04745, figure 1 (a).

    Attributes:
      num_heads, num_hidden, key_bias, lora_rank: see `PreNormBlock`; its other attributes have their defaults here.
      has_gate: of the attention.
    """

    num_heads: int
    num_hidden: int
    key_bias: bool = True
    lora_rank: int = 0
    has_gate: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, position_bias: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D), with mask (B, T) and `position_bias` as in `SelfAttention`, to (B, T, D)."""
        attention = SelfAttention(self.num_heads, self.key_bias, self.lora_rank, self.has_gate, name="attention")
        x = nn.LayerNorm(EPSILON, name="attention_norm")(x + attention(x, mask, position_bias))
        return nn.LayerNorm(EPSILON, name="feed_forward_norm")(x + _feed_forward(x, self.num_hidden, gelu))


def _feed_forward(x: jax.Array, num_hidden: int, activation: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Map x (B, T, D) over `num_hidden` units to (B, T, D), by layers of the module that is being called."""
    return nn.Dense(x.shape[-1], name="contract")(activation(nn.Dense(num_hidden, name="expand")(x)))


def zero_masked(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return x (B, T, D) with zeros where mask (B, T) is False."""
    return jnp.where(mask[..., None], x, 0)
