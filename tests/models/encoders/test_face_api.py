import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_shapes import num_params
from filled_variables import filled_variables

from avemo_jax.models.encoders.face_api.module import LANDMARKS, FaceExpressions, FaceLandmarks68


@pytest.mark.parametrize(("net", "num_outputs"), [(FaceLandmarks68("landmarks"), 136), (FaceExpressions("expressions"), 7)])
def test_shapes_and_parameters_are_those_of_the_original(net, num_outputs):
    found, variables = jax.eval_shape(
        lambda key, x: net.init_with_output(key, x, method="end_points"), jax.random.key(0), jnp.zeros((2, 112, 112, 3))
    )
    sizes = {"block0": (56, 56, 32), "block1": (28, 28, 64), "block2": (14, 14, 128), "block3": (7, 7, 256), "features": (256,)}
    assert {name: value.shape[1:] for name, value in found.items()} == sizes | {net.end_point: (num_outputs,)}
    assert num_params(variables) == 321_888 + 257 * num_outputs  # as in the published shards


@pytest.mark.parametrize("net", [FaceLandmarks68, FaceExpressions])
def test_nothing_beyond_the_end_point_has_parameters(net):
    parts = ["block0", "block1", "block2", "block3"]
    for end_point in net.END_POINTS:
        variables = jax.eval_shape(net(end_point).init, jax.random.key(0), jnp.zeros((1, 112, 112, 3)))
        expected = parts[: parts.index(end_point) + 1] if end_point in parts else [*parts, *(["output"] if end_point != "features" else [])]
        assert list(variables["params"]) == expected


def test_a_block_passes_its_sums_on():
    """It equals the published block, computed sum by sum."""
    net = FaceExpressions("block1")
    x = jax.random.normal(jax.random.key(0), (1, 112, 112, 3))
    variables = filled_variables(net, x, deviation=0.1)
    found = net.apply(variables, x, method="end_points")

    def separable(x, weights, stride=1):
        kernel = jnp.asarray(weights["depthwise"])[:, :, None]
        options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": x.shape[-1]}
        x = jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", **options)
        return x @ weights["pointwise"] + weights["bias"]

    weights = variables["params"]["block1"]
    one = jax.nn.relu(separable(found["block0"], weights["conv0"], 2))
    two = separable(one, weights["conv1"])
    three = separable(jax.nn.relu(one + two), weights["conv2"])
    four = separable(jax.nn.relu(one + two + three), weights["conv3"])
    expected = jax.nn.relu(one + two + three + four)
    np.testing.assert_allclose(found["block1"], expected, atol=1e-4 * float(expected.max()))


def test_pictures_are_prepared_inside():
    net = FaceExpressions("block0")
    rgb = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    variables = filled_variables(net, rgb, deviation=0.1)
    prepared = (rgb.astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)) / 255
    np.testing.assert_allclose(net.apply(variables, rgb), net.apply(variables, prepared), atol=1e-5)
    assert net.apply(variables, np.zeros((2, 50, 70, 3), np.uint8)).shape == (2, 56, 56, 32)


def test_every_landmark_belongs_to_one_part():
    assert sorted(index for part in LANDMARKS.values() for index in part) == list(range(68))


@pytest.mark.parametrize(("shape", "dtype"), [((1, 112, 112, 1), np.uint8), ((1, 96, 96, 3), np.float32), ((112, 112, 3), np.uint8)])
def test_wrong_inputs_are_refused_with_the_expected_ones(shape, dtype):
    with pytest.raises(
        ValueError, match=r"FaceLandmarks68 takes faces \(N, H, W, 3\) of type uint8, or \(N, 112, 112, 3\) of type float32"
    ):
        jax.eval_shape(FaceLandmarks68().init, jax.random.key(0), np.zeros(shape, dtype))


def test_unknown_end_point():
    with pytest.raises(ValueError, match=r"end point of FaceExpressions among .*'expressions'.* got 'landmarks'"):
        FaceExpressions("landmarks").init(jax.random.key(0), jnp.zeros((1, 112, 112, 3)))
