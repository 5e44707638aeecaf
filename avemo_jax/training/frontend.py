"""From a view to the network's input: cepstra of log-mel frames where the stream has `num_cepstra`, then standardisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.training.dimensions import RATING
from avemo_jax.training.scaler import standardize
from avemo_jax.training.state import StreamRecipe


def cepstra(values: jax.Array, num_cepstra: int) -> jax.Array:
    """Return the first coefficients of the orthonormal DCT-II of log-mel frames: (..., M) -> (..., num_cepstra) float32.

    It is computed inside the step, so that augmentation can act on mel bands. Source: Davis and Mermelstein 1980, eq. 1.

    Raises:
      ValueError: more coefficients than bands.
    """
    num_bands = values.shape[-1]
    if num_cepstra > num_bands:
        raise ValueError(f"num_cepstra={num_cepstra}, but the view has only {num_bands} bands; set it to at most {num_bands}")
    angle = np.pi * np.arange(num_cepstra)[None, :] * (2 * np.arange(num_bands)[:, None] + 1) / (2 * num_bands)
    scale = np.where(np.arange(num_cepstra) == 0, np.sqrt(1 / num_bands), np.sqrt(2 / num_bands))
    return values @ jnp.asarray(np.cos(angle) * scale, jnp.float32)


def features(streams: Sequence[StreamRecipe], batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch, or the resident set, with cepstra in place of the log-mel frames of the streams with `num_cepstra`."""
    return dict(batch) | {one.name: cepstra(batch[one.name], one.num_cepstra) for one in streams if one.num_cepstra}


def scaled(batch: Mapping[str, jax.Array], scaler: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Return a batch with those streams standardised that have a scaler."""
    return dict(batch) | {name: standardize(batch[name], batch[f"{name}_mask"], scaler[name]) for name in scaler if name != RATING}


def network_input(streams: Sequence[StreamRecipe], scaler: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's input, outside training, for a batch of views: standardised features."""
    return scaled(features(streams, batch), scaler)
