"""Model folders with safetensors: whole, in shards, in half precision, damaged, and another network's."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from avemo_jax.pretrained.model_folder import model_files, read_model_folder

ARRAYS = {
    "encoder.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "encoder.b": np.ones(4, np.float32),
    "decoder.c": np.ones(9, np.float32),
}
CONFIG = {"model_type": "made", "width": 3}


def folder_of(path, arrays=ARRAYS, config=CONFIG):
    save_file(arrays, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


def read(path, largest_bytes=1000):
    return read_model_folder(path, largest_bytes, expect={"model_type": "made", "width": 3}, leave_out=("decoder.",))


def test_a_folder_is_read_without_what_is_left_out(tmp_path):
    found = read(folder_of(tmp_path))
    assert set(found) == {"encoder.a", "encoder.b"}
    np.testing.assert_array_equal(found["encoder.a"], ARRAYS["encoder.a"])
    assert [file.name for file in model_files(tmp_path)] == ["config.json", "model.safetensors"]


def test_a_file_alone_is_read(tmp_path):
    folder_of(tmp_path)
    assert set(read(tmp_path / "model.safetensors")) == {"encoder.a", "encoder.b"}


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_keep_their_values(tmp_path, dtype):
    found = read(folder_of(tmp_path, {name: array.astype(dtype) for name, array in ARRAYS.items()}))
    np.testing.assert_array_equal(found["encoder.a"], ARRAYS["encoder.a"])
    assert found["encoder.a"].dtype == (np.float64 if dtype is np.float64 else np.float32)


def test_shards_are_read_together(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file({"encoder.a": ARRAYS["encoder.a"]}, tmp_path / "model-1.safetensors")
    save_file({"encoder.b": ARRAYS["encoder.b"]}, tmp_path / "model-2.safetensors")
    write_index(tmp_path, {"encoder.a": "model-1.safetensors", "encoder.b": "model-2.safetensors"})
    assert set(read(tmp_path)) == {"encoder.a", "encoder.b"}
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected model-2\.safetensors"):
        read(tmp_path)


def write_index(folder, weight_map):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "other/model.safetensors", "model.bin"])
def test_an_index_names_only_files_of_its_folder(tmp_path, name):
    folder_of(tmp_path)
    write_index(tmp_path, {"encoder.a": name})
    with pytest.raises(ValueError, match="in its own folder"):
        read(tmp_path)


@pytest.mark.parametrize("weight_map", [None, [], {}, {"a": 3}])
def test_an_index_without_names_is_refused(tmp_path, weight_map):
    folder_of(tmp_path)
    write_index(tmp_path, weight_map)
    with pytest.raises(ValueError, match="expected a weight_map"):
        read(tmp_path)


def test_another_networks_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected width 3, found width 4; choose the encoder that fits"):
        read(folder_of(tmp_path, config=CONFIG | {"width": 4}))


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff"])
def test_a_damaged_config_is_refused(tmp_path, text):
    folder_of(tmp_path)
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"config\.json: expected"):
        read(tmp_path)


@pytest.mark.parametrize("change", ["cut", "empty", "header", "text"])
def test_a_damaged_file_is_refused(tmp_path, change):
    file = folder_of(tmp_path) / "model.safetensors"
    whole = file.read_bytes()
    damaged = {"cut": whole[:-5], "empty": b"", "header": b"\xff" * 8 + whole[8:], "text": b"<html>not found</html>"}
    file.write_bytes(damaged[change])
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        read(tmp_path)


def test_more_than_the_network_has_is_refused_before_it_is_read(tmp_path):
    with pytest.raises(ValueError, match="holds more than this network has"):
        read(folder_of(tmp_path), largest_bytes=30)


def test_numbers_that_are_no_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"encoder\.a has I64"):
        read(folder_of(tmp_path, {"encoder.a": np.arange(3)}))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_with_what_to_do(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ValueError, match=rf"expected model\.safetensors, found {name}, which is pickled.*save_pretrained"):
            model_files(path)
    folder_of(tmp_path)  # beside safetensors it is not read
    assert set(read(tmp_path)) == {"encoder.a", "encoder.b"}


def test_what_a_config_does_not_state_has_the_default(tmp_path):
    folder_of(tmp_path)
    for default, is_refused in ((7, False), (8, True)):
        arguments = {"expect": {"height": 7}, "defaults": {"height": default}}
        if is_refused:
            with pytest.raises(ValueError, match="expected height 7, found height 8"):
                read_model_folder(tmp_path, 1000, **arguments)
        else:
            assert read_model_folder(tmp_path, 1000, **arguments)
