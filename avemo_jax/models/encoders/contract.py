"""What every encoder is given and returns, frozen or inside a network: values and mask of segments in, features and their mask out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.encoders.spec import EncoderSpec, feature_axes


class Encoded(NamedTuple):
    """Features of a batch of segments; their times are `Encoder.feature_times` of the times of the view's steps.

    Attributes:
      features: (B, T', ..., D) float32, (B, T', L, D) where several layers are asked for; zero where the mask is False (encoders of
        sequences) or arbitrary there (encoders of steps).
      mask: (B, T') bool, True where a step of the features is real.
    """

    features: jax.Array
    mask: jax.Array


def encode(apply: Callable[..., Any], spec: EncoderSpec, values: jax.Array, mask: jax.Array) -> Encoded:
    """Encode segments by an encoder of either kind.

    Args:
      apply: the encoder's module, or its `apply` with variables bound.
      spec: the encoder.
      values: (B, T, ...) steps of the view.
      mask: (B, T) bool, True where a step is real; T' = T for encoders of steps.
    """
    if not spec.record.takes_sequences:
        return Encoded(encode_steps(apply, spec, values, num_leading=2), mask)
    real = mask.reshape(*mask.shape, *(1,) * (values.ndim - 2))
    features, mask = apply(jnp.where(real, values, 0), mask)
    features = features.reshape(*mask.shape, *feature_axes(spec, features.shape[2:])).astype(jnp.float32)
    return Encoded(jnp.where(mask.reshape(*mask.shape, *(1,) * (features.ndim - 2)), features, 0), mask)


def encode_steps(apply: Callable[[jax.Array], jax.Array], spec: EncoderSpec, x: jax.Array, *, num_leading: int) -> jax.Array:
    """Encode by an encoder of steps an array whose first `num_leading` axes, and those in front of the encoder's own, are examples.

    Returns:
      (..., D) float32, or (..., L, D) where several layers are asked for.
    """
    split = max(num_leading, x.ndim - spec.record.input_rank)
    features = apply(x.reshape(-1, *x.shape[split:]))
    return features.reshape(*x.shape[:split], *feature_axes(spec, features.shape[1:])).astype(jnp.float32)


def share_over_steps(weights: jax.Array, mask: jax.Array, spec: EncoderSpec, stride: int = 1) -> jax.Array:
    """Share the weights of an encoder's features equally among the real steps of the view that are nearest to each in time.

    Args:
      weights: (B, T') of groups of `stride` features; the weight of a group without a real step is dropped.
      mask: (B, T) bool, True where a step of the view is real.
      spec: the encoder.
      stride: features that later layers have joined to one.

    Returns:
      (B, T), zero where the mask is False.
    """
    positions = np.arange(mask.shape[1], dtype=np.float32)
    times = spec.record.feature_times(positions)
    nearest = np.searchsorted((times[1:] + times[:-1]) / 2, positions) // stride  # a waveform is too long for a table of all distances
    counts = jnp.zeros_like(weights).at[:, nearest].add(mask)
    return jnp.where(mask, (weights / jnp.maximum(counts, 1))[:, nearest], 0)
