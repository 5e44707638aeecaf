"""Attention in blocks of queries gives the numbers of JAX's own, with any mask and bias, and so do its gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from avemo_jax.models import dot_product

NUM_CLIPS, NUM_QUERIES, NUM_KEYS, NUM_HEADS, WIDTH = 2, 7, 5, 3, 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(dot_product, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(dot_product, "_BLOCK_BYTES", 4 * 3 * NUM_KEYS * NUM_HEADS)  # three queries: the last block is padded


def arrays():
    random = np.random.default_rng(0)
    query, key, value = (
        jnp.asarray(random.normal(size=(NUM_CLIPS, steps, NUM_HEADS, WIDTH)), jnp.float32) for steps in (NUM_QUERIES, NUM_KEYS, NUM_KEYS)
    )
    mask = jnp.asarray([[True, True, False, True, False], [False, True, True, True, True]])
    bias = jnp.asarray(random.normal(size=(1, NUM_HEADS, NUM_QUERIES, NUM_KEYS)), jnp.float32)
    return query, key, value, bias, mask


@pytest.mark.parametrize("has_mask", [False, True])
@pytest.mark.parametrize("bias_clips", [0, 1, NUM_CLIPS])
def test_equals_jax(has_mask, bias_clips):
    query, key, value, bias, mask = arrays()
    bias = jnp.repeat(bias, bias_clips, axis=0) * jnp.arange(1, bias_clips + 1)[:, None, None, None] if bias_clips else None
    mask = mask if has_mask else None
    wide = None if mask is None else mask[:, None, None, :]

    def ours(*inputs):
        return dot_product.attend(*inputs, bias, mask)

    def of_jax(*inputs):
        return jax.nn.dot_product_attention(*inputs, bias=bias, mask=wide)

    np.testing.assert_allclose(ours(query, key, value), of_jax(query, key, value), rtol=1e-5, atol=1e-6)
    gradients = [jax.grad(lambda *inputs, f=f: jnp.sum(jnp.sin(f(*inputs))), (0, 1, 2))(query, key, value) for f in (ours, of_jax)]
    for own, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


def test_a_clip_without_a_real_key_gives_finite_numbers():
    query, key, value, _, mask = arrays()
    found = dot_product.attend(query, key, value, mask=mask.at[0].set(False))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1], dot_product.attend(query, key, value, mask=mask)[1])


def test_short_sequences_are_attended_to_at_once(monkeypatch):
    monkeypatch.setattr(dot_product, "_WHOLE_BYTES", 4 * NUM_QUERIES * NUM_KEYS * NUM_HEADS)
    monkeypatch.setattr(dot_product, "_in_blocks", lambda *_: pytest.fail("in blocks"))
    query, key, value, bias, mask = arrays()
    assert dot_product.attend(query, key, value, bias, mask).shape == query.shape
