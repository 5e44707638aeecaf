"""The weighted mean over layers: equal weights initially, a softmax of the logits, and a gradient for every layer's weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from avemo_jax.models.layer_weighting import LayerWeighting

X = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)


def test_all_layers_have_equal_weights_initially():
    found, variables = LayerWeighting().init_with_output(jax.random.key(0), X)
    assert variables["params"]["logits"].shape == (4,)
    np.testing.assert_allclose(found, X.mean(axis=2), atol=1e-6)


def test_weights_are_the_softmax_of_the_logits():
    logits = jnp.log(jnp.array([1.0, 2.0, 3.0, 4.0]))
    found = LayerWeighting().apply({"params": {"logits": logits}}, X)
    np.testing.assert_allclose(found, (0.1 * X[:, :, 0] + 0.2 * X[:, :, 1] + 0.3 * X[:, :, 2] + 0.4 * X[:, :, 3]), atol=1e-6)


def test_every_weight_has_a_gradient():
    gradient = jax.grad(lambda logits: jnp.sum(LayerWeighting().apply({"params": {"logits": logits}}, X) ** 2))(jnp.zeros(4))
    assert (jnp.abs(gradient) > 1e-3).all()


def test_features_without_layers_are_refused_with_the_field_to_set():
    with pytest.raises(ValueError, match=r"features of several layers, \(B, T, L, D\), got \(2, 3, 4\); set encoders"):
        LayerWeighting().init(jax.random.key(0), X[..., 0])
