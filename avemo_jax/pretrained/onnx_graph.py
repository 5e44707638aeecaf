"""ONNX files as graphs: the names of their inputs and tensors, and the part of a graph that computes chosen tensors.

Nothing in an ONNX file is executed or unpickled here: it is a protocol buffer, read with the package onnx. Weights may stand in a file
beside it ("external data"), in the same folder.

`python -m avemo_jax.pretrained.onnx_graph FILE` lists the inputs, and the tensors with floating-point numbers, in computing order.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.machine import pip_install
from avemo_jax.placeholders import placeholder
from avemo_jax.pretrained.assets import sha256_of
from avemo_jax.text import nearest, shorten_list

PACKAGES = ("onnx", "onnxruntime")
_LARGEST_BYTES = 2_000_000_000  # a protocol buffer holds no more
_MOST_NAMES = 20  # in a message


@dataclasses.dataclass(frozen=True)
class GraphInput:
    """An input of a graph.

    Attributes:
      name: of the input.
      shape: length of each axis; a name, or "" without one, where it is free.
      dtype: NumPy's name of the type of its numbers.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class CutGraph:
    """The part of a graph that computes chosen tensors from one input.

    Attributes:
      input: the input.
      content: the part as an ONNX file, which holds its weights.
    """

    input: GraphInput
    content: bytes


def missing_packages() -> tuple[str, ...]:
    """Return the packages that ONNX files need and that are not installed."""
    return tuple(name for name in PACKAGES if importlib.util.find_spec(name) is None)


def graph_files(path: Path) -> list[Path]:
    """Return the files of an ONNX model: the file itself, and those with external data, sorted.

    Raises:
      FileNotFoundError, ValueError: as `read_graph`.
    """
    return [path, *_external_files(path, read_graph(path))]


def graph_sha256(path: Path) -> str:
    """Return the SHA-256 of an ONNX file; with external data, that of the sums of all its files one after another."""
    return sha256_of(*graph_files(path))


def read_graph(path: Path) -> Any:
    """Read an ONNX file without its external data; return an `onnx.ModelProto`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no ONNX file, too large, or has external data outside of its folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; expected an ONNX file")
    if what := placeholder(path):
        raise ValueError(f"{path}: expected an ONNX file, and it is {what}")
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"{path}: expected an ONNX file of at most {_LARGEST_BYTES:,} bytes, found {path.stat().st_size:,}")
    if missing := missing_packages():
        raise ValueError(f"{path}: an ONNX file needs packages that are not installed: {', '.join(missing)}; {pip_install(*missing)}")
    import onnx  # late: an extra
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model(path, load_external_data=False)
    except DecodeError as error:
        raise ValueError(f"{path}: expected an ONNX file, reading it stopped with: {error}; get the file anew") from error
    if not model.graph.node:
        raise ValueError(f"{path}: expected an ONNX file with a network, and its graph is empty; get the file anew")
    _external_files(path, model)
    return model


def inputs_of(model: Any) -> tuple[GraphInput, ...]:
    """Return the inputs of a graph, without those that have a default (older files list their weights so)."""
    import onnx

    stored = {one.name for one in model.graph.initializer}
    found = []
    for one in model.graph.input:
        kind = one.type.tensor_type
        if one.name not in stored:
            shape = tuple(axis.dim_value if axis.HasField("dim_value") else axis.dim_param for axis in kind.shape.dim)
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind.elem_type else ""
            found.append(GraphInput(one.name, shape, dtype))
    return tuple(found)


def outputs_of(model: Any) -> tuple[str, ...]:
    """Return the names of the outputs of a graph."""
    return tuple(one.name for one in model.graph.output)


def tensor_names(model: Any) -> tuple[str, ...]:
    """Return the names of all tensors that depend on an input, in computing order."""
    moving = {one.name for one in inputs_of(model)}
    names = []
    for node in model.graph.node:  # ONNX orders nodes by computation
        if not moving.isdisjoint(_used_names(node)):
            found = list(filter(None, node.output))
            moving.update(found)
            names += found
    return tuple(names)


def cut_graph(path: Path, tensors: Sequence[str], input_name: str = "") -> CutGraph:
    """Cut out of an ONNX file the part that computes chosen tensors, which become its outputs.

    Args:
      path: the file.
      tensors: names of tensors of the graph; () takes its first output.
      input_name: the input that will be fed; "" where the part needs only one.

    Raises:
      FileNotFoundError, ValueError: as `read_graph`; a name that the graph lacks, with those that it has; a part that needs other inputs.
    """
    model = read_graph(path)
    tensors = tensors or outputs_of(model)[:1]
    names = tensor_names(model)
    if unknown := [name for name in tensors if name not in names]:
        raise ValueError(
            f"{path} has no tensor {unknown[0]!r}{nearest(unknown[0], names)}; its outputs: {', '.join(outputs_of(model))}; its tensors: "
            f"{shorten_list(names, _MOST_NAMES)} (`python -m {__spec__.name} {path}` lists all with their shapes)"
        )
    _keep_only(model.graph, tensors)
    needed = {name for node in model.graph.node for name in _used_names(node)}
    inputs = [one for one in inputs_of(model) if one.name in needed]
    known = ", ".join(one.name for one in inputs)
    if input_name and input_name not in {one.name for one in inputs}:
        raise ValueError(f"{path}: {', '.join(tensors)} depends on no input {input_name!r}; its inputs: {known}")
    if len(inputs) != 1:
        raise ValueError(
            f"{path}: expected one input that {', '.join(tensors)} depends on, found {known or 'none'}; a view feeds one input. "
            "Export the network with one input, or name a tensor that needs no other"
        )
    _load_external(path, model)
    if model.ByteSize() > _LARGEST_BYTES:
        raise ValueError(
            f"{path}: expected weights of at most {_LARGEST_BYTES:,} bytes, found {model.ByteSize():,}; take an earlier tensor"
        )
    return CutGraph(inputs[0], model.SerializeToString())


def _keep_only(graph: Any, tensors: Sequence[str]) -> None:
    """Remove what the tensors do not depend on, and make them the outputs."""
    import onnx

    producers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    kept: set[int] = set()
    waiting = [producers[name] for name in tensors]
    while waiting:
        index = waiting.pop()
        if index not in kept:
            kept.add(index)
            waiting += [producers[name] for name in _used_names(graph.node[index]) if name in producers]
    nodes = [graph.node[index] for index in sorted(kept)]
    used = {name for node in nodes for name in _used_names(node)}
    stored = [one for one in graph.initializer if one.name in used]
    inputs = [one for one in graph.input if one.name in used]
    for field, values in (
        ("node", nodes),
        ("initializer", stored),
        ("input", inputs),
        ("output", [onnx.ValueInfoProto(name=name) for name in tensors]),
        ("value_info", []),
    ):
        copies = [type(one).FromString(one.SerializeToString()) for one in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)


def _used_names(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, those inside its branches and loops too."""
    yield from filter(None, node.input)
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _used_names(inner)


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        yield from ([attribute.g] if attribute.HasField("g") else [])
        yield from attribute.graphs


def _external_files(path: Path, model: Any) -> list[Path]:
    """Return the files with external data.

    Raises:
      ValueError: a file outside of the model's folder, one that is missing, too large, or external data elsewhere than in weights.
    """
    for tensor in _constants(model.graph):
        if tensor.external_data:
            raise ValueError(f"{path}: the constant {tensor.name!r} stands in another file, which is not read; save the model as one file")
    names = {_location(tensor) for tensor in model.graph.initializer if tensor.external_data}
    files = [path.parent / name for name in sorted(names)]
    for name, file in zip(sorted(names), files, strict=True):
        if Path(name).name != name or "\\" in name or file.is_symlink():
            raise ValueError(f"{path}: its weights stand in {name!r}; expected a file in the folder of the ONNX file, and no link")
        if not file.is_file():
            raise FileNotFoundError(f"{path}: its weights stand in {name}, which is not in {path.parent}; put it there")
    if (num_bytes := sum(file.stat().st_size for file in files)) > _LARGEST_BYTES:
        raise ValueError(f"{path}: expected weights of at most {_LARGEST_BYTES:,} bytes beside it, found {num_bytes:,}")
    return files


def _location(tensor: Any) -> str:
    return next((one.value for one in tensor.external_data if one.key == "location"), "")


def _constants(graph: Any) -> Iterator[Any]:
    """Yield the tensors that stand in nodes, and all of graphs inside of nodes."""
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
        for inner in _subgraphs(node):
            yield from itertools.chain(inner.initializer, _constants(inner))


def _load_external(path: Path, model: Any) -> None:
    from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            try:
                load_external_data_for_tensor(tensor, str(path.parent))
            except Exception as error:  # of several kinds, by version of onnx
                raise ValueError(f"{path}: the weights {tensor.name} cannot be read from {_location(tensor)}: {error}") from error
            tensor.data_location = 0  # in the message itself
            tensor.ClearField("external_data")


def list_tensors(path: Path, dtypes: Collection[str] = ("float32", "float16", "float64")) -> Iterator[str]:
    """Yield a line for each input, and for each tensor of these types that depends on it: name, shape as far as it is known, operation."""
    import onnx

    model = read_graph(path)
    for one in inputs_of(model):
        yield f"input   {one.name:40} {one.dtype:8} {_shape_text(one.shape)}"
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {one.name: one.type.tensor_type for one in (*inferred.value_info, *inferred.output)}
    outputs = outputs_of(model)
    operations = {name: node.op_type for node in model.graph.node for name in node.output}
    for name in tensor_names(model):
        kind = known.get(name)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name if kind is not None and kind.elem_type else "?"
        if dtype in (*dtypes, "?"):
            shape = "" if kind is None else _shape_text([axis.dim_value or axis.dim_param for axis in kind.shape.dim])
            role = "output" if name in outputs else "tensor"
            yield f"{role}  {name:40} {dtype:8} {shape} {operations[name]}"


def _shape_text(shape: Sequence[int | str]) -> str:
    return f"({', '.join(str(axis or '?') for axis in shape)})"


if __name__ == "__main__":
    print("\n".join(list_tensors(Path(sys.argv[1]))))
