"""Fusion "cross_modal": a transformer from each stream to each other one."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_mean
from avemo_jax.models.sinusoids import with_positions
from avemo_jax.models.transformer import PreNormBlock


class CrossModalFusion(nn.Module):
    """Cross-modal transformer: the steps of each stream attend to those of each other stream, then to themselves.

    For each pair of a target and a source stream, `num_layers` blocks start from the target's steps and attend to the source's. The mean of
    a target over the sources that a clip has goes through a block of self-attention and is averaged over its steps; the vector has one such
    part a stream. The part of a stream that a clip lacks is zero; a target without any source keeps its own steps.

    Source: Tsai et al. 2019, Multimodal transformer for unaligned multimodal language sequences, arXiv 1906.00295, sections 3.1 and 3.2.
    Differs: a target's sources are averaged where the paper concatenates them, so that a missing source equals one that does not exist; the
    mean over steps stands for the last step; the projection of steps is linear, since the context layers of the branches are before it.

    Attributes:
      names: of the streams, in the order of their values.
      width: of all steps.
      num_layers: blocks of each pair.
      num_heads: of each attention.
    """

    names: tuple[str, ...]
    width: int
    num_layers: int
    num_heads: int

    @nn.compact
    def __call__(
        self, values: Sequence[jax.Array], masks: Sequence[jax.Array], examples: jax.Array, *, train: bool
    ) -> tuple[jax.Array, None]:
        """Join steps (B, T_i, D_i) of N streams with masks (B, T_i) bool into (B, N width); examples and train are unused."""
        steps = [with_positions(nn.Dense(self.width, name=name)(x)) for name, x in zip(self.names, values, strict=True)]
        present = [mask.any(axis=-1) for mask in masks]
        parts = []
        for target, x in enumerate(steps):
            sources = [index for index in range(len(steps)) if index != target]
            has_source = jnp.stack([present[index] for index in sources])
            crossed = jnp.stack([self._cross(target, index, x, steps[index], masks[index]) for index in sources])
            shares = (has_source / jnp.maximum(has_source.sum(axis=0), 1)).astype(x.dtype)
            joined = jnp.where(has_source.any(axis=0)[:, None, None], jnp.einsum("nb,nbtd->btd", shares, crossed), x)
            block = PreNormBlock(self.num_heads, 4 * self.width, key_bias=False, name=f"{self.names[target]}_self")
            joined = nn.LayerNorm(name=f"{self.names[target]}_norm")(block(joined, masks[target]))
            parts.append(masked_mean(joined, masks[target]))
        return jnp.concatenate(parts, axis=-1), None

    def _cross(self, target: int, source: int, x: jax.Array, other: jax.Array, mask: jax.Array) -> jax.Array:
        """Return the target's steps (B, T, D) after the blocks that attend to the source's steps (B, S, D) with mask (B, S)."""
        for index in range(self.num_layers):
            name = f"{self.names[target]}_from_{self.names[source]}{index}"
            x = PreNormBlock(self.num_heads, 4 * self.width, key_bias=False, name=name)(x, mask, source=other)
        return x
