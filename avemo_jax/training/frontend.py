"""From a view to the network's input: cepstra where they are taken inside the step, then standardisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.training.scaler import standardize
from avemo_jax.training.state import StreamRecipe


def cepstra(values: jax.Array, num_cepstra: int) -> jax.Array:
    """First coefficients of the orthonormal DCT-II of log-mel frames: (..., M) -> (..., num_cepstra) float32.

    Taken inside the step so that augmentation can act on mel bands. Source: Davis and Mermelstein 1980, eq. 1.

    Raises:
      ValueError: more coefficients than bands.
    """
    num_bands = values.shape[-1]
    if num_cepstra > num_bands:
        raise ValueError(f"num_cepstra={num_cepstra} of a view of {num_bands} bands; set it to at most {num_bands}")
    angle = np.pi * np.arange(num_cepstra)[None, :] * (2 * np.arange(num_bands)[:, None] + 1) / (2 * num_bands)
    scale = np.where(np.arange(num_cepstra) == 0, np.sqrt(1 / num_bands), np.sqrt(2 / num_bands))
    return values @ jnp.asarray(np.cos(angle) * scale, jnp.float32)


def features(streams: Sequence[StreamRecipe], batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch, or the resident set, with cepstra in place of the log-mel frames of the streams with `num_cepstra`."""
    return dict(batch) | {one.name: cepstra(batch[one.name], one.num_cepstra) for one in streams if one.num_cepstra}


def scaled(batch: Mapping[str, jax.Array], scaler: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Standardise the streams of a batch that have a scaler."""
    return dict(batch) | {name: standardize(batch[name], batch[f"{name}_mask"], scaler[name]) for name in scaler}


def network_input(streams: Sequence[StreamRecipe], scaler: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of views as the network takes it outside training: features, standardised."""
    return scaled(features(streams, batch), scaler)
