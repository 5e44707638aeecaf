"""Shards of TensorFlow.js, written by hand, and damaged ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from avemo_jax.pretrained.tensorflow_js import read_shards


def written(folder, weights, data, paths=("net-shard1",)):
    """A manifest and its shards; `data` is cut into as many equal parts as there are shards."""
    manifest = folder / "net-weights_manifest.json"
    manifest.write_text(json.dumps([{"weights": weights, "paths": list(paths)}]))
    size = -(-len(data) // len(paths))
    for number, name in enumerate(paths):
        (folder / name).write_bytes(data[number * size : (number + 1) * size])
    return manifest


QUANTISED = {"name": "conv/filters", "shape": [2, 3], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}}
PLAIN = {"name": "conv/bias", "shape": [2], "dtype": "float32"}
DATA = bytes([0, 1, 2, 3, 4, 255]) + np.array([1.5, -2], "<f4").tobytes()


@pytest.mark.parametrize("paths", [("net-shard1",), ("net-shard1", "net-shard2", "net-shard3")])
def test_values_and_names(tmp_path, paths):
    found = read_shards(written(tmp_path, [QUANTISED, PLAIN], DATA, paths))
    assert list(found) == ["conv/filters", "conv/bias"] and all(array.dtype == np.float32 for array in found.values())
    np.testing.assert_array_equal(found["conv/filters"], [[-1, -0.5, 0], [0.5, 1, 126.5]])
    np.testing.assert_array_equal(found["conv/bias"], [1.5, -2])


def test_sixteen_bits(tmp_path):
    entry = QUANTISED | {"shape": [2], "quantization": {"dtype": "uint16", "scale": 2.0, "min": 0.0}}
    found = read_shards(written(tmp_path, [entry], np.array([1, 513], "<u2").tobytes()))
    np.testing.assert_array_equal(found["conv/filters"], [2, 1026])


class TestRefused:
    def test_files_that_are_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*; expected a manifest of face-api\.js"):
            read_shards(tmp_path / "net-weights_manifest.json")
        manifest = written(tmp_path, [PLAIN], DATA[6:])
        (tmp_path / "net-shard1").unlink()
        with pytest.raises(FileNotFoundError, match=r"net-shard1, which net-weights_manifest\.json names"):
            read_shards(manifest)

    @pytest.mark.parametrize("text", ["", "<html>", '{"weights": []}', "[1]", '[{"paths": []}]'])
    def test_foreign_manifest(self, tmp_path, text):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match=r"a\.json: expected a (manifest in JSON|list of groups)"):
            read_shards(tmp_path / "a.json")

    def test_shards_of_another_length(self, tmp_path):
        with pytest.raises(ValueError, match="conv/bias ends at byte 14, the shards at 13"):
            read_shards(written(tmp_path, [QUANTISED, PLAIN], DATA[:-1]))
        with pytest.raises(ValueError, match="its arrays take 14 bytes, and net-shard1 has 16"):
            read_shards(written(tmp_path, [QUANTISED, PLAIN], DATA + b"  "))

    @pytest.mark.parametrize(
        "change",
        [
            {"dtype": "string"},
            {"shape": [-2]},
            {"shape": None},
            {"quantization": {"dtype": "object", "scale": 1, "min": 0}},
            {"quantization": {"dtype": "uint8", "scale": "x", "min": 0}},
        ],
    )
    def test_entries_that_are_no_plain_numbers(self, tmp_path, change):
        with pytest.raises(ValueError, match=r"expected (name, shape|float32)"):
            read_shards(written(tmp_path, [PLAIN | change], DATA))

    def test_manifest_larger_than_any_network_has(self, tmp_path):
        path = tmp_path / "net-weights_manifest.json"
        path.write_text("[" + " " * (4 << 20) + "]")
        with pytest.raises(ValueError, match=r"has 4194306 bytes, expected a manifest of 4194304 at most"):
            read_shards(path)

    def test_claims_beyond_the_shards(self, tmp_path):
        with pytest.raises(ValueError, match="get them anew"):
            read_shards(written(tmp_path, [PLAIN | {"shape": [1 << 40, 1 << 40]}], DATA))

    def test_two_arrays_of_one_name(self, tmp_path):
        with pytest.raises(ValueError, match="two arrays are named conv/bias"):
            read_shards(written(tmp_path, [PLAIN, PLAIN], bytes(16)))

    @pytest.mark.parametrize("name", ["../net-shard1", "/etc/hostname", "folder/net-shard1"])
    def test_shards_elsewhere(self, tmp_path, name):
        manifest = tmp_path / "a.json"
        manifest.write_text(json.dumps([{"weights": [PLAIN], "paths": [name]}]))
        with pytest.raises(ValueError, match="expected the name of a file beside it"):
            read_shards(manifest)
