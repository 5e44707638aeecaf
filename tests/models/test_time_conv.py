import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.time_conv import TimeConv, mean_of_neighbours, spread_over_neighbours

X = jax.random.normal(jax.random.key(0), (2, 7, 3))
MASK = jnp.arange(7) < jnp.array([7, 4])[:, None]


def test_it_equals_a_convolution_with_norm_and_relu():
    module = TimeConv(4)
    everything = jnp.ones((2, 7), bool), jnp.ones(2, bool)
    variables = filled_variables(module, X, *everything, train=False)
    y, mask = module.apply(variables, X, *everything, train=False)
    conv = {"kernel": variables["params"]["conv"]["kernel"].reshape(5, 3, 4), "bias": variables["params"]["conv"]["bias"]}
    expected = nn.Conv(4, (5,)).apply({"params": conv}, X)
    moving, norm = variables["batch_stats"]["norm"], variables["params"]["norm"]
    expected = (expected - moving["mean"]) / np.sqrt(moving["var"] + 1e-3) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(y, nn.relu(expected), atol=1e-5)
    assert mask.all()


def test_means_of_real_neighbours_by_hand():
    y, mask = mean_of_neighbours(jnp.arange(1.0, 8)[None, :, None].repeat(2, axis=0), MASK.at[1, 0].set(False), 2)
    np.testing.assert_allclose(y[..., 0], [[1.5, 3.5, 5.5, 7], [2, 3.5, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1], [1, 1, 0, 0]])


def test_weights_are_divided_among_real_neighbours():
    weights = spread_over_neighbours(jnp.array([[0.4, 0.3, 0.2, 0.1]]), jnp.array([[1, 1, 0, 1, 1, 1, 1]], bool), 2)
    np.testing.assert_allclose(weights, [[0.2, 0.2, 0, 0.3, 0.1, 0.1, 0.1]], rtol=1e-6)


@pytest.mark.parametrize("extra", [1, 4])
def test_padding_changes_nothing(extra):
    module = TimeConv(4, stride_steps=2)
    examples = jnp.ones(2, bool)
    variables = filled_variables(module, X, MASK, examples, train=False)
    (y, mask), _ = module.apply(variables, X, MASK, examples, train=True, mutable=["batch_stats"])
    longer, longer_mask = jnp.pad(X, ((0, 0), (0, extra), (0, 0)), constant_values=5.0), jnp.pad(MASK, ((0, 0), (0, extra)))
    (z, z_mask), _ = module.apply(variables, longer, longer_mask, examples, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(z[:, :4], y, atol=1e-5)
    np.testing.assert_array_equal(z_mask[:, :4], mask)
    assert not z[:, 4:].any()


def test_an_even_width_is_refused():
    with pytest.raises(ValueError, match=r"odd width.*got 4"):
        filled_variables(TimeConv(4, width_steps=4), X, MASK, jnp.ones(2, bool), train=False)
