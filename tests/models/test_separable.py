"""Depthwise separable convolution against XLA's own grouped convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.separable import SeparableConv, depthwise_conv


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(6, 9), (7, 4), (1, 2)])
def test_depthwise_equals_a_grouped_convolution(stride, size):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, 5)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 5)), jnp.float32)
    expected = jax.lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=5
    )
    np.testing.assert_allclose(depthwise_conv(x, kernel, stride), expected, atol=1e-5)


def test_hand_computed():
    x = jnp.arange(9, dtype=jnp.float32).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((3, 3, 1)).at[1, 1].set(2.0).at[0, 2].set(10.0)  # twice the pixel plus ten times its upper right neighbour
    expected = [[0, 2, 4], [6 + 10, 8 + 20, 10], [12 + 40, 14 + 50, 16]]
    np.testing.assert_array_equal(depthwise_conv(x, kernel)[0, :, :, 0], expected)


@pytest.mark.parametrize("use_bias", [True, False])
def test_separable_equals_depthwise_and_a_product(use_bias):
    module = SeparableConv(4, stride=2, use_bias=use_bias)
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    variables = filled_variables(module, x)
    params = variables["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {"depthwise": (3, 3, 3), "pointwise": (3, 4)} | (
        {"bias": (4,)} if use_bias else {}
    )
    expected = depthwise_conv(x, params["depthwise"], 2) @ params["pointwise"] + (params["bias"] if use_bias else 0)
    np.testing.assert_allclose(module.apply(variables, x), expected, atol=1e-6)
    assert expected.shape == (2, 3, 3, 4)


def test_initial_weights_preserve_the_scale_of_activations():
    x = jax.random.normal(jax.random.key(1), (1, 16, 16, 256))
    y, _ = SeparableConv(256).init_with_output(jax.random.key(0), x)
    assert 0.5 < float(jnp.std(y) / jnp.std(x)) / 2 < 2  # two He initialisations, each by sqrt(2) too large without ReLUs
