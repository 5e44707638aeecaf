"""VGG16 and VGG19 with Keras' random weights, saved by Keras and read by us: every end point agrees."""

import gc
import os
import shutil

import h5py
import jax
import numpy as np
import pytest

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.vgg.module import VGG16, VGG19
from avemo_jax.pretrained.load import load_pretrained

pytestmark = pytest.mark.golden
NETS = {"vgg16": VGG16, "vgg19": VGG19}


def _like(module, size_px):
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, size_px, size_px, 3), np.uint8))


def _keras(name, **options):
    """Return Keras' network with kernels that preserve the signal's scale through all layers, and biases that are not zero."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    model = getattr(keras.applications, name.upper())(weights=None, **options)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.weights
            kernel.assign(rng.standard_normal(kernel.shape, np.float32) * np.float32(np.sqrt(2 / np.prod(kernel.shape[:-1]))))
            bias.assign(rng.standard_normal(bias.shape, np.float32) * np.float32(0.3))
    return keras, model


def _keras_layer(end_point):
    """Return Keras' name of an end point: "conv3_2" -> "block3_conv2", "pool3" -> "block3_pool"."""
    if end_point.startswith("conv"):
        return "block{}_conv{}".format(*end_point.removeprefix("conv").split("_"))
    if end_point.startswith("pool"):
        return f"block{end_point[-1]}_pool"
    return {"flatten": "flatten", "fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}[end_point]


def _assert_equal(expected, module, variables, x):
    found = jax.jit(lambda variables, x: module.apply(variables, x, method="end_points"))(variables, x)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4 * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("name", [pytest.param("vgg16", marks=pytest.mark.long), "vgg19"])
def test_equals_keras_with_all_layers_at_224(name, tmp_path):
    """From uint8 RGB, the dtype of views, with Keras' own preprocessing on its side."""
    keras, model = _keras(name, classifier_activation=None)
    model.save(tmp_path / "net.h5")
    picture = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    prepared = getattr(keras.applications, name).preprocess_input(picture.astype(np.float32))
    names = [end_point for end_point in NETS[name].END_POINTS if not end_point.startswith("global")]
    several = keras.Model(model.input, [model.get_layer(_keras_layer(end_point)).output for end_point in names])
    expected = dict(zip(names, (np.asarray(value) for value in several(prepared, training=False)), strict=True))
    expected["global_avg"], expected["global_max"] = expected["pool5"].mean(axis=(1, 2)), expected["pool5"].max(axis=(1, 2))
    del model, several
    keras.backend.clear_session()
    gc.collect()
    module = NETS[name]("fc8")
    variables, _ = load_pretrained(find_encoder(name).weights, str(tmp_path / "net.h5"), tmp_path, _like(module, 224))
    (tmp_path / "net.h5").unlink()
    _assert_equal(expected, module, variables, picture)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """VGG16's convolutions in all formats, a picture of 48 px, and its features by Keras."""
    keras, model = _keras("vgg16", include_top=False, input_shape=(48, 48, 3), pooling="avg")
    folder = tmp_path_factory.mktemp("keras")
    model.save(folder / "net.h5")
    model.save(folder / "net.keras")
    model.save_weights(folder / "net.weights.h5")
    picture = np.random.default_rng(2).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)
    return folder, picture, np.asarray(model(keras.applications.vgg16.preprocess_input(picture.astype(np.float32)), training=False))


@pytest.mark.parametrize("file", ["net.h5", "net.keras", "net.weights.h5"])
def test_convolutions_equal_keras_at_48_from_every_format(saved, file):
    folder, picture, expected = saved
    module = VGG16("global_avg")
    variables, sha256 = load_pretrained(find_encoder("vgg16").weights, str(folder / file), folder, _like(module, 48))
    assert len(sha256) == 64
    _assert_equal({"global_avg": expected}, module, variables, picture)


def _changed(saved, tmp_path, change):
    shutil.copy(saved[0] / "net.h5", tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        change(file["model_weights"])
    return tmp_path / "net.h5"


def _without_bias(weights):
    weights["block3_conv2"].attrs["weight_names"] = np.array([b"block3_conv2/kernel"])


def _with_one_more(weights):
    weights["block3_conv2"]["block3_conv2"]["scale"] = np.ones(256, np.float32)
    weights["block3_conv2"].attrs["weight_names"] = np.array([b"block3_conv2/kernel", b"block3_conv2/bias", b"block3_conv2/scale"])


def _of_another_shape(weights):
    group = weights["block3_conv2"]["block3_conv2"]
    del group["kernel"]
    group["kernel"] = np.ones((3, 3, 256, 255), np.float32)


def _of_vgg19(weights):
    weights.create_group("block3_conv4/block3_conv4")["kernel"] = np.ones((3, 3, 256, 256), np.float32)
    weights["block3_conv4"].attrs["weight_names"] = np.array([b"block3_conv4/kernel"])
    weights.attrs["layer_names"] = np.array([*weights.attrs["layer_names"], "block3_conv4"], h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_bias, r"the file lacks: block3_conv2/bias \(params/conv3_2/bias\)$"),
        (_with_one_more, r"the network lacks: block3_conv2/scale$"),
        (_of_another_shape, r"other shapes: block3_conv2/kernel \(3, 3, 256, 255\), expected \(3, 3, 256, 256\) \(params/conv3_2/kernel\)"),
        (_of_vgg19, r"the network lacks: block3_conv4/kernel$"),
    ],
)
def test_variables_that_do_not_fit_are_named(saved, tmp_path, change, message):
    path = _changed(saved, tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_pretrained(find_encoder("vgg16").weights, str(path), tmp_path, _like(VGG16("global_avg"), 48))


@pytest.mark.parametrize("file", ["net.h5", "net.keras", "net.weights.h5"])
def test_a_truncated_file_is_refused(saved, tmp_path, file):
    content = (saved[0] / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{file}.*(whole|damaged|truncated)"):
        load_pretrained(find_encoder("vgg16").weights, str(tmp_path / file), tmp_path, _like(VGG16("global_avg"), 48))
