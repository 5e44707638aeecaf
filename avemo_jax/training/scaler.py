"""Standardisation of a stream with statistics of the training part alone."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def fit_scaler(values: jax.Array, mask: jax.Array, weight: jax.Array, *, by_step: bool = False) -> dict[str, jax.Array]:
    """Return the mean and deviation of each feature over the real steps of the weighted examples.

    The feature axis is the last one: MFCC coefficient, mel band, colour channel. Everything else is averaged over.

    Args:
      values: (N, T, ..., D), any numeric type.
      mask: (N, T) bool, True where a step is real.
      weight: (N,) float32, 1 for examples of the training part and 0 for all others, which then change no bit of the result.
      by_step: whether each step has its own statistics, for views with steps that are no points in time (coefficients in system C).

    Returns:
      {"mean": (D,), "deviation": (D,)} float32, or (T, D) by step; a feature that does not vary has deviation 1.
    """
    if by_step:
        # Each step is fitted as a sequence of one step.
        columns = [fit_scaler(values[:, t : t + 1], mask[:, t : t + 1], weight) for t in range(values.shape[1])]
        return jax.tree.map(lambda *rows: jnp.stack(rows), *columns)
    step_weight = weight[:, None] * mask
    total = jnp.maximum(step_weight.sum() * math.prod(values.shape[2:-1]), 1.0)

    def average(function):
        # A weight of zero must also remove infinite values, which a product with zero would turn into NaN.
        expanded = step_weight.reshape(step_weight.shape + (1,) * (values.ndim - 2))
        weighted = jnp.where(expanded > 0, function(values.astype(jnp.float32)), 0.0) * expanded
        return weighted.sum(axis=tuple(range(values.ndim - 1))) / total

    mean = average(lambda x: x)
    variance = average(lambda x: jnp.square(x - mean))
    return {"mean": mean, "deviation": deviation_of(variance)}


def deviation_of(variance: jax.Array) -> jax.Array:
    """Return the root of a variance; 1 for a feature that does not vary."""
    return jnp.where(variance > 1e-10, jnp.sqrt(variance), 1.0)


def standardize(values: jax.Array, mask: jax.Array, scaler: dict[str, jax.Array]) -> jax.Array:
    """Return (values - mean) / deviation as float32, zero at padded steps; statistics (D,), or (T', D) of the first T' steps."""
    mean, deviation = scaler["mean"], scaler["deviation"]
    if mean.ndim == 2:
        short = max(0, values.shape[1] - len(mean))
        mean = jnp.pad(mean, ((0, short), (0, 0)))[: values.shape[1]].reshape(values.shape[1], *(1,) * (values.ndim - 3), -1)
        deviation = jnp.pad(deviation, ((0, short), (0, 0)), constant_values=1)[: values.shape[1]].reshape(mean.shape)
    scaled = (values.astype(jnp.float32) - mean) / deviation
    return jnp.where(mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), scaled, 0.0)
