"""Weights in the files of TensorFlow.js, as face-api.js publishes them: shards of numbers in 8 bits, and a manifest that describes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES: dict[str, np.dtype] = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4"), "uint8": np.dtype("u1"), "uint16": np.dtype("<u2")}
_LARGEST_BYTES = 1 << 28  # of all shards, where the caller does not know better; the nets used here have 0.4 MB

_LARGEST_MANIFEST_BYTES = 4 << 20


def read_shards(manifest_path: Path, largest_bytes: int = _LARGEST_BYTES) -> dict[str, np.ndarray]:
    """Read all arrays that a TensorFlow.js manifest names, by their names, in the manifest's order.

    Shards lie beside the manifest, joined in its order, arrays one after another, little endian. Quantised arrays are stored as uint8 or
    uint16 and mean stored x scale + min.

    Args:
      manifest_path: the file "<net>-weights_manifest.json".
      largest_bytes: the most that all arrays may have together.

    Returns:
      name -> float32 array (int32 where the manifest says so).

    Raises:
      FileNotFoundError: the manifest or a shard is not there.
      ValueError: the manifest is none, or the shards are not as long as it says.
    """
    manifest_path = Path(manifest_path)
    arrays: dict[str, np.ndarray] = {}
    num_bytes_left = largest_bytes
    for group in _groups(manifest_path):
        shards = [_shard(manifest_path, name) for name in group["paths"]]
        num_bytes_left -= sum(path.stat().st_size for path in shards)
        if num_bytes_left < 0:
            raise ValueError(f"{manifest_path}: its shards have more than {largest_bytes} bytes; expected the weights of one small net")
        data = b"".join(path.read_bytes() for path in shards)
        position = 0
        for entry in group["weights"]:
            array, num_bytes = _array(entry, data, position, manifest_path)
            if entry["name"] in arrays:
                raise ValueError(f"{manifest_path}: two arrays are named {entry['name']}")
            arrays[entry["name"]] = array
            position += num_bytes
        if position != len(data):
            raise ValueError(
                f"{manifest_path}: its arrays take {position} bytes, and {', '.join(group['paths'])} has {len(data)}; get the shards anew"
            )
    return arrays


def _groups(path: Path) -> list[Mapping[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; expected a manifest of face-api.js (<net>-weights_manifest.json)")
    if path.stat().st_size > _LARGEST_MANIFEST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, expected a manifest of {_LARGEST_MANIFEST_BYTES} at most")
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected a manifest in JSON, found something else ({error})") from error
    if not isinstance(groups, list) or not all(isinstance(group, dict) and {"paths", "weights"} <= set(group) for group in groups):
        raise ValueError(f"{path}: expected a list of groups with paths and weights, as TensorFlow.js writes it")
    return groups


def _shard(manifest_path: Path, name: str) -> Path:
    if Path(name).name != name:
        raise ValueError(f"{manifest_path}: expected the name of a file beside it, found {name!r}")
    path = manifest_path.with_name(name)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}, which {manifest_path.name} names; put it beside the manifest")
    return path


def _array(entry: Mapping[str, Any], data: bytes, position: int, path: Path) -> tuple[np.ndarray, int]:
    """The array that an entry of the manifest describes, and its bytes in the shards."""
    quantization = entry.get("quantization")
    try:
        name, shape, meant = entry["name"], tuple(int(size) for size in entry["shape"]), entry["dtype"]
        stored = _DTYPES[meant if quantization is None else quantization["dtype"]]
        scale, offset = (1.0, 0.0) if quantization is None else (float(quantization["scale"]), float(quantization["min"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected name, shape, dtype and quantization of plain numbers, found {dict(entry)}") from error
    if meant not in ("float32", "int32") or min(shape, default=0) < 0:
        raise ValueError(f"{path}: {name}: expected float32 or int32 of a plain shape, found {meant} of {shape}")
    num_bytes = math.prod(shape) * stored.itemsize
    if position + num_bytes > len(data):
        raise ValueError(f"{path}: {name} ends at byte {position + num_bytes}, the shards at {len(data)}; get them anew")
    values = np.frombuffer(data, stored, math.prod(shape), position).reshape(shape)
    if quantization is not None:
        values = values * np.float64(scale) + offset
    return values.astype(np.int32 if meant == "int32" else np.float32), num_bytes


def manifest_files(path: Path) -> list[Path]:
    """The manifest and its shards; the manifest alone where it is not there."""
    path = Path(path)
    return [path, *(_shard(path, name) for group in _groups(path) for name in group["paths"])] if path.is_file() else [path]
