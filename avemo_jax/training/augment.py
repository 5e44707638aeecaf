"""Augmentation of feature sequences inside the training step: pure functions of padded arrays, their mask and a key."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly a feature sequence (B, T, D) of one stream is disturbed; zeros leave it alone.

    Attributes:
      max_stretch: largest change of tempo: the logarithm of the factor is uniform in [-max_stretch, max_stretch].
      max_warp: largest relative shift of the bands of a mel spectrum, which mimics another vocal tract; band k is read at
        k (1 + max_warp u) + 20 max_warp v with u, v uniform in [-1, 1]. Only for views whose features are mel bands.
      shift_deviation: deviation of one random offset per clip and feature, which mimics another voice or microphone, in units of the
        feature's own deviation.
      noise_deviation: deviation of Gaussian noise added to every value, in the same units.
      num_time_masks, max_time_mask: SpecAugment's time masks: how many, and the longest as a share of the clip.
      num_feature_masks, max_feature_mask: SpecAugment's feature masks: how many, and the widest as a share of the features.

    Source: Park et al. 2019, SpecAugment, section 2 (masks); Jaitly and Hinton 2013, Vocal tract length perturbation, section 3.
    Differs: the warp is linear over the whole band and has an offset.
    """

    max_stretch: float = 0.0
    max_warp: float = 0.0
    shift_deviation: float = 0.0
    noise_deviation: float = 0.0
    num_time_masks: int = 0
    max_time_mask: float = 0.1
    num_feature_masks: int = 0
    max_feature_mask: float = 0.1


# An offset of the warp in bands for each unit of `max_warp`: at the usual 64 bands as far as the factor moves band 20.
_WARP_OFFSET_BANDS = 20.0


def disturb_view(values: jax.Array, mask: jax.Array, key: jax.Array, settings: Augmentation) -> tuple[jax.Array, jax.Array]:
    """Disturb the view itself, before any statistics: tempo and vocal tract.

    Args:
      values: (B, T, D) as the view has them; other ranks come back as they are.
      mask: (B, T) bool, real steps first.

    Returns:
      values and mask of the same shapes; a clip that would grow past T steps is cut there.
    """
    if values.ndim != 3:
        return values, mask
    batch, num_steps, num_bands = values.shape
    stretch_key, warp_key = jax.random.split(key)
    if settings.max_stretch:
        bound = settings.max_stretch
        factor = jnp.exp(jax.random.uniform(stretch_key, (batch,), minval=-bound, maxval=bound))
        length = mask.sum(axis=1)
        stretched = jnp.clip(jnp.round(length / factor), jnp.minimum(length, 4), num_steps)
        scale = (length - 1) / jnp.maximum(stretched - 1, 1)
        position = jnp.clip(jnp.arange(num_steps) * scale[:, None], 0, jnp.maximum(length - 1, 0)[:, None])
        values = jax.vmap(_read_rows)(values, position)
        mask = jnp.arange(num_steps) < stretched[:, None]
    if settings.max_warp:
        factor, offset = jax.random.uniform(warp_key, (2, batch, 1), minval=-settings.max_warp, maxval=settings.max_warp)
        position = jnp.clip(jnp.arange(num_bands) * (1 + factor) + _WARP_OFFSET_BANDS * offset, 0, num_bands - 1)
        values = jax.vmap(lambda one, where: _read_rows(one.T, where).T)(values, position)
    return jnp.where(mask[:, :, None], values, 0.0), mask


def _read_rows(rows: jax.Array, position: jax.Array) -> jax.Array:
    """Rows (T, D) read at fractional positions (N,) by linear interpolation, (N, D)."""
    low = jnp.floor(position).astype(jnp.int32)
    share = (position - low)[:, None]
    return rows[low] * (1 - share) + rows[jnp.minimum(low + 1, rows.shape[0] - 1)] * share


def disturb_features(values: jax.Array, mask: jax.Array, key: jax.Array, settings: Augmentation) -> jax.Array:
    """Disturb standardised features (B, T, D): noise, offsets, masks; padded steps stay zero. Other ranks come back as they are."""
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
        hidden = _span(jax.random.fold_in(time_key, index), (batch, values.shape[1]), length, settings.max_time_mask)
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
