"""Variables of a network without running its initialisers, which would compile a program for each."""

import jax
import numpy as np


def filled_variables(module, *args, deviation: float = 0.4, **kwargs):
    """Variables of a Flax module by shape alone, filled with seeded numbers: none is zero, and variances are over one."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: module.init(key, *args, **kwargs), jax.random.key(0))

    def fill(path, leaf):
        values = rng.normal(size=leaf.shape, scale=deviation).astype(np.float32)
        return np.abs(values) + 1 if path[-1].key in ("scale", "var") else values

    return jax.tree_util.tree_map_with_path(fill, shapes)
