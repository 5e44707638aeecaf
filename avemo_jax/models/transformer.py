"""Transformer blocks: self-attention over steps and a feed-forward layer, each with a residual connection."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-5  # of the layer norms, as torch has it


class SelfAttention(nn.Module):
    """Multi-head self-attention; steps that are masked are not attended to.

    Parameters: `query`, `key`, `value`, `out` with kernel (D, D) and bias (D,); `key` has no bias unless `key_bias`.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.

    Attributes:
      num_heads: heads, which share D equally.
      key_bias: whether the projection to keys has a bias. It adds the same number to all scores of a query and so changes nothing but
        rounding; published weights have it or not.
    """

    num_heads: int
    key_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, source: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D) with mask (B, T), True where a step is real, to (B, T, D); results at masked steps have no meaning.

        Args:
          source: (B, S, D), what is attended to in place of x (cross-attention); `mask` is then (B, S).
        """
        source = x if source is None else source
        width = x.shape[-1]
        if width % self.num_heads:
            raise ValueError(f"expected a width that {self.num_heads} heads share equally, got {width}")
        query, key, value = (
            nn.Dense(width, use_bias=has_bias, name=name)(own).reshape(*own.shape[:2], self.num_heads, -1)
            for name, own, has_bias in (("query", x, True), ("key", source, self.key_bias), ("value", source, True))
        )
        attended = jax.nn.dot_product_attention(query, key, value, mask=mask[:, None, None, :])
        return nn.Dense(width, name="out")(attended.reshape(x.shape))


class PreNormBlock(nn.Module):
    """A transformer block with layer norms in front of attention and feed-forward layer.

    Parameters: `attention_norm`, `feed_forward_norm` and with a source `source_norm`, with scale and bias (D,); `attention`
    (`SelfAttention`); `expand` with kernel (D, H), `contract` with kernel (H, D), and their biases.

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv 2002.04745, figure 1 (b).

    Attributes:
      num_heads, key_bias: of the attention.
      num_hidden: units H of the feed-forward layer, with GELU.
    """

    num_heads: int
    num_hidden: int
    key_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, source: jax.Array | None = None) -> jax.Array:
        """Map x (B, T, D) with mask (B, T) to (B, T, D); with a source (B, S, D) and its mask (B, S), attend to it in place of x."""
        attention = SelfAttention(self.num_heads, self.key_bias, name="attention")
        norm = nn.LayerNorm(EPSILON, name="attention_norm")
        x = x + attention(norm(x), mask, None if source is None else nn.LayerNorm(EPSILON, name="source_norm")(source))
        hidden = nn.Dense(self.num_hidden, name="expand")(nn.LayerNorm(EPSILON, name="feed_forward_norm")(x))
        return x + nn.Dense(x.shape[-1], name="contract")(jax.nn.gelu(hidden, approximate=False))


def zero_masked(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Return x (B, T, D) with zeros where mask (B, T) is False."""
    return jnp.where(mask[..., None], x, 0)
