"""Read weights from the files that Keras writes, without Keras: legacy HDF5, `.weights.h5` and `.keras`.

Nothing in them is executed or unpickled: of an HDF5 file only plain arrays of numbers and plain strings are read, of a `.keras` archive
its array file and its JSON.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # imported late: hosts that only train have no HDF5
    import h5py

from avemo_jax.placeholders import placeholder

__all__ = ["KerasWeights", "read_keras", "read_network"]

_LARGEST_BYTES = 4 << 30  # of all arrays, where the caller does not know better; VGG19 has 0.6 GB
_LARGEST_CONFIG_BYTES = 4 << 20  # networks of 1,000 layers have 1 MB; as Python objects JSON takes up to 30 times its size
_DEEPEST = 16  # groups in groups; a link back to an enclosing group would never end
_MOST_GROUPS = 100_000  # many names for one group would take forever

# Arrays of a layer in the order in which Keras 3 numbers them. A layer without bias has one less; see _norm_names for norms.
_CONV, _CELL = ("kernel", "bias"), ("kernel", "recurrent_kernel", "bias")
_ARRAY_NAMES: dict[str, tuple[str, ...]] = {
    **{kind: _CONV for kind in ("dense", "conv1d", "conv2d", "conv3d", "conv2d_transpose", "depthwise_conv1d", "depthwise_conv2d")},
    **{kind: ("depthwise_kernel", "pointwise_kernel", "bias") for kind in ("separable_conv1d", "separable_conv2d")},
    **{kind: _CELL for kind in ("simple_rnn_cell", "gru_cell", "lstm_cell")},
    "embedding": ("embeddings",),
    "p_re_lu": ("alpha",),
}
_NOT_WEIGHTS = ("optimizer", "metrics", "seed_generator")  # a training run's state
_KERAS_1_NAMES = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


@dataclasses.dataclass(frozen=True)
class KerasWeights:
    """The content of a Keras file.

    Attributes:
      arrays: "layer/weight" -> array as stored, in the order of the layers where the file has one. Layers in a layer add their names:
        "inner/conv2d_1/kernel".
      layers: names of the model's own layers in its order, those without weights included; None where the file has none
        (`.weights.h5`).
    """

    arrays: dict[str, np.ndarray]
    layers: tuple[str, ...] | None


def read_keras(path: Path, largest_bytes: int = _LARGEST_BYTES) -> KerasWeights:
    """Read the weights of a Keras file in any of its formats.

    - Legacy HDF5, a model's (`model_weights`) or its weights' alone: names as in the file, without the name scope and ":0"; those of
      Keras 1 ("conv1_W") become those of later versions ("kernel"). Kernels that were written with Theano come as TensorFlow's.
    - `.keras`: arrays are numbered in groups named for kinds of layers; layers are resolved by `config.json`.
    - `.weights.h5`: the same groups without that file. Layers have the names that Keras since 3.6 stores beside the arrays, else those
      of the groups ("conv2d_1": the second convolution of this model). A batch norm of three arrays is taken to lack gamma.

    Arrays of kinds of layers that this module does not know keep their number ("my_layer/0"). The state of optimisers, metrics and
    random generators is left out.

    Args:
      path: the file.
      largest_bytes: the most that all arrays may have together; a few bytes of file can claim any size.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no Keras file, is damaged, or contains anything but plain numbers in groups.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; expected weights written by Keras (.h5, .hdf5, .weights.h5 or .keras)")
    if what := placeholder(path):
        raise ValueError(f"{path}: expected weights written by Keras, and it is {what}")
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(path, largest_bytes)
        with h5py.File(path, "r") as file:
            return _read_hdf5(file, None, _Budget(path, largest_bytes), path)
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected a whole HDF5 or .keras file, reading it stopped with: {error}; get the file anew") from error


def read_network(path: Path, largest_bytes: int = _LARGEST_BYTES) -> dict[str, np.ndarray]:
    """Return the arrays of a Keras file with the network that most of them belong to taken out of the model around it.

    A network that was used as one layer of a person's own model, as in `Sequential([VGG16(...), Dense(7)])`, has its name before those of
    its layers: "vgg16/block1_conv1/kernel" becomes "block1_conv1/kernel". Arrays beside it keep their names.

    Args, Raises: as `read_keras`.
    """
    arrays = read_keras(path, largest_bytes).arrays
    while (outer := _layer_of_layers(arrays)) is not None:
        inner = {name.removeprefix(f"{outer}/"): array for name, array in arrays.items() if name.startswith(f"{outer}/")}
        beside = {name: array for name, array in arrays.items() if not name.startswith(f"{outer}/")}
        if twice := sorted(inner.keys() & beside.keys()):
            raise ValueError(f"{path}: {twice[0]} is the name of an array in the layer {outer} and of one beside it; rename a layer")
        arrays = inner | beside
    return arrays


def _layer_of_layers(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The layer that has several layers with arrays of their own and most of the arrays, or None."""
    layers: dict[str, list[str]] = {}
    for name in arrays:
        parts = name.split("/")
        if len(parts) > 2:
            layers.setdefault(parts[0], []).append("/".join(parts[1:-1]))
    outer = max(layers, key=lambda name: len(layers[name]), default=None)
    if outer is None or len(set(layers[outer])) < 2 or len(layers[outer]) <= len(arrays) / 2:
        return None
    return outer


def _read_archive(path: Path, largest_bytes: int) -> KerasWeights:
    import h5py

    with zipfile.ZipFile(path) as archive:
        # training leaves up to two more numbers a weight in the same file, and HDF5 some overhead
        largest = {"config.json": _LARGEST_CONFIG_BYTES, "model.weights.h5": 4 * largest_bytes + (16 << 20)}
        members = {info.filename: info for info in archive.infolist()}
        for name in largest:
            if name not in members:
                raise ValueError(f"{path}: expected {name} in the archive that .keras files are, found {', '.join(members) or 'nothing'}")
            if members[name].file_size > largest[name]:
                raise ValueError(f"{path}: {name} claims {members[name].file_size} bytes, expected {largest[name]} at most")
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return _read_hdf5(file, config, _Budget(path, largest_bytes), path)


def _read_hdf5(file: h5py.File, config: Mapping[str, Any] | None, budget: _Budget, path: Path) -> KerasWeights:
    legacy = _group(file, "model_weights", path) if "model_weights" in file else file
    if config is None and (layers := _names(legacy, "layer_names", path)) is not None:
        arrays = _by_name(_legacy_arrays(legacy, layers, budget, path), path)
        if _backend(file, legacy) == "theano":
            arrays = {name: _turned(array, name, path) for name, array in arrays.items()}
        return KerasWeights(arrays, tuple(layers))
    if config is None and "nb_layers" in legacy.attrs:
        raise ValueError(
            f"{path}: Keras 0.x wrote it (nb_layers), without names of layers; load it with Keras 1 or 2 and save the weights anew"
        )
    known = _layers_of(config, path)
    arrays = _by_name(_numbered_arrays(file, "", "", known, budget, path), path)
    if not arrays:
        raise ValueError(
            f"{path}: found no weights; expected the attribute layer_names (legacy HDF5) or arrays in groups named vars (Keras 3), "
            f"found {', '.join(file) or 'an empty file'}"
        )
    order = None if known is None else tuple(layer.name for layer in known.values())
    return KerasWeights(_ordered(arrays, order), order)


def _backend(*groups: h5py.Group) -> str:
    """The library that computed for Keras when it wrote the file, in lower case; "" where the file does not say."""
    found = next((group.attrs["backend"] for group in groups if "backend" in group.attrs), "")
    return (found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)).lower()


def _turned(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """A kernel of Theano, which convolves, as one of TensorFlow, which correlates: reversed along its spatial axes, as Keras does it."""
    leaf = name.rpartition("/")[2]
    if leaf == "kernel" and array.ndim > 2:
        return np.ascontiguousarray(np.flip(array, axis=tuple(range(array.ndim - 2))))
    if leaf in ("depthwise_kernel", "pointwise_kernel"):
        raise ValueError(f"{path}: {name} was written with Theano, of which Keras states no conversion; load and save it with TensorFlow")
    return array


class _Budget:
    """Counts groups and the bytes of all arrays, before they are read."""

    def __init__(self, path: Path, largest_bytes: int):
        self._path = path
        self._largest_bytes = self._left = largest_bytes
        self._num_groups = 0

    def enter(self, group: h5py.Group) -> None:
        """Count a group, and its depth."""
        self._num_groups += 1
        if group.name.count("/") > _DEEPEST or self._num_groups > _MOST_GROUPS:
            raise ValueError(f"{self._path}: groups lie more than {_DEEPEST} deep or are too many; expected the weights of one network")

    def read(self, group: h5py.Group, name: str) -> np.ndarray:
        """Read a data set of plain numbers."""
        item = _child(group, name, self._path)
        where = f"{self._path}: {item.name}"
        if not hasattr(item, "dtype"):
            raise ValueError(f"{where}: expected an array, found a group")
        if item.dtype.kind not in "fiu":
            raise ValueError(f"{where}: expected an array of numbers, found the type {item.dtype}")
        if item.external or item.is_virtual:
            raise ValueError(f"{where}: its numbers are in another file; expected a file that is whole by itself")
        self._left -= item.size * item.dtype.itemsize
        if self._left < 0:
            raise ValueError(f"{where}: the arrays claim more than {self._largest_bytes} bytes; expected the weights of one network")
        return item[()]


def _by_name(named: Iterator[tuple[str, np.ndarray]], path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name, array in named:
        if name in arrays:
            raise ValueError(f"{path}: two arrays are named {name}")
        arrays[name] = array
    return arrays


def _child(group: h5py.Group, name: str, path: Path) -> Any:
    """A member of a group, reached by hard links alone, as Keras makes them; `name` may have several parts."""
    import h5py

    item: Any = group
    for part in name.split("/"):
        if not isinstance(item, h5py.Group) or part not in item:
            raise ValueError(f"{path}: {group.name} names {name!r}, and there is no such array")
        if not isinstance(item.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{path}: {item.name}/{part} is a link elsewhere; expected a file that is whole by itself")
        item = item[part]
    return item


def _group(parent: h5py.Group, name: str, path: Path) -> h5py.Group:
    item = _child(parent, name, path)
    if hasattr(item, "dtype"):
        raise ValueError(f"{path}: {item.name}: expected a group, found an array; Keras 3 puts arrays in groups named vars alone")
    return item


def _names(group: h5py.Group, attribute: str, path: Path) -> list[str] | None:
    """A list of names stored with a group; Keras spreads long ones over several attributes with numbers behind their names."""
    parts = [attribute] if attribute in group.attrs else []
    while parts[:1] != [attribute] and f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    if not parts:
        return None
    names: list[str] = []
    for part in parts:
        for name in np.atleast_1d(group.attrs[part]).tolist():
            if not isinstance(name, bytes | str):
                raise ValueError(f"{path}: {group.name}: expected names in the attribute {part}, found {name!r}")
            names.append(name.decode() if isinstance(name, bytes) else name)
    return names


def _legacy_arrays(root: h5py.Group, layers: list[str], budget: _Budget, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    top = ["top_level_model_weights"] if "top_level_model_weights" in root else []
    for layer in (*layers, *top):
        group = _group(root, layer, path)
        for stored in _names(group, "weight_names", path) or []:
            yield f"{layer}/{_legacy_weight(layer, stored)}", budget.read(group, stored)


def _legacy_weight(layer: str, stored: str) -> str:
    """The weight's own name: "conv_1/kernel:0" and "conv/kernel" of the layer "conv" are "kernel", as is Keras 1's "conv_W_1:0"."""
    stored = stored.split(":")[0]
    scope, _, rest = stored.partition("/")
    if rest and re.fullmatch(rf"{re.escape(layer)}(_\d+)?", scope):
        return rest
    match = re.fullmatch(rf"{re.escape(layer)}_(W|b|gamma|beta|running_mean|running_std)(_\d+)?", stored)
    return _KERAS_1_NAMES.get(match[1], match[1]) if match else stored


@dataclasses.dataclass(frozen=True)
class _Layer:
    """What config.json says of a layer: its name, its parameters, and the layers in it by the names of their groups."""

    name: str
    config: Mapping[str, Any]
    layers: Mapping[str, _Layer] | None


def _layers_of(config: Any, path: Path) -> dict[str, _Layer] | None:
    """The layers of a model by the names of their groups: the kind of layer, and from the second of a kind on a number."""
    if not isinstance(config, Mapping) or not isinstance(config.get("config"), Mapping):
        return None
    listed = config["config"].get("layers")
    if not isinstance(listed, list):
        return None
    counts: dict[str, int] = {}
    layers: dict[str, _Layer] = {}
    for entry in listed:
        try:
            kind, parameters = _snake_case(entry["class_name"]), entry["config"]
            layer = _Layer(parameters["name"], parameters, _layers_of(entry, path))
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: config.json: expected class_name, config and its name of every layer, missed {error}") from error
        number = counts[kind] = counts.get(kind, -1) + 1
        layers[f"{kind}_{number}" if number else kind] = layer
    return layers


def _snake_case(class_name: str) -> str:
    """As Keras names groups: "Conv2D" -> "conv2d", "PReLU" -> "p_re_lu"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _numbered_arrays(
    group: h5py.Group, prefix: str, kind: str, known: Mapping[str, _Layer] | None, budget: _Budget, path: Path, layer: _Layer | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of a group and of the groups in it; `prefix` are the names of the layers on the way, `kind` is this layer's."""
    budget.enter(group)
    for name in group:
        if name in _NOT_WEIGHTS:
            continue
        child = _group(group, name, path)
        if name == "vars":
            yield from _own_arrays(child, prefix, kind, layer, budget, path)
        elif name == "layers":
            for part in child:
                inner = _group(child, part, path)
                if known is not None and part not in known:
                    raise ValueError(f"{path}: config.json has no layer for the group {inner.name}; it has: {', '.join(known)}")
                of_layer = None if known is None else known[part]
                label = _own_name(inner, part, path) if of_layer is None else of_layer.name
                below = None if of_layer is None else of_layer.layers
                yield from _numbered_arrays(inner, f"{prefix}{label}/", _kind(part), below, budget, path, of_layer)
        else:  # a layer that is an attribute of another: the cell of a recurrent layer, the two of a bidirectional one
            label = _own_name(child, name, path)
            yield from _numbered_arrays(child, f"{prefix}{label}/", _kind(label), None, budget, path)


def _kind(group_name: str) -> str:
    return re.sub(r"_\d+$", "", group_name)


def _own_name(group: h5py.Group, otherwise: str, path: Path) -> str:
    """The layer's name where the file has it beside the arrays."""
    stored = _group(group, "vars", path).attrs.get("name", otherwise) if "vars" in group else otherwise
    return stored.decode() if isinstance(stored, bytes) else str(stored)


def _own_arrays(
    group: h5py.Group, prefix: str, kind: str, layer: _Layer | None, budget: _Budget, path: Path
) -> Iterator[tuple[str, np.ndarray]]:
    numbers = sorted(group, key=lambda name: (len(name), name))
    if numbers != [str(index) for index in range(len(numbers))]:
        raise ValueError(f"{path}: {group.name}: expected arrays 0 to {len(numbers) - 1}, found {', '.join(numbers)}")
    if kind == "batch_normalization":
        names = _norm_names(len(numbers), layer)
        if len(names) != len(numbers):
            raise ValueError(f"{path}: {group.name}: expected the arrays {', '.join(names)}, found {len(numbers)}")
    else:
        names = _ARRAY_NAMES.get(kind, ())
    if len(names) < len(numbers):
        names = tuple(numbers)
    for name, number in zip(names, numbers, strict=False):
        yield f"{prefix}{name}", budget.read(group, number)


def _norm_names(num_arrays: int, layer: _Layer | None) -> tuple[str, ...]:
    """Names of a batch norm's arrays: gamma and beta may be absent."""
    scale, center = num_arrays == 4, num_arrays >= 3
    if layer is not None:
        scale, center = layer.config.get("scale", scale), layer.config.get("center", center)
    return (*(("gamma",) if scale else ()), *(("beta",) if center else ()), "moving_mean", "moving_variance")


def _ordered(arrays: dict[str, np.ndarray], layers: tuple[str, ...] | None) -> dict[str, np.ndarray]:
    if layers is None:
        return arrays
    place = {layer: index for index, layer in enumerate(layers)}
    return dict(sorted(arrays.items(), key=lambda item: place.get(item[0].split("/")[0], len(place))))
