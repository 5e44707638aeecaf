"""Fusion "bottleneck": a transformer over the steps of each stream, which share a few tokens and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.sinusoids import with_positions
from avemo_jax.models.transformer import PreNormBlock


class BottleneckFusion(nn.Module):
    """Attention bottlenecks: in each layer a stream attends to itself and to the bottleneck tokens, whose new values are averaged.

    Each stream has its own weights and a class token. The vector is the mean of the class tokens of the streams that a clip has, so a
    linear head gives the mean of the streams' logits, as published. A stream that a clip lacks takes part in no mean.

    Source: Nagrani et al. 2021, Attention bottlenecks for multimodal fusion, arXiv 2107.00135, section 3.2, equations 8 and 9, and section
    3.3. Differs: the tokens are the steps of the branches, and all layers fuse, since the layers of a branch are those before the fusion.

    Attributes:
      names: of the streams, in the order of their values.
      width: of all tokens.
      num_layers: of the transformer.
      num_heads: of each attention.
      num_bottlenecks: bottleneck tokens.
    """

    names: tuple[str, ...]
    width: int
    num_layers: int
    num_heads: int
    num_bottlenecks: int

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, None]:
        """Join steps (B, T_i, D_i) with masks (B, T_i) bool into (B, width); examples and train are unused."""
        streams = [_Stream(self.width, self.num_layers, self.num_heads, name=name) for name in self.names]
        tokens = [stream.tokens(x) for stream, x in zip(streams, values, strict=True)]
        present = jnp.stack([mask.any(axis=-1) for mask in masks])
        shares = (present / jnp.maximum(present.sum(axis=0), 1)).astype(tokens[0].dtype)
        learned = self.param("bottleneck", nn.initializers.normal(0.02), (self.num_bottlenecks, self.width))
        shared = jnp.broadcast_to(learned, (len(examples), *learned.shape))
        for index in range(self.num_layers):
            found = [stream.layer(index, own, shared, mask) for stream, own, mask in zip(streams, tokens, masks, strict=True)]
            tokens = [own for own, _ in found]
            shared = jnp.einsum("nb,nbtd->btd", shares, jnp.stack([one for _, one in found]))
        classes = jnp.stack([stream.class_token(own) for stream, own in zip(streams, tokens, strict=True)])
        return jnp.einsum("nb,nbd->bd", shares, classes), None


class _Stream(nn.Module):
    """The layers of one stream; its first token is the class token."""

    width: int
    num_layers: int
    num_heads: int

    def setup(self):
        self.project = nn.Dense(self.width)
        self.start = self.param("class_token", nn.initializers.normal(0.02), (self.width,))
        self.blocks = [PreNormBlock(self.num_heads, 4 * self.width, key_bias=False) for _ in range(self.num_layers)]
        self.norm = nn.LayerNorm()

    def tokens(self, x: jax.Array) -> jax.Array:
        start = jnp.broadcast_to(self.start, (x.shape[0], 1, self.width))
        return jnp.concatenate([start, with_positions(self.project(x))], axis=1)

    def layer(self, index: int, tokens: jax.Array, shared: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return tokens (B, 1 + T, D) and bottleneck tokens (B, N, D) after a layer over both."""
        num_own, num_shared = tokens.shape[1], shared.shape[1]
        real = jnp.concatenate([jnp.ones((mask.shape[0], 1), bool), mask, jnp.ones((mask.shape[0], num_shared), bool)], axis=1)
        found = self.blocks[index](jnp.concatenate([tokens, shared], axis=1), real)
        return found[:, :num_own], found[:, num_own:]

    def class_token(self, tokens: jax.Array) -> jax.Array:
        return self.norm(tokens[:, 0])
