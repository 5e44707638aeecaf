"""Transformer blocks: self-attention over steps and a feed-forward layer, each with a residual connection."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.relative_position import PositionGate

EPSILON = 1e-5  # of the layer norms, as torch has it


class SelfAttention(nn.Module):
    """Multi-head self-attention; steps that are masked are not attended to.

    Parameters: `query`, `key`, `value`, `out` with kernel (D, D) and bias (D,); `key` has no bias unless `key_bias`. With a position bias
    also those of `gate` (`PositionGate`); with a LoRA rank `query_lora` and `value_lora` (`LowRank`).

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2; Hu et al. 2021, LoRA, arXiv 2106.09685, section 4.2, for the two projections
    that are adapted.

    Attributes:
      num_heads: heads, which share D equally.
      key_bias: whether the projection to keys has a bias. It adds the same number to all scores of a query and so changes nothing but
        rounding; published weights have it or not.
      lora_rank: rank of what is added to the projections to queries and values; 0 adds nothing.
    """

    num_heads: int
    key_bias: bool = True
    lora_rank: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, position_bias: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D) with mask (B, T), True where a step is real, to (B, T, D); results at masked steps have no meaning.

        `position_bias` (A, T, T), query by key, is added to the scores of the A heads, in the share that each query's gate lets through.
        """
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(f"expected a width that {self.num_heads} heads share equally, got {width}")
        projected = {
            name: nn.Dense(width, use_bias=has_bias, name=name)(x)
            for name, has_bias in (("query", True), ("key", self.key_bias), ("value", True))
        }
        for name in ("query", "value") if self.lora_rank else ():
            projected[name] += LowRank(self.lora_rank, name=f"{name}_lora")(x)
        query, key, value = (one.reshape(*x.shape[:2], self.num_heads, -1) for one in projected.values())
        bias = None
        if position_bias is not None:
            gates = PositionGate(name="gate")(x.reshape(query.shape))
            bias = gates.transpose(0, 2, 1)[..., None] * position_bias
        attended = jax.nn.dot_product_attention(query, key, value, bias=bias, mask=mask[:, None, None, :])
        return nn.Dense(width, name="out")(attended.reshape(x.shape))


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


class PreNormBlock(nn.Module):
    """A transformer block with layer norms in front of attention and feed-forward layer.

    Parameters: `attention_norm`, `feed_forward_norm` with scale and bias (D,); `attention` (`SelfAttention`); `expand` with kernel
    (D, H), `contract` with kernel (H, D), and their biases.

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv 2002.04745, figure 1 (b).

    Attributes:
      num_heads, key_bias, lora_rank: of the attention.
      num_hidden: units H of the feed-forward layer, with GELU.
    """

    num_heads: int
    num_hidden: int
    key_bias: bool = True
    lora_rank: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, position_bias: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D) with mask (B, T), and with `position_bias` as in `SelfAttention`, to (B, T, D)."""
        attention = SelfAttention(self.num_heads, self.key_bias, self.lora_rank, name="attention")
        x = x + attention(nn.LayerNorm(EPSILON, name="attention_norm")(x), mask, position_bias)
        return x + _feed_forward(nn.LayerNorm(EPSILON, name="feed_forward_norm")(x), self.num_hidden)


class PostNormBlock(nn.Module):
    """A transformer block with layer norms behind the sums of attention and feed-forward layer; parameters as those of `PreNormBlock`.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.1; Xiong et al. 2020, arXiv 2002.04745, figure 1 (a).

    Attributes:
      num_heads, num_hidden, key_bias, lora_rank: see `PreNormBlock`.
    """

    num_heads: int
    num_hidden: int
    key_bias: bool = True
    lora_rank: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, position_bias: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D) with mask (B, T), and with `position_bias` as in `SelfAttention`, to (B, T, D)."""
        attention = SelfAttention(self.num_heads, self.key_bias, self.lora_rank, name="attention")
        x = nn.LayerNorm(EPSILON, name="attention_norm")(x + attention(x, mask, position_bias))
        return nn.LayerNorm(EPSILON, name="feed_forward_norm")(x + _feed_forward(x, self.num_hidden))


def _feed_forward(x: jax.Array, num_hidden: int) -> jax.Array:
    """Map x (B, T, D) over `num_hidden` units with GELU to (B, T, D), by layers of the module that is being called."""
    hidden = jax.nn.gelu(nn.Dense(num_hidden, name="expand")(x), approximate=False)
    return nn.Dense(x.shape[-1], name="contract")(hidden)


def zero_masked(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return x (B, T, D) with zeros where mask (B, T) is False."""
    return jnp.where(mask[..., None], x, 0)
