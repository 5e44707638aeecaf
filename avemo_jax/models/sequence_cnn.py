"""Convolutions over a sequence of feature vectors as a picture of time x features."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.attention import masked_mean
from avemo_jax.models.cnn import ProductConv, max_pool_2x2


class SequenceCNN(nn.Module):
    """2-D convolutions, each followed by an activation and 2 x 2 max-pooling, over the picture (T, D) of a clip's features.

    Padded steps are zero before every convolution, as the border of a picture is, so that how far a batch is padded changes nothing.

    Source: thesis of system A, sections 2.1.4 (sound) and 3.1 (picture: ReLU and ELU in alternate layers), figures 2.2 and 3.1.3. Choice:
    the text says nothing of the size of kernels or of how many there are: 3 x 3 and a field.

    Attributes:
      channels: of the convolutions, one a layer.
      alternate_elu: the second, fourth, ... layer has ELU; else all have ReLU.
    """

    channels: Sequence[int]
    alternate_elu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map x (B, T, D) with mask (B, T) bool to steps (B, T', D' C'), their mean (B, D' C') and their mask (B, T').

        T' is T and D' is D halved once a layer, rounded up.
        """
        picture = x[..., None]
        for index, num_channels in enumerate(self.channels):
            picture = jnp.where(mask[:, :, None, None], picture, 0)
            picture = ProductConv(num_channels, name=f"conv{index}")(picture)
            picture = nn.elu(picture) if self.alternate_elu and index % 2 else nn.relu(picture)
            # An odd end is padded, so that the last real step and the last feature are not lost. The activations are at
            # least -1 and what is padded must never win, so it is lower still.
            odd = ((0, 0), (0, picture.shape[1] % 2), (0, picture.shape[2] % 2), (0, 0))
            picture = jnp.where(mask[:, :, None, None], picture, -2)
            picture = max_pool_2x2(jnp.pad(picture, odd, constant_values=-2))
            mask = jnp.any(jnp.pad(mask, odd[:2]).reshape(len(mask), -1, 2), axis=-1)
        steps = jnp.where(mask[..., None], picture.reshape(*picture.shape[:2], -1), 0)
        return steps, masked_mean(steps, mask), mask
