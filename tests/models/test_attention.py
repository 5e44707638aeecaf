import jax
import jax.numpy as jnp
import numpy as np
import pytest

from avemo_jax.models.attention import POOLINGS, Pooling, last_step, masked_softmax

X = jnp.array([[[1.0, 2.0], [3.0, -2.0], [5.0, 9.0]]])
MASK = jnp.array([[True, True, False]])


def test_attention_by_hand():
    params = {"state": {"kernel": jnp.array([[0.5], [0.0]])}, "steps": {"kernel": jnp.array([[0.2], [-0.1]])}}
    pooled, weights = Pooling("attention").apply({"params": params}, X, jnp.array([[1.0, 7.0]]), MASK)
    # s = tanh(0.5 + 0.2 - 0.2) = tanh(0.5) = 0.4621172, s = tanh(0.5 + 0.6 + 0.2) = tanh(1.3) = 0.8617232
    share = 1 / (1 + np.exp(0.8617232 - 0.4621172))
    np.testing.assert_allclose(weights, [[share, 1 - share, 0]], rtol=1e-5)
    np.testing.assert_allclose(pooled, [[share + 3 * (1 - share), 2 * share - 2 * (1 - share)]], rtol=1e-5)


def test_the_other_poolings_by_hand():
    last = jnp.array([[0.3, 0.4]])
    np.testing.assert_allclose(Pooling("mean").apply({}, X, last, MASK)[0], [[2, 0]])
    np.testing.assert_allclose(Pooling("last").apply({}, X, last, MASK)[0], last)
    np.testing.assert_allclose(Pooling("mean_std").apply({}, X, last, MASK)[0], [[2, 0, 1, 2]], rtol=1e-5)
    np.testing.assert_allclose(Pooling("flatten", num_steps=4).apply({}, X, last, MASK)[0], [[1, 2, 3, -2, 0, 0, 0, 0]])
    np.testing.assert_allclose(Pooling("flatten", num_steps=1).apply({}, X, last, MASK)[0], [[1, 2]])


def test_last_step_is_the_last_real_one():
    mask = jnp.array([[True, True, False], [False, False, False], [False, True, True], [True, False, False]])
    steps = jnp.arange(12.0).reshape(4, 3, 1) + 1
    np.testing.assert_array_equal(last_step(steps, mask)[:, 0], [2, 0, 9, 10])


def test_softmax_ignores_padding_and_works_without_any():
    scores = jnp.array([[0.0, jnp.log(3.0), 50.0], [1.0, 2.0, 3.0]])
    mask = jnp.array([[True, True, False], [False, False, False]])
    np.testing.assert_allclose(masked_softmax(scores, mask), [[0.25, 0.75, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("kind", POOLINGS)
def test_without_real_steps_outputs_and_gradients_are_finite(kind):
    module = Pooling(kind, num_steps=3)
    mask = jnp.zeros((1, 3), bool)
    last = jnp.zeros((1, 2))
    variables = module.init(jax.random.key(0), X, last, mask)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(module.apply(variables, x, last, mask)[0] ** 2))(X)
    assert jnp.isfinite(value)
    assert not gradient.any()


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'mean_std'.*got 'max'"):
        Pooling("max").init(jax.random.key(0), X, X[:, 0], MASK)
    with pytest.raises(ValueError, match="set it to 1 or more"):
        Pooling("flatten").init(jax.random.key(0), X, X[:, 0], MASK)
