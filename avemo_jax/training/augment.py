"""Augmentation of features and pictures inside the training step: pure functions of padded arrays, their mask and a random key."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from avemo_jax.config import Augmentation

# Offset of the warp in bands for each unit of `max_warp`: as far as the factor moves band 20.
_WARP_OFFSET_BANDS = 20.0


def disturb_view(values: jax.Array, mask: jax.Array, key: jax.Array, settings: Augmentation) -> tuple[jax.Array, jax.Array]:
    """Return an augmented view, before standardisation: tempo and vocal tract of sequences, position and size of pictures.

    Args:
      values: (B, T, D) or (B, T, ..., H, W, C), the values of the view; patches (B, T, F, M) are returned unchanged.
      mask: (B, T) bool, real steps first.

    Returns:
      Values and mask of the same shapes; a clip that would become longer than T steps is cut.
    """
    if values.ndim >= 5:
        return _disturb_pictures(values, key, settings), mask
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


def _disturb_pictures(values: jax.Array, key: jax.Array, settings: Augmentation) -> jax.Array:
    """Return pictures (B, T, ..., H, W, C) rotated, zoomed, shifted and mirrored, all of one example alike, in the same dtype."""
    if settings.flip_vertically:
        is_turned = jax.random.bernoulli(jax.random.fold_in(key, 4), shape=values.shape[:1])
        values = jnp.where(is_turned.reshape(-1, *(1,) * (values.ndim - 1)), jnp.flip(values, axis=-3), values)
    if not (settings.max_rotate_deg or settings.max_zoom or settings.max_shift or settings.flip):
        return values
    batch, keys = values.shape[0], jax.random.split(key, 4)
    angle = jnp.deg2rad(settings.max_rotate_deg) * jax.random.uniform(keys[0], (batch,), minval=-1)
    bound = jnp.log1p(settings.max_zoom)
    zoom = jnp.exp(jax.random.uniform(keys[1], (batch,), minval=-bound, maxval=bound))
    shift = settings.max_shift * jax.random.uniform(keys[2], (2, batch), minval=-1)
    mirror = jnp.where(settings.flip & jax.random.bernoulli(keys[3], shape=(batch,)), -1.0, 1.0)

    disturbed = jax.vmap(move_pictures)(values.astype(jnp.float32), angle, zoom, shift.T, mirror)
    return jnp.round(disturbed).astype(values.dtype) if jnp.issubdtype(values.dtype, jnp.integer) else disturbed.astype(values.dtype)


def move_pictures(pictures: jax.Array, angle: jax.Array, zoom: jax.Array, shift: jax.Array, mirror: jax.Array) -> jax.Array:
    """Return pictures (..., H, W, C) enlarged, rotated clockwise by radians, mirrored (-1) or not (1), moved down and right by `shift`."""
    height, width = pictures.shape[-3:-1]
    rows, columns = jnp.meshgrid(jnp.arange(height) - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2, indexing="ij")
    rows, columns = rows - shift[0] * height, (columns - shift[1] * width) * mirror
    turned = (jnp.cos(angle) * rows - jnp.sin(angle) * columns, jnp.sin(angle) * rows + jnp.cos(angle) * columns)
    row = jnp.clip(turned[0] / zoom + (height - 1) / 2, 0, height - 1)
    column = jnp.clip(turned[1] / zoom + (width - 1) / 2, 0, width - 1)
    return _read_pixels(pictures, row, column)


def _read_pixels(pictures: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """Return pictures (..., H, W, C) sampled at fractional positions (H, W) by bilinear interpolation."""
    top, left = jnp.floor(row).astype(jnp.int32), jnp.floor(column).astype(jnp.int32)
    below, right = jnp.minimum(top + 1, pictures.shape[-3] - 1), jnp.minimum(left + 1, pictures.shape[-2] - 1)
    down, across = (row - top)[..., None], (column - left)[..., None]
    upper = pictures[..., top, left, :] * (1 - across) + pictures[..., top, right, :] * across
    lower = pictures[..., below, left, :] * (1 - across) + pictures[..., below, right, :] * across
    return upper * (1 - down) + lower * down


def _read_rows(rows: jax.Array, position: jax.Array) -> jax.Array:
    """Return rows (T, D) sampled at fractional positions (N,) by linear interpolation, (N, D)."""
    low = jnp.floor(position).astype(jnp.int32)
    share = (position - low)[:, None]
    return rows[low] * (1 - share) + rows[jnp.minimum(low + 1, rows.shape[0] - 1)] * share


def disturb_features(values: jax.Array, mask: jax.Array, key: jax.Array, settings: Augmentation) -> jax.Array:
    """Return augmented input features of the network: noise, offsets, masks; padded steps stay zero.

    Sequences (B, T, D) are masked over steps and features, patches (B, T, F, M) over the frames and bands of each patch. Pictures are
    returned unchanged.
    """
    if values.ndim == 4:
        flat = values.reshape(-1, *values.shape[2:])
        frames = jnp.broadcast_to(mask.reshape(-1, 1), flat.shape[:2])
        return disturb_features(flat, frames, key, settings).reshape(values.shape)
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
    """Return one random run of True in each row, of at most the share `largest` of the row's length."""
    width_key, start_key = jax.random.split(key)
    width = jax.random.uniform(width_key, (shape[0], 1)) * largest * length
    start = jax.random.uniform(start_key, (shape[0], 1)) * (length - width)
    position = jnp.arange(shape[1])[None, :]
    return (position >= start) & (position < start + width)


def mixup(
    batch: dict[str, jax.Array], target: jax.Array, alpha: jax.Array, key: jax.Array, streams: Sequence[str]
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return the batch and its targets (B, K), each example blended with another one in all `streams`; unchanged where `alpha` is 0.

    Source: Zhang et al. 2018, mixup, eq. 1. Differs: a step counts as real where either of the two clips has one. Integers are rounded and
    stay integers, because networks rescale 8-bit pictures but not floats.
    """
    share_key, order_key = jax.random.split(key)
    share = jax.random.beta(share_key, jnp.maximum(alpha, 1e-3), jnp.maximum(alpha, 1e-3))
    share = jnp.where(alpha > 0, jnp.maximum(share, 1 - share), 1.0)
    partner = jax.random.permutation(order_key, target.shape[0])
    # A padding example (mask False) must not be blended into a real one.
    partner = jnp.where(batch["mask"][partner], partner, jnp.arange(target.shape[0]))
    mixed = dict(batch)
    for name in streams:
        values = batch[name].astype(jnp.float32)
        blend = share * values + (1 - share) * values[partner]
        is_whole = jnp.issubdtype(batch[name].dtype, jnp.integer)
        mixed[name] = (jnp.round(blend) if is_whole else blend).astype(batch[name].dtype)
        steps = batch[f"{name}_mask"]
        mixed[f"{name}_mask"] = steps | (steps[partner] & (share < 1))
    return mixed, share * target + (1 - share) * target[partner]


def drop_streams(batch: dict[str, jax.Array], rate: jax.Array, key: jax.Array, streams: Sequence[str]) -> dict[str, jax.Array]:
    """Return the batch with streams left out at random: as of a stream that a clip lacks, no step of theirs is real.

    Each stream of an example is left out with probability `rate`, independently of the others. Where all that the example has would be left
    out, one of these stays, each with the same probability.

    Source: Neverova et al. 2016, ModDrop: adaptive multi-modal gesture recognition, arXiv 1501.00102. Differs: an example never loses all.
    """
    present = jnp.stack([batch[f"{name}_mask"].any(axis=1) for name in streams], axis=1)
    draw = jax.random.uniform(key, present.shape)
    # The stream with the largest draw stays: where that draw is below the rate, so are those of all other streams.
    last = draw == jnp.where(present, draw, -1.0).max(axis=1, keepdims=True)
    kept = present & ((draw >= rate) | last)
    return dict(batch) | {f"{name}_mask": batch[f"{name}_mask"] & kept[:, i, None] for i, name in enumerate(streams)}
