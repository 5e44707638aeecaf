"""From a view to what the network is given: cepstra where they are taken inside the step, then standardisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.training.scaler import standardize


def cepstra(values: jax.Array, num_cepstra: int) -> jax.Array:
    """First coefficients of the orthonormal DCT-II of log-mel frames: (..., M) -> (..., num_cepstra) float32.

    Taken inside the step so that augmentation can act on mel bands. Source: Davis and Mermelstein 1980, eq. 1.

    Raises:
      ValueError: more coefficients than bands.
    """
    num_bands = values.shape[-1]
    if num_cepstra > num_bands:
        raise ValueError(f"model.num_cepstra={num_cepstra}, but the audio view has {num_bands} bands; ask for at most that many")
    angle = np.pi * np.arange(num_cepstra)[None, :] * (2 * np.arange(num_bands)[:, None] + 1) / (2 * num_bands)
    scale = np.where(np.arange(num_cepstra) == 0, np.sqrt(1 / num_bands), np.sqrt(2 / num_bands))
    return values @ jnp.asarray(np.cos(angle) * scale, jnp.float32)


def features(streams: Mapping[str, Any], num_cepstra: int) -> dict[str, Any]:
    """A batch, or the resident set, with cepstra in place of log-mel frames where `num_cepstra` asks for them."""
    if not num_cepstra or "audio" not in streams:
        return dict(streams)
    return dict(streams) | {"audio": cepstra(streams["audio"], num_cepstra)}


def scaled(batch: Mapping[str, jax.Array], scaler: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Standardise the streams of a batch that have a scaler."""
    return dict(batch) | {name: standardize(batch[name], batch[f"{name}_mask"], scaler[name]) for name in scaler}
