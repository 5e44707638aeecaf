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

    Padded steps are zero before every convolution, like the border of a picture, so that the padding of a batch has no effect.

    Source: thesis of system A, sections 2.1.4 (sound) and 3.1 (picture: ReLU and ELU in alternate layers), figures 2.2 and 3.1.3. Choice:
    the text states neither the size nor the number of kernels; the size here is 3 x 3, the number a config field.

    Attributes:
      channels: number of channels of each layer.
      alternate_elu: whether the second, fourth, ... layer has ELU; all others have ReLU.
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
            # Odd lengths are padded, so that max-pooling does not drop the last real step or feature. The padding is below -1, the least
            # value of the activations, so that it is never the maximum.
            odd = ((0, 0), (0, picture.shape[1] % 2), (0, picture.shape[2] % 2), (0, 0))
            picture = jnp.where(mask[:, :, None, None], picture, -2)
            picture = max_pool_2x2(jnp.pad(picture, odd, constant_values=-2))
            mask = jnp.any(jnp.pad(mask, odd[:2]).reshape(mask.shape[0], -1, 2), axis=-1)
        steps = jnp.where(mask[..., None], picture.reshape(*picture.shape[:2], -1), 0)
        return steps, masked_mean(steps, mask), mask
