import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from avemo_jax.models.norm import BatchNorm, dropout

X = jnp.array([[1.0, 10.0], [3.0, 30.0], [100.0, -100.0]])
MASK = jnp.array([True, True, False])


def _train(x, mask, variables=None):
    variables = variables or BatchNorm().init(jax.random.key(0), x, mask, train=False)
    return BatchNorm().apply(variables, x, mask, train=True, mutable=["batch_stats"])


def test_statistics_are_those_of_real_examples():
    y, updated = _train(X, MASK)
    np.testing.assert_allclose(y[:2], [[-1, -1], [1, 1]], atol=1e-3)
    np.testing.assert_allclose(updated["batch_stats"]["mean"], [0.2, 2.0], rtol=1e-6)
    np.testing.assert_allclose(updated["batch_stats"]["var"], [0.9 + 0.1, 0.9 + 10.0], rtol=1e-6)


def test_steps_count_like_examples():
    y, updated = _train(X.reshape(1, 3, 2), MASK.reshape(1, 3))
    flat, flat_updated = _train(X, MASK)
    np.testing.assert_allclose(y[0], flat, rtol=1e-6)
    np.testing.assert_allclose(updated["batch_stats"]["var"], flat_updated["batch_stats"]["var"], rtol=1e-6)


def test_a_batch_without_real_examples_changes_nothing_and_is_finite():
    _, before = _train(X, MASK)
    variables = BatchNorm().init(jax.random.key(0), X, MASK, train=False) | before
    y, after = _train(X, jnp.zeros(3, bool), variables)
    assert jnp.isfinite(y).all()
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_equals_flax_where_all_examples_are_real():
    reference = nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-3)
    variables = reference.init(jax.random.key(0), X)
    expected, expected_updated = reference.apply(variables, X, mutable=["batch_stats"])
    y, updated = _train(X, jnp.ones(3, bool), variables)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updated, expected_updated)


def test_dropout_takes_a_traced_rate_and_keeps_the_mean():
    drop = jax.jit(jax.vmap(dropout, in_axes=(None, 0, None)))
    y = drop(jnp.ones(20000), jnp.array([0.0, 0.25, 0.9]), jax.random.key(0))
    np.testing.assert_array_equal(y[0], 1)
    np.testing.assert_allclose(y.mean(axis=1), 1, atol=0.05)
    np.testing.assert_allclose((y == 0).mean(axis=1), [0, 0.25, 0.9], atol=0.01)
