import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_shapes import num_params
from filled_variables import filled_variables

from avemo_jax.models.encoders.mini_xception.module import END_POINTS, MiniXception, fold_batch_norm


def test_shapes_and_parameters_are_those_of_the_original():
    net = MiniXception("global_avg")
    shapes = jax.eval_shape(lambda key, x: net.init_with_output(key, x, method="end_points"), jax.random.key(0), jnp.zeros((2, 64, 64, 1)))
    found, variables = shapes
    assert {name: value.shape[1:] for name, value in found.items()} == {
        "stem": (60, 60, 8),
        "block1": (30, 30, 16),
        "block2": (15, 15, 32),
        "block3": (8, 8, 64),
        "block4": (4, 4, 128),
        "features": (128,),
        "global_avg": (7,),
    }
    assert num_params(variables) == 58_423  # Keras' number


@pytest.mark.parametrize("end_point", END_POINTS)
def test_nothing_beyond_the_end_point_has_parameters(end_point):
    variables = jax.eval_shape(MiniXception(end_point).init, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
    parts = {"stem", *(f"block{number}" for number in range(1, 5)), "classes"}
    reached = set(END_POINTS[: END_POINTS.index(end_point) + 1])
    assert set(variables["params"]) == (parts & reached) | ({"classes"} if end_point == "global_avg" else set())


def test_faces_are_converted_to_grey_resized_and_scaled_inside():
    net = MiniXception("stem", folded=True)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    variables = filled_variables(net, rgb)
    gray = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    expected = net.apply(variables, gray[..., None] / 127.5 - 1)
    np.testing.assert_allclose(net.apply(variables, rgb), expected, atol=1e-4)
    whole = rgb[:, :, :, :1]
    np.testing.assert_allclose(net.apply(variables, whole), net.apply(variables, np.repeat(whole, 3, axis=-1)), atol=1e-4)
    enlarged = np.kron(whole, np.ones((1, 2, 2, 1), np.uint8))  # resizing restores the picture except at its edges
    found = net.apply(variables, enlarged)
    assert found.shape == expected.shape and np.corrcoef(np.ravel(found), np.ravel(net.apply(variables, whole)))[0, 1] > 0.9


def test_folding_changes_nothing():
    x = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 1), dtype=np.uint8)
    net = MiniXception("global_avg")
    variables = filled_variables(net, x)
    expected = jax.jit(lambda variables, x: net.apply(variables, x, method="end_points"))(variables, x)
    folded = MiniXception("global_avg", folded=True)
    template = jax.eval_shape(folded.init, jax.random.key(0), x)
    weights = fold_batch_norm(variables)
    jax.tree.map(lambda ours, theirs: np.testing.assert_equal(theirs.shape, ours.shape), template, weights)
    found = jax.jit(lambda variables, x: folded.apply(variables, x, method="end_points"))(weights, x)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4 * float(jnp.abs(value).max()), err_msg=name)


def test_batch_statistics_only_when_training():
    net = MiniXception("stem")
    x = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 1), dtype=np.uint8)
    variables = filled_variables(net, x)
    alone = net.apply(variables, x[:1])
    np.testing.assert_allclose(net.apply(variables, x)[:1], alone, rtol=1e-4, atol=1e-4)
    trained, changed = net.apply(variables, x, train=True, mutable=["batch_stats"])
    assert float(jnp.abs(trained[:1] - alone).max()) > 1e-2
    moved = jax.tree.map(lambda before, after: not np.allclose(before, after), variables["batch_stats"], changed["batch_stats"])
    assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 64, 64), np.uint8), ((1, 64, 64, 2), np.uint8), ((1, 48, 48, 1), np.float32), ((1, 64, 64, 3), np.float32)]
)
def test_wrong_inputs_are_refused_with_the_expected_ones(shape, dtype):
    with pytest.raises(ValueError, match=r"mini-Xception takes faces .* of type uint8, or \(N, 64, 64, 1\) of type float32, got"):
        jax.eval_shape(MiniXception().init, jax.random.key(0), np.zeros(shape, dtype))


def test_unknown_end_point():
    with pytest.raises(ValueError, match=r"among .*'features'.* got 'fc7'"):
        MiniXception("fc7").init(jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
