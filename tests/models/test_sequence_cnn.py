import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.sequence_cnn import SequenceCNN


def kernel(**weights) -> jnp.ndarray:
    """Return a 3 x 3 kernel of one channel, zero except for its middle and the entry above it, which is one step earlier."""
    return jnp.zeros((3, 3, 1, 1)).at[1, 1, 0, 0].set(weights.get("middle", 0.0)).at[0, 1, 0, 0].set(weights.get("above", 0.0))


def inputs(num_steps=7, num_features=5, lengths=(7, 5, 2, 1)):
    x = np.random.default_rng(0).normal(size=(len(lengths), num_steps, num_features)).astype(np.float32)
    return x, np.arange(num_steps) < np.array(lengths)[:, None]


def test_two_layers_by_hand():
    params = {
        "conv0": {"kernel": kernel(middle=1.0, above=1.0), "bias": jnp.array([-5.0])},
        "conv1": {"kernel": kernel(middle=-1.0), "bias": jnp.zeros(1)},
    }
    x, mask = jnp.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]), jnp.ones((1, 3), bool)
    # with the step before and the bias: -4 -3 / -1 1 / 3 5; ReLU; the largest of steps 0 and 1 is 1, of step 2 alone 5
    steps, mean, after = jax.jit(SequenceCNN((1,)).apply)({"params": {"conv0": params["conv0"]}}, x, mask)
    np.testing.assert_array_equal(steps, [[[1.0], [5.0]]])
    np.testing.assert_array_equal(mean, [[3.0]])
    np.testing.assert_array_equal(after, [[True, True]])
    # negated: -1 and -5, of which ELU leaves e^-1 - 1 and e^-5 - 1, ReLU nothing
    steps, mean, after = jax.jit(SequenceCNN((1, 1), alternate_elu=True).apply)({"params": params}, x, mask)
    np.testing.assert_allclose(steps, [[[np.exp(-1) - 1]]], rtol=1e-6)
    np.testing.assert_allclose(mean, [[np.exp(-1) - 1]], rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(SequenceCNN((1, 1)).apply)({"params": params}, x, mask)[0], [[[0.0]]])


@pytest.mark.parametrize("alternate_elu", [False, True])
def test_padding_has_no_effect(alternate_elu):
    layer, (x, mask) = SequenceCNN((3, 2), alternate_elu), inputs()
    variables = filled_variables(layer, x, mask)
    apply = jax.jit(layer.apply)
    steps, mean, after = apply(variables, x, mask)
    assert steps.shape == (4, 2, 2 * 2) and mean.shape == (4, 4)
    np.testing.assert_array_equal(after, [[True, True], [True, True], [True, False], [True, False]])
    assert not steps[~np.asarray(after)].any()
    rubbish = np.where(mask[..., None], x, np.float32(9))
    longer = np.concatenate([rubbish, np.full((4, 6, 5), -9, np.float32)], axis=1)
    longer_steps, longer_mean, longer_after = apply(variables, longer, np.pad(mask, ((0, 0), (0, 6))))
    np.testing.assert_allclose(longer_mean, mean, atol=1e-6)
    np.testing.assert_allclose(longer_steps[:, :2], steps, atol=1e-6)
    assert not longer_after[:, 2:].any() and not longer_steps[:, 2:].any()
    for row, length in enumerate((7, 5, 2, 1)):
        alone = apply(variables, x[row : row + 1, :length], np.ones((1, length), bool))[1]
        np.testing.assert_allclose(alone[0], mean[row], atol=1e-6)


def test_an_odd_last_step_and_an_odd_last_feature_are_not_dropped():
    layer, (x, mask) = SequenceCNN((2, 2)), inputs(lengths=(7,))
    variables = filled_variables(layer, x, mask)
    slopes = jax.jit(jax.grad(lambda x: layer.apply(variables, x, mask)[0].sum()))(jnp.abs(x))
    assert np.any(slopes[0, -1]) and np.any(slopes[0, :, -1])


def test_gradients_are_finite_without_a_real_step():
    layer, (x, mask) = SequenceCNN((2, 2), alternate_elu=True), inputs()
    variables = filled_variables(layer, x, mask)
    gradient = jax.jit(jax.grad(lambda variables, mask: jnp.square(layer.apply(variables, x, mask)[1]).sum()))
    dead = [path for path, leaf in jax.tree.leaves_with_path(gradient(variables, mask)) if not np.any(leaf)]
    assert dead == []
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient(variables, np.zeros_like(mask))))
