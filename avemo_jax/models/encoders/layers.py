"""Layers of transformers: their names, and those that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp


def layer_names(num_layers: int) -> tuple[str, ...]:
    """Return the names of the layers, as `hidden_states` of the transformers library has them in order.

    "layer0" is what the first block takes, "layer<n>" what the nth block gives.
    """
    return tuple(f"layer{number}" for number in range(num_layers + 1))


def check_layers(asked: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise ValueError for names that are asked for and not known; `what` says in the message what they name."""
    if wrong := [name for name in asked if name not in known]:
        raise ValueError(f"expected {what} among {known}, got {', '.join(wrong)}")


def take_layers(found: Mapping[str, jax.Array], layers: Sequence[str], end_point: str) -> jax.Array:
    """Return the features (..., D) of the end point, or those of several layers side by side, (..., L, D)."""
    return jnp.stack([found[name] for name in layers], axis=-2) if layers else found[end_point]
