"""Shapes of a network without computing it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def shapes_of(module: nn.Module, *shape: int, dtype: Any = jnp.float32) -> tuple[Any, Any]:
    """Return the shapes of the outputs and of the variables for an input of this shape and type."""
    return jax.eval_shape(module.init_with_output, jax.random.key(0), jax.ShapeDtypeStruct(shape, dtype))


def num_params(variables: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
