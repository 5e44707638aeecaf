import builtins

import numpy as np
import pytest
from tensorflow_files import write_checkpoint

from avemo_jax.pretrained.tensorflow_checkpoint import checkpoint_files, read_checkpoint

ARRAYS = {"net/a/w": np.arange(6, dtype=np.float32).reshape(2, 3), "net/a/b": np.arange(3, dtype=np.float32)}


@pytest.mark.parametrize("version", [1, 2])
def test_both_formats_are_read(tmp_path, version):
    path = write_checkpoint(tmp_path / "model.ckpt", ARRAYS, version=version)
    found = read_checkpoint(path, 10_000)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_its_files_are_found_by_any_of_its_names(tmp_path):
    path = write_checkpoint(tmp_path / "model.ckpt", ARRAYS, version=2)
    names = ["model.ckpt.index", "model.ckpt.data-00000-of-00001"]
    assert [file.name for file in checkpoint_files(path)] == names
    assert [file.name for file in checkpoint_files(tmp_path / "model.ckpt.index")] == names
    assert set(read_checkpoint(tmp_path / "model.ckpt.index", 10_000)) == set(ARRAYS)
    (tmp_path / names[1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"no TensorFlow checkpoint .*model\.ckpt; expected .*data-00000-of-00001"):
        read_checkpoint(path, 10_000)


def test_claims_are_added_up_before_anything_is_read(tmp_path):
    path = write_checkpoint(tmp_path / "model.ckpt", ARRAYS, version=2)
    with pytest.raises(ValueError, match="claim 36 bytes, expected 35 at most"):
        read_checkpoint(path, 35)
    path = write_checkpoint(tmp_path / "strange.ckpt", {**ARRAYS, "step": np.zeros((), np.int64)}, version=2)
    with pytest.raises(ValueError, match="floating-point numbers alone, found step"):
        read_checkpoint(path, 10_000)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("damage", ["torn", "changed", "other"])
def test_a_damaged_file_is_said(tmp_path, version, damage):
    path = write_checkpoint(tmp_path / "model.ckpt", {"w": np.arange(1000, dtype=np.float32)}, version=version)
    file = checkpoint_files(path)[-1]
    content = bytearray(file.read_bytes())
    if damage == "torn":
        content = content[: len(content) // 2]
    elif damage == "changed":
        content[len(content) // 2] ^= 1
    else:
        content = bytearray(b"<html>not found</html>" * 100)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.ckpt: expected a whole TensorFlow checkpoint"):
        read_checkpoint(path, 10_000)


def test_without_tensorflow_it_says_how_to_mend_it(tmp_path, monkeypatch):
    path = write_checkpoint(tmp_path / "model.ckpt", ARRAYS, version=2)
    original = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match=r"model\.ckpt and is not installed: .*pip install 'tensorflow"):
        read_checkpoint(path, 10_000)
