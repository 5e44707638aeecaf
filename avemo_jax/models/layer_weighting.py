"""A learned mean over the layers of an encoder."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class LayerWeighting(nn.Module):
    """The mean over an axis of layers with learned weights that sum to one; initially all layers have equal weights.

    Parameter `logits` (L,), initially zeros; the weights are their softmax.

    Source: Yang et al. 2021, SUPERB: Speech processing Universal PERformance Benchmark, arXiv 2105.01051, the weighted sum of layers.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map x (B, T, L, D) to (B, T, D).

        Raises:
          ValueError: x has no axis of layers.
        """
        if x.ndim != 4:
            raise ValueError(
                f"layers='weighted' expects features of several layers, (B, T, L, D), got {x.shape}; set encoders.<name>.layers to several "
                "layers or 'all', or streams.<name>.layers=concatenated"
            )
        weights = nn.softmax(self.param("logits", nn.initializers.zeros, (x.shape[2],)))
        return jnp.einsum("btld,l->btd", x, weights)
