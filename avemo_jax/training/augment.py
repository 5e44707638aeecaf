"""Augmentation of feature sequences inside the training step: pure functions of padded arrays, their mask and a key."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly an audio feature sequence (B, T, D), already standardised, is disturbed; zeros leave it alone.

    Attributes:
      noise_deviation: deviation of Gaussian noise added to every value, in units of the feature's own deviation.
      shift_deviation: deviation of one random offset per clip and feature, which mimics another voice or microphone.
      num_time_masks, max_time_mask: SpecAugment's time masks: how many, and the longest as a share of the clip.
      num_feature_masks, max_feature_mask: SpecAugment's feature masks: how many, and the widest as a share of the features.

    Source: Park et al. 2019, SpecAugment, section 2 (masks).
    """

    noise_deviation: float = 0.0
    shift_deviation: float = 0.0
    num_time_masks: int = 0
    max_time_mask: float = 0.1
    num_feature_masks: int = 0
    max_feature_mask: float = 0.1


def augment(values: jax.Array, mask: jax.Array, key: jax.Array, settings: Augmentation) -> jax.Array:
    """Return disturbed values (B, T, D) float32 of the same shape; padded steps stay zero. Other ranks come back as they are."""
    if values.ndim != 3:
        return values
    batch, _, num_features = values.shape
    noise_key, shift_key, time_key, feature_key = jax.random.split(key, 4)
    if settings.noise_deviation:
        values = values + settings.noise_deviation * jax.random.normal(noise_key, values.shape)
    if settings.shift_deviation:
        values = values + settings.shift_deviation * jax.random.normal(shift_key, (batch, 1, num_features))
    length = mask.sum(axis=1, keepdims=True)
    for index in range(settings.num_time_masks):
        hidden = _span(jax.random.fold_in(time_key, index), values.shape[:2], length, settings.max_time_mask)
        values = jnp.where(hidden[:, :, None], 0.0, values)
    for index in range(settings.num_feature_masks):
        every = jnp.full((batch, 1), num_features)
        hidden = _span(jax.random.fold_in(feature_key, index), (batch, num_features), every, settings.max_feature_mask)
        values = jnp.where(hidden[:, None, :], 0.0, values)
    return jnp.where(mask[:, :, None], values, 0.0)


def _span(key: jax.Array, shape: tuple[int, int], length: jax.Array, largest: float) -> jax.Array:
    """One random run of True a row, of at most `largest` of the row's length."""
    width_key, start_key = jax.random.split(key)
    width = jax.random.uniform(width_key, (shape[0], 1)) * largest * length
    start = jax.random.uniform(start_key, (shape[0], 1)) * (length - width)
    position = jnp.arange(shape[1])[None, :]
    return (position >= start) & (position < start + width)


def mixup(batch: dict[str, jax.Array], target: jax.Array, alpha: jax.Array, key: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
    """Blend every example with another of the batch, inputs and targets (B, K) alike; `alpha` 0 leaves both as they are.

    Source: Zhang et al. 2018, mixup, eq. 1. Differs: a step counts as real where either of the two clips has one.
    """
    share_key, order_key = jax.random.split(key)
    share = jax.random.beta(share_key, jnp.maximum(alpha, 1e-3), jnp.maximum(alpha, 1e-3))
    share = jnp.where(alpha > 0, jnp.maximum(share, 1 - share), 1.0)
    partner = jax.random.permutation(order_key, target.shape[0])
    # A padding example (mask False) must not leak into a real one.
    partner = jnp.where(batch["mask"][partner], partner, jnp.arange(target.shape[0]))
    mixed = dict(batch)
    for name in ("audio", "video"):
        if name in batch:
            values = batch[name].astype(jnp.float32)
            mixed[name] = share * values + (1 - share) * values[partner]
            steps = batch[f"{name}_mask"]
            mixed[f"{name}_mask"] = steps | (steps[partner] & (share < 1))
    return mixed, share * target + (1 - share) * target[partner]
