"""Weights out of a model folder as Hugging Face's libraries write it: config.json beside safetensors, in one file or in shards.

Nothing in them is executed or unpickled: safetensors hold plain arrays, the other files are JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from avemo_jax.pretrained.assets import Asset, File

CONVERT = (
    'convert it on a machine that you trust: python -c "import transformers as t; '
    "[kind.from_pretrained('NAME').save_pretrained('FOLDER') for kind in (t.AutoModel, t.AutoFeatureExtractor)]\", with its owner's NAME "
    "and a new FOLDER"
)
_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LARGEST_JSON_BYTES = 16 << 20
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # kinds of numbers that weights have


def published_folder(name: str, content: str, files: Sequence[str], *, licence: str, cite: str) -> Asset:
    """Return a model folder on Hugging Face as an asset; its owner publishes no sums beside the files.

    Args:
      name: owner and folder, "openai/whisper-base".
      content: what it is.
      files: names of the files that are fetched, config.json first.
      licence, cite: see `Asset`.
    """
    page, folder = f"https://huggingface.co/{name}", name.rpartition("/")[2]
    found = tuple(File(f"{folder}/{file}", f"{page}/resolve/main/{file}") for file in files)
    return Asset(found, content, page=page, licence=licence, cite=cite, open_name=folder)


def weight_and_bias(theirs: str, ours: str) -> dict[str, str]:
    """Return the names of a module of torch -> paths of ours; Flax names the weight of a norm `scale`, that of other modules `kernel`."""
    weight = "scale" if "norm" in ours.rpartition("/")[2] else "kernel"
    return {f"{theirs}.weight": f"params/{ours}/{weight}", f"{theirs}.bias": f"params/{ours}/bias"}


def model_files(path: Path, *, convert: str = f"Get the safetensors from its owner, or {CONVERT}") -> list[Path]:
    """Return the files that weights are read from: a safetensors file, or those of a model folder, config.json first.

    Args:
      convert: a sentence that says how to make safetensors of pickled weights.

    Raises:
      ValueError: the folder's index is damaged or names a file outside of it, or the weights are pickled.
    """
    if not path.is_dir():
        _refuse_pickled(path, [path], convert)
        return [path]
    if not (path / _WEIGHTS).is_file() and not (path / _INDEX).is_file():
        _refuse_pickled(path, sorted(path.iterdir()), convert)
    shards = [path / _WEIGHTS] if not (path / _INDEX).is_file() else _shards(path / _INDEX)
    return [path / _CONFIG, *shards]


def read_model_folder(
    path: Path,
    largest_bytes: int,
    *,
    expect: Mapping[str, Any],
    leave_out: tuple[str, ...] = (),
    section: str = "",
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """Read the arrays of a model folder, or of a safetensors file alone.

    Args:
      path: folder or file.
      largest_bytes: the most that the arrays may have together.
      expect: values that config.json must have; a file alone has no config and is not checked.
      leave_out: beginnings of names that are not read.
      section: part of config.json that describes the network, where it describes several; config.json itself where it has no such part.
      defaults: values that the owner's library does not write, as they are its defaults.

    Returns:
      Name -> array in float32, or float64 where it is stored so.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is damaged, is another network's, or holds more than `largest_bytes`.
    """
    files = model_files(path)
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{path}: expected {file.name} in it; get the whole folder from its owner")
    if path.is_dir():
        config = read_json(files[0])
        described = config.get(section)
        _check_config(files.pop(0), {**defaults, **(described if isinstance(described, dict) else config)}, expect)
    arrays: dict[str, np.ndarray] = {}
    left_bytes = largest_bytes
    for file in files:
        for name, array in _arrays(file, left_bytes, leave_out):
            if name in arrays:
                raise ValueError(f"{path}: {name} stands in two of its files; get the whole folder from its owner")
            arrays[name] = array
            left_bytes -= array.nbytes
    return arrays


def read_beside(path: Path, name: str) -> dict[str, Any]:
    """Read a further JSON file of a model folder; {} where there is no such file, or `path` is a file.

    Raises:
      ValueError: it is damaged.
    """
    return read_json(path / name) if (path / name).is_file() else {}


def _refuse_pickled(path: Path, files: Iterable[Path], convert: str) -> None:
    if pickled := [file.name for file in files if file.suffix in _PICKLED]:
        raise ValueError(
            f"{path}: expected {_WEIGHTS}, found {pickled[0]}, which is pickled: reading it would run code that it contains. {convert}"
        )


def _check_config(file: Path, config: Mapping[str, Any], expect: Mapping[str, Any]) -> None:
    wrong = {name: config.get(name) for name, value in expect.items() if config.get(name) != value}
    if wrong:
        found, expected = (", ".join(f"{name} {values[name]!r}" for name in wrong) for values in (wrong, expect))
        raise ValueError(f"{file} describes another network: expected {expected}, found {found}; choose the encoder that fits the folder")


def _arrays(file: Path, left_bytes: int, leave_out: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a safetensors file by name, in the order of names."""
    import safetensors  # late: hosts that train from scratch lack it

    try:
        with safetensors.safe_open(file, framework="numpy") as tensors:
            for name in sorted(tensors.keys()):
                if name.startswith(leave_out):
                    continue
                described = tensors.get_slice(name)
                kind, shape = described.get_dtype(), described.get_shape()
                if kind not in _ITEM_BYTES:
                    raise ValueError(f"{file}: expected numbers of the kinds {', '.join(_ITEM_BYTES)}, {name} has {kind}")
                needed_bytes = math.prod(shape) * max(4, _ITEM_BYTES[kind])
                if needed_bytes > left_bytes:
                    raise ValueError(f"{file} holds more than this network has, from {name} on ({needed_bytes:,} bytes)")
                left_bytes -= needed_bytes
                array = tensors.get_tensor(name)
                yield name, array if array.dtype == np.float64 else array.astype(np.float32)
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{file}: expected a whole safetensors file, reading it stopped with: {error}; get the file anew") from error


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{index}: expected a weight_map, name of an array -> file; get the file anew")
    files = sorted(set(names.values()))
    if outside := [name for name in files if Path(name).name != name or not name.endswith(".safetensors")]:
        raise ValueError(f"{index}: expected names of safetensors files in its own folder, found {outside[0]!r}")
    return [index.parent / name for name in files]


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder.

    Raises:
      ValueError: the file is damaged, too large, or holds something else.
    """
    if file.stat().st_size > _LARGEST_JSON_BYTES:
        raise ValueError(f"{file}: expected at most {_LARGEST_JSON_BYTES:,} bytes of JSON, found {file.stat().st_size:,}")
    try:
        content = json.loads(file.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: expected JSON, found {error}; get the file anew") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(content).__name__}; get the file anew")
    return content
