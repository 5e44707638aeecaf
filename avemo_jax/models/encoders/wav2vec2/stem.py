"""The convolutional stem of the speech transformers that hear the waveform: 400 samples to one vector, every 320 samples."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.transformer import gelu

KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # in samples, then in steps of the convolution before
SEEN_SAMPLES, HOP_SAMPLES = 400, 320  # of a step: what follows from them
NORMS = ("group", "layer")
_EPSILON = 1e-5
_LEAST_VARIANCE = 1e-7  # of a segment, as the published feature extractors have it


class Stem(nn.Module):
    """Seven convolutions over samples, with GELU.

    Parameters: `conv1` ... `conv7` with kernel (width, C, C), (10, 1, C) for the first, and bias (C,) where `has_bias`; `norm1` ("group")
    or `norm1` ... `norm7` ("layer") with scale and bias (C,).

    Source: Baevski et al. 2020, wav2vec 2.0, arXiv 2006.11477, section 4.2.

    Attributes:
      channels: C.
      norm: "group", behind the first convolution: of each channel over the real steps of its clip; or "layer", behind each convolution: of
        each step over the channels.
      has_bias: whether the convolutions have a bias.

    Raises:
      ValueError: another norm.
    """

    channels: int
    norm: str
    has_bias: bool

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map samples (B, S) with mask (B, S), real samples first, to (B, T', C) and its mask (B, T').

        A step is real where all samples that it sees are; real steps depend on real samples alone.
        """
        if self.norm not in NORMS:
            raise ValueError(f"expected a norm of the stem among {NORMS}, got {self.norm!r}")
        x = values[..., None]
        for number, (width, stride) in enumerate(zip(KERNELS, STRIDES, strict=True), start=1):
            x = nn.Conv(self.channels, (width,), stride, padding="VALID", use_bias=self.has_bias, name=f"conv{number}")(x)
            mask = mask[:, width - 1 :: stride]
            if self.norm == "layer":
                x = nn.LayerNorm(_EPSILON, name=f"norm{number}")(x)
            elif number == 1:
                x = ChannelNorm(name="norm1")(x, mask)
            x = gelu(x)
        return x, mask


class ChannelNorm(nn.Module):
    """Norm of each channel of each clip over its real steps: a group norm with one channel a group.

    Parameters: `scale` and `bias` (C,).

    Source: Wu and He 2018, Group Normalization, arXiv 1803.08494, section 3.1. Differs: masked steps have no part in the statistics.
    """

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Map x (B, T, C) with mask (B, T) to (B, T, C)."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        mean, variance = _moments(x, mask[..., None])
        return (x - mean) * (jax.lax.rsqrt(variance + _EPSILON) * scale) + bias


def standardized(values: jax.Array, mask: jax.Array, least_variance: float = _LEAST_VARIANCE) -> jax.Array:
    """Return samples (B, S) with zero mean and unit variance over the real ones of each row, and zeros where mask (B, S) is False."""
    mean, variance = _moments(values, mask)
    return jnp.where(mask, (values - mean) * jax.lax.rsqrt(variance + least_variance), 0)


def _moments(x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return mean and variance of x (B, T, ...) over the steps of each row at which the mask, which broadcasts to x, is True."""
    count = jnp.maximum(mask.sum(axis=1, keepdims=True), 1)
    mean = jnp.where(mask, x, 0).sum(axis=1, keepdims=True) / count
    variance = jnp.where(mask, jnp.square(x - mean), 0).sum(axis=1, keepdims=True) / count
    return mean, variance
