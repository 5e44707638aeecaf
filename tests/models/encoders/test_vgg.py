import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_shapes import num_params, shapes_of

from avemo_jax.models.encoders.vgg.module import VGG16, VGG19


@pytest.mark.parametrize(("net", "whole", "convolutions"), [(VGG16, 138_357_544, 14_714_688), (VGG19, 143_667_240, 20_024_384)])
def test_shapes_and_parameters_are_those_of_the_original(net, whole, convolutions):
    logits, variables = shapes_of(net("fc8"), 2, 224, 224, 3, dtype=jnp.uint8)
    assert logits.shape == (2, 1000)
    assert num_params(variables) == whole
    features, variables = shapes_of(net("global_avg"), 2, 48, 48, 3, dtype=jnp.uint8)
    assert features.shape == (2, 512)
    assert num_params(variables) == convolutions
    assert shapes_of(net(resize_px=224), 2, 64, 64, 3, dtype=jnp.uint8)[0].shape == (2, 4096)
    assert net.END_POINTS[-3:] == ("fc6", "fc7", "fc8")


def test_the_network_ends_at_its_end_point():
    found = jax.eval_shape(
        lambda x: VGG19("conv2_1").init_with_output(jax.random.key(0), x, method="end_points"),
        jax.ShapeDtypeStruct((1, 32, 40, 3), "uint8"),
    )[0]
    assert {name: value.shape[1:] for name, value in found.items()} == {
        "conv1_1": (32, 40, 64),
        "conv1_2": (32, 40, 64),
        "pool1": (16, 20, 64),
        "conv2_1": (16, 20, 128),
    }
    shapes = {
        name: shapes_of(VGG16(name), 1, 224, 224, 3, dtype=jnp.uint8)[0].shape[1:] for name in ("pool5", "global_max", "flatten", "fc6")
    }
    assert shapes == {"pool5": (7, 7, 512), "global_max": (512,), "flatten": (25088,), "fc6": (4096,)}


def test_wrong_inputs_are_refused_with_the_expected_ones():
    with pytest.raises(ValueError, match=r"VGG16 among .*'fc7'.* got 'fc9'"):
        shapes_of(VGG16("fc9"), 1, 224, 224, 3, dtype=jnp.uint8)
    with pytest.raises(ValueError, match=r"32 pixels at least, got \(1, 31, 48, 3\)"):
        shapes_of(VGG19("pool5"), 1, 31, 48, 3, dtype=jnp.uint8)
    with pytest.raises(ValueError, match=r"224 px .* got \(1, 1\) positions; set resize_px=224"):
        shapes_of(VGG19(), 1, 48, 48, 3, dtype=jnp.uint8)


def _first_layer(x, **attributes):
    """Return the output of the first convolution with an identity kernel, which shows the preprocessed input."""
    kernel = np.zeros((3, 3, 3, 64), np.float32)
    kernel[1, 1, [0, 1, 2], [0, 1, 2]] = 1
    bias = np.full(64, 200, np.float32)  # keeps values above zero, where the ReLU has no effect
    module = VGG16("conv1_1", **attributes)
    return np.asarray(module.apply({"params": {"conv1_1": {"kernel": kernel, "bias": bias}}}, x))[..., :3] - 200


def test_pictures_are_preprocessed_as_for_the_published_weights():
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    expected = picture[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    np.testing.assert_allclose(_first_layer(picture), expected, atol=1e-4)
    np.testing.assert_allclose(_first_layer(expected), expected, atol=1e-4)  # float input is not preprocessed


def test_small_pictures_are_enlarged_bilinearly():
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    enlarged = cv2.resize(picture[0].astype(np.float32), (56, 56), interpolation=cv2.INTER_LINEAR)
    expected = enlarged[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    np.testing.assert_allclose(_first_layer(picture, resize_px=56)[0], expected, atol=0.01)


def test_global_features_are_the_mean_and_the_maximum_over_positions():
    x = np.random.default_rng(0).normal(0, 50, (2, 64, 32, 3)).astype(np.float32)
    module = VGG16("global_max")
    variables = jax.tree.map(
        lambda leaf: np.random.default_rng(leaf.size).normal(0, 0.05, leaf.shape).astype(np.float32),
        shapes_of(module, *x.shape, dtype=jnp.uint8)[1],
    )
    found = module.apply(variables, x, method="end_points")
    np.testing.assert_allclose(found["global_avg"], np.mean(found["pool5"], axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["global_max"], np.max(found["pool5"], axis=(1, 2)))
    assert np.any(found["global_avg"] != found["global_max"])


def test_grey_pictures_are_repeated_to_three_channels():
    grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    net = VGG16("pool1")
    variables = net.init(jax.random.key(0), grey)
    np.testing.assert_array_equal(net.apply(variables, grey), net.apply(variables, np.repeat(grey, 3, axis=-1)))
