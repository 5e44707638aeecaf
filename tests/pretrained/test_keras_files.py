"""Weights out of Keras files: what Keras itself writes, and files made by hand, whole and damaged."""

from __future__ import annotations

import json
import os
import zipfile
from typing import ClassVar

import h5py
import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.pretrained.keras_files import read_keras, read_network

KERNEL, BIAS = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, 8, 9], np.float32)


def legacy(path, layers, *, within=None):
    """A legacy file: layer -> {name as stored: array}."""
    with h5py.File(path, "w") as file:
        root = file.create_group(within) if within else file
        root.attrs["layer_names"] = np.array(list(layers), "S")
        for layer, weights in layers.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = np.array(list(weights), "S")
            for name, array in weights.items():
                group[name] = array
    return path


def numbered(path, groups, *, names=None):
    """A Keras 3 file: group -> its arrays; `names` of layers beside them."""
    with h5py.File(path, "w") as file:
        for name, arrays in groups.items():
            group = file.create_group(f"{name}/vars")
            if names:
                group.attrs["name"] = names[name]
            for number, array in enumerate(arrays):
                group[str(number)] = array
    return path


def archive(path, weights_file, layers):
    config = {"class_name": "Functional", "config": {"name": "model", "layers": layers}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", json.dumps(config))
        file.write(weights_file, "model.weights.h5")
    return path


def layer(class_name, name, **parameters):
    return {"class_name": class_name, "config": {"name": name, **parameters}}


class TestLegacy:
    @pytest.mark.parametrize("within", [None, "model_weights"])
    def test_names_order_and_numbers(self, tmp_path, within):
        weights = {"z": {"z/kernel:0": KERNEL, "z/bias:0": BIAS}, "flat": {}, "a": {"a_3/kernel:0": KERNEL + 1}}
        found = read_keras(legacy(tmp_path / "a.h5", weights, within=within))
        assert found.layers == ("z", "flat", "a") and list(found.arrays) == ["z/kernel", "z/bias", "a/kernel"]
        np.testing.assert_array_equal(found.arrays["z/kernel"], KERNEL)
        np.testing.assert_array_equal(found.arrays["a/kernel"], KERNEL + 1)
        assert found.arrays["z/bias"].dtype == np.float32

    def test_names_of_keras_1(self, tmp_path):
        stored = {
            "conv_1_W_1:0": KERNEL,
            "conv_1_b_1:0": BIAS,
            "conv_1_running_mean": BIAS,
            "conv_1_running_std": BIAS,
            "conv_1_gamma": BIAS,
        }
        found = read_keras(legacy(tmp_path / "a.h5", {"conv_1": stored}))
        assert [name.removeprefix("conv_1/") for name in found.arrays] == ["kernel", "bias", "moving_mean", "moving_variance", "gamma"]

    def test_layers_in_a_layer_keep_their_names(self, tmp_path):
        stored = {"block1/kernel:0": KERNEL, "inner/block2/kernel": KERNEL}
        found = read_keras(legacy(tmp_path / "a.h5", {"inner": stored}))
        assert list(found.arrays) == ["inner/block1/kernel", "inner/block2/kernel"]

    def test_long_lists_of_names_are_spread_over_attributes(self, tmp_path):
        path = legacy(tmp_path / "a.h5", {name: {f"{name}/bias": BIAS} for name in "abcd"})
        with h5py.File(path, "r+") as file:
            names = file.attrs["layer_names"]
            del file.attrs["layer_names"]
            file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]
        assert read_keras(path).layers == ("a", "b", "c", "d")

    def test_two_arrays_of_one_name(self, tmp_path):
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel:0": KERNEL, "conv_1/kernel:0": KERNEL}})
        with pytest.raises(ValueError, match="two arrays are named conv/kernel"):
            read_keras(path)

    def test_a_name_without_its_array(self, tmp_path):
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel:0": KERNEL}})
        with h5py.File(path, "r+") as file:
            del file["conv/conv/kernel:0"]
        with pytest.raises(ValueError, match="/conv names 'conv/kernel:0', and there is no such array"):
            read_keras(path)


class TestTheano:
    """Theano convolves and TensorFlow correlates; Keras reverses the kernels of convolutions between the two."""

    @pytest.mark.parametrize("shape", [(5, 2, 3), (3, 4, 2, 3), (2, 3, 4, 2, 3)])
    @pytest.mark.parametrize("backend", [b"theano", "Theano"])
    @pytest.mark.parametrize("within", [None, "model_weights"])
    def test_kernels_are_reversed_along_their_spatial_axes(self, tmp_path, shape, backend, within):
        kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        stored = {"conv": {"conv/kernel:0": kernel, "conv/bias:0": BIAS}, "out": {"out/kernel:0": KERNEL}}
        path = legacy(tmp_path / "a.h5", stored, within=within)
        with h5py.File(path, "r+") as file:
            file.attrs["backend"] = backend
        found = read_keras(path).arrays
        np.testing.assert_array_equal(found["conv/kernel"][(0,) * (len(shape) - 2)], kernel[(-1,) * (len(shape) - 2)])
        np.testing.assert_array_equal(found["conv/kernel"], np.flip(kernel, tuple(range(len(shape) - 2))))
        np.testing.assert_array_equal(found["conv/bias"], BIAS)
        np.testing.assert_array_equal(found["out/kernel"], KERNEL)

    @pytest.mark.parametrize("backend", [b"tensorflow", b"cntk", None])
    def test_those_of_other_libraries_are_not(self, tmp_path, backend):
        kernel = np.arange(54, dtype=np.float32).reshape(3, 3, 2, 3)
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel:0": kernel}})
        if backend:
            with h5py.File(path, "r+") as file:
                file.attrs["backend"] = backend
        np.testing.assert_array_equal(read_keras(path).arrays["conv/kernel"], kernel)

    def test_separable_ones_are_refused(self, tmp_path):
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/depthwise_kernel:0": np.zeros((3, 3, 2, 1))}})
        with h5py.File(path, "r+") as file:
            file.attrs["backend"] = b"theano"
        with pytest.raises(ValueError, match="conv/depthwise_kernel was written with Theano"):
            read_keras(path)


class TestANetworkInAModel:
    def inner(self, *prefix):
        return {"/".join((*prefix, f"block{number}/{leaf}:0")): KERNEL + number for number in (1, 2, 3) for leaf in ("kernel", "bias")}

    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_is_taken_out_and_the_head_keeps_its_name(self, tmp_path, depth):
        outer = ["model", "vgg16"][:depth]
        stored = {"model": self.inner(*outer[1:])} if depth else {f"block{n}": {f"block{n}/kernel:0": KERNEL + n} for n in (1, 2, 3)}
        found = read_network(legacy(tmp_path / "a.h5", stored | {"dense": {"dense/kernel:0": KERNEL}}))
        assert {name.partition("/")[0] for name in found} == {"block1", "block2", "block3", "dense"}
        np.testing.assert_array_equal(found["block2/kernel"], KERNEL + 2)

    def test_is_not_taken_out_of_a_layer_with_one_cell(self, tmp_path):
        found = read_network(legacy(tmp_path / "a.h5", {"lstm": {"lstm_cell/kernel:0": KERNEL, "lstm_cell/bias:0": BIAS}}))
        assert list(found) == ["lstm/lstm_cell/kernel", "lstm/lstm_cell/bias"]

    def test_with_a_layer_beside_it_of_the_same_name(self, tmp_path):
        with pytest.raises(ValueError, match="block1/kernel is the name of an array in the layer model and of one beside it"):
            read_network(legacy(tmp_path / "a.h5", {"model": self.inner(), "block1": {"block1/kernel:0": KERNEL}}))


def test_what_stands_in_place_of_the_file(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\n<!DOCTYPE html><html>Google Drive - Virus scan warning</html>")
    with pytest.raises(ValueError, match=r"a\.h5: expected weights written by Keras, and it is a web page"):
        read_keras(tmp_path / "a.h5")


def test_a_file_of_keras_0(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["nb_layers"] = 1
        file.create_group("layer_0")["param_0"] = KERNEL
    with pytest.raises(ValueError, match=r"Keras 0\.x wrote it"):
        read_keras(tmp_path / "a.h5")


class TestKeras3:
    GROUPS: ClassVar = {
        "layers/conv2d": [KERNEL, BIAS],
        "layers/conv2d_1": [KERNEL + 1],
        "layers/batch_normalization": [BIAS, BIAS + 1, BIAS + 2],
        "layers/sequential/layers/dense": [KERNEL],
        "layers/bidirectional/forward_layer/cell": [KERNEL, KERNEL, BIAS],
        "layers/my_own": [BIAS],
        "layers/dropout/seed_generator": [np.array([1, 2], np.uint32)],
        "optimizer": [np.int64(3)],
    }

    def test_groups_stand_for_layers_where_nothing_else_does(self, tmp_path):
        found = read_keras(numbered(tmp_path / "a.weights.h5", self.GROUPS))
        assert found.layers is None
        assert set(found.arrays) == {
            *("conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "sequential/dense/kernel", "my_own/0"),
            *(f"batch_normalization/{name}" for name in ("beta", "moving_mean", "moving_variance")),
            *(f"bidirectional/forward_layer/cell/{number}" for number in range(3)),
        }
        np.testing.assert_array_equal(found.arrays["conv2d_1/kernel"], KERNEL + 1)
        np.testing.assert_array_equal(found.arrays["batch_normalization/moving_variance"], BIAS + 2)

    def test_names_beside_the_arrays(self, tmp_path):
        names = {group: f"layer_{index}" for index, group in enumerate(self.GROUPS)}
        names["layers/bidirectional/forward_layer/cell"] = "gru_cell_7"
        found = read_keras(numbered(tmp_path / "a.weights.h5", self.GROUPS, names=names)).arrays
        assert {"layer_0/kernel", "layer_1/kernel", "layer_2/beta", "sequential/layer_3/kernel"} < set(found)
        assert "bidirectional/forward_layer/gru_cell_7/recurrent_kernel" in found

    def test_layers_are_resolved_by_the_config(self, tmp_path):
        inner = [layer("InputLayer", "input"), layer("Dense", "out")]
        layers = [
            layer("Conv2D", "second_in_name"),
            layer("Sequential", "head", layers=inner),
            layer("BatchNormalization", "norm", scale=True, center=False),
            layer("Conv2D", "first_in_name"),
            layer("ReLU", "activation"),
        ]
        groups = {name: self.GROUPS[name] for name in list(self.GROUPS)[:4]}
        path = archive(tmp_path / "a.keras", numbered(tmp_path / "a.h5", groups), layers)
        found = read_keras(path)
        assert found.layers == ("second_in_name", "head", "norm", "first_in_name", "activation")
        norm = [f"norm/{name}" for name in ("gamma", "moving_mean", "moving_variance")]
        assert list(found.arrays) == ["second_in_name/kernel", "second_in_name/bias", "head/out/kernel", *norm, "first_in_name/kernel"]
        np.testing.assert_array_equal(found.arrays["first_in_name/kernel"], KERNEL + 1)

    def test_arrays_that_do_not_fit_the_config(self, tmp_path):
        weights = numbered(tmp_path / "a.h5", {"layers/batch_normalization": [BIAS] * 3})
        path = archive(tmp_path / "a.keras", weights, [layer("BatchNormalization", "norm", scale=True, center=True)])
        with pytest.raises(ValueError, match="expected the arrays gamma, beta, moving_mean, moving_variance, found 3"):
            read_keras(path)
        path = archive(tmp_path / "b.keras", weights, [layer("Dense", "out")])
        with pytest.raises(ValueError, match=r"no layer for the group /layers/batch_normalization; it has: dense"):
            read_keras(path)

    def test_archive_without_its_parts(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as file:
            file.writestr("config.json", "{}")
        with pytest.raises(ValueError, match=r"expected model\.weights\.h5 in the archive that \.keras files are, found config\.json"):
            read_keras(tmp_path / "a.keras")


class TestRefused:
    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*a\.h5; expected weights written by Keras"):
            read_keras(tmp_path / "a.h5")

    @pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x89HDF\r\n\x1a\n" + bytes(600), b"PK\x03\x04" + bytes(100)])
    def test_foreign_files(self, tmp_path, content):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.h5: expected a whole HDF5 or \.keras file"):
            read_keras(tmp_path / "a.h5")

    def test_hdf5_of_something_else(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_group("images")
        with pytest.raises(ValueError, match=r"found no weights; expected the attribute layer_names.* found images"):
            read_keras(tmp_path / "a.h5")

    @pytest.mark.parametrize("part", [0.2, 0.6, 0.99])
    def test_files_cut_short(self, tmp_path, part):
        weights = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel": np.zeros((100, 100), np.float32)}})
        packed = archive(tmp_path / "a.keras", numbered(tmp_path / "b.h5", {"layers/dense": [KERNEL]}), [layer("Dense", "out")])
        for path in (weights, packed):
            raw = path.read_bytes()
            path.write_bytes(raw[: int(len(raw) * part)])
            with pytest.raises(ValueError, match=r"expected a whole HDF5 or \.keras file"):
                read_keras(path)

    def test_archive_with_more_json_than_any_network_has(self, tmp_path):
        path = archive(tmp_path / "a.keras", numbered(tmp_path / "b.h5", {"layers/dense": [KERNEL]}), [layer("Dense", "x" * (4 << 20))])
        with pytest.raises(ValueError, match=r"config\.json claims \d+ bytes, expected 4194304 at most"):
            read_keras(path)

    def test_archive_with_flipped_bits(self, tmp_path):
        path = archive(tmp_path / "a.keras", numbered(tmp_path / "b.h5", {"layers/dense": [KERNEL]}), [layer("Dense", "out")])
        raw = path.read_bytes()
        place = raw.index(KERNEL.tobytes())
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(ValueError, match="Bad CRC-32"):
            read_keras(path)

    def refused(self, tmp_path, put, match):
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel": KERNEL}})
        with h5py.File(path, "r+") as file:
            del file["conv/conv/kernel"]
            put(file)
        with pytest.raises(ValueError, match=match):
            read_keras(path)

    def test_objects_references_and_text(self, tmp_path):
        def references(file):
            data = file.create_dataset("conv/conv/kernel", (1,), dtype=h5py.ref_dtype)
            data[0] = file["conv"].ref

        self.refused(tmp_path, references, "/conv/conv/kernel: expected an array of numbers, found the type object")
        self.refused(tmp_path, lambda file: file.create_dataset("conv/conv/kernel", data=["text"]), "expected an array of numbers")
        self.refused(tmp_path, lambda file: file.create_group("conv/conv/kernel"), "expected an array, found a group")

    def test_links_and_arrays_elsewhere(self, tmp_path):
        legacy(tmp_path / "other.h5", {"conv": {"conv/kernel": KERNEL}})
        (tmp_path / "secret").write_bytes(bytes(24))

        def external_link(file):
            file["conv/conv/kernel"] = h5py.ExternalLink(tmp_path / "other.h5", "/conv/conv/kernel")

        def soft_link(file):
            file["elsewhere"] = KERNEL
            file["conv/conv/kernel"] = h5py.SoftLink("/elsewhere")

        def external_numbers(file):
            file.create_dataset("conv/conv/kernel", (6,), "f4", external=[(tmp_path / "secret", 0, 24)])

        def virtual(file):
            layout = h5py.VirtualLayout((2, 3), "f4")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "/conv/conv/kernel", (2, 3))
            file.create_virtual_dataset("conv/conv/kernel", layout)

        self.refused(tmp_path, external_link, "/conv/conv/kernel is a link elsewhere")
        self.refused(tmp_path, soft_link, "/conv/conv/kernel is a link elsewhere")
        self.refused(tmp_path, external_numbers, "its numbers are in another file")
        self.refused(tmp_path, virtual, "its numbers are in another file")

    def test_sizes_that_are_only_claimed(self, tmp_path):
        def huge(file):
            file.create_dataset("conv/conv/kernel", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))

        self.refused(tmp_path, huge, f"claim more than {4 << 30} bytes")

    def test_more_than_the_network_has(self, tmp_path):
        path = legacy(tmp_path / "a.h5", {"conv": {"conv/kernel": KERNEL, "conv/bias": BIAS}})
        assert len(read_keras(path, KERNEL.nbytes + BIAS.nbytes).arrays) == 2
        with pytest.raises(ValueError, match="/conv/conv/bias: the arrays claim more than 35 bytes"):
            read_keras(path, KERNEL.nbytes + BIAS.nbytes - 1)

    def test_groups_without_end(self, tmp_path):
        path = numbered(tmp_path / "a.h5", {"layers/dense": [KERNEL]})
        with h5py.File(path, "r+") as file:
            file["layers/dense/more"] = file["layers/dense"]
        with pytest.raises(ValueError, match="more than 16 deep"):
            read_keras(path)


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    return pytest.importorskip("keras")


@pytest.mark.golden
class TestWrittenByKeras:
    def model(self, keras):
        layers = keras.layers
        keras.utils.set_random_seed(0)
        inner = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2D(2, 3, use_bias=False), layers.Conv2D(2, 1)], name="inner")
        x = start = keras.Input((8, 8, 3))
        for part in (
            layers.Conv2D(4, 3, name="zulu"),
            layers.BatchNormalization(name="norm"),
            layers.SeparableConv2D(5, 3, name="separable"),
            layers.BatchNormalization(scale=False, name="norm_without_scale"),
            layers.DepthwiseConv2D(1, name="depthwise"),
            layers.Dropout(0.1, seed=1),
            layers.Conv2D(2, 1, name="alpha"),
            inner,
            layers.Reshape((4, 2)),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(3, name="out"),
        ):
            x = part(x)
        model = keras.Model(start, x)
        for weight in model.weights:
            weight.assign(np.random.default_rng(len(weight.path)).normal(size=weight.shape))
        model.compile("adam", "mse")
        return model

    @pytest.mark.parametrize("name", ["a.h5", "a.keras", "a.weights.h5", "weights.h5"])
    def test_every_array_by_its_name(self, keras, tmp_path, name):
        model = self.model(keras)
        if name == "weights.h5":  # the legacy layout of weights alone, which Keras 3 writes no more by itself
            legacy_format = pytest.importorskip("keras.src.legacy.saving.legacy_h5_format")
            with h5py.File(tmp_path / name, "w") as file:
                legacy_format.save_weights_to_hdf5_group(file, model)
        elif name == "a.weights.h5":
            model.save_weights(tmp_path / name)
        else:
            model.save(tmp_path / name)
        found = read_keras(tmp_path / name)
        expected = {weight.path.removeprefix("sequential/"): np.asarray(weight) for weight in model.weights if "seed" not in weight.path}
        assert set(found.arrays) == set(expected) and len(expected) == 27
        for key, array in expected.items():
            np.testing.assert_array_equal(found.arrays[key], array, err_msg=key)
        if name != "a.weights.h5":
            assert found.layers == tuple(layer.name for layer in model.layers)
            assert [key.split("/")[0] for key in found.arrays][:2] == ["zulu", "zulu"]

    def test_published_file(self, keras):
        path = shared_data("models", "mini_xception_fer2013", "fer2013_mini_XCEPTION.102-0.66.hdf5")
        model = keras.models.load_model(path, compile=False)
        found = read_keras(path)
        assert found.layers == tuple(layer.name for layer in model.layers)
        expected = {f"{layer.name}/{weight.name}": np.asarray(weight) for layer in model.layers for weight in layer.weights}
        assert list(found.arrays) == list(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(found.arrays[key], array, err_msg=key)
