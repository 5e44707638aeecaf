"""Low-rank matrices beside the projections of attention."""

from __future__ import annotations

import jax
import numpy as np

from avemo_jax.models.transformer import SelfAttention

X, MASK = np.random.default_rng(0).normal(size=(1, 3, 8)).astype(np.float32), np.ones((1, 3), bool)


def test_lora_changes_nothing_as_initialised_then_what_it_says():
    plain, adapted = SelfAttention(2), SelfAttention(2, lora_rank=3)
    variables = jax.jit(adapted.init)(jax.random.key(0), X, MASK)
    own = {name: leaves for name, leaves in variables["params"].items() if not name.endswith("_lora")}
    shapes = jax.eval_shape(plain.init, jax.random.key(0), X, MASK)["params"]
    assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, shapes)
    expected = jax.jit(plain.apply)({"params": own}, X, MASK)
    np.testing.assert_allclose(jax.jit(adapted.apply)(variables, X, MASK), expected, atol=1e-6)

    up = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    changed = {**variables["params"], "value_lora": {**variables["params"]["value_lora"], "up": {"kernel": up}}}
    kernel = own["value"]["kernel"] + np.asarray(changed["value_lora"]["down"]["kernel"]) @ up
    merged = {**own, "value": {**own["value"], "kernel": kernel}}
    found = jax.jit(adapted.apply)({"params": changed}, X, MASK)
    np.testing.assert_allclose(found, jax.jit(plain.apply)({"params": merged}, X, MASK), atol=1e-5)
    assert np.abs(found - expected).max() > 0.1
