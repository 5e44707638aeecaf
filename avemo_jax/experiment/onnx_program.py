"""A network as an ONNX file, by jax2onnx; the file is run once beside the network before it is kept."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from avemo_jax.models.by_platform import general_alone

OUTPUT_NAME = "probabilities"
MOST_DIFFERENCE = 1e-5  # of a probability, between the file in ONNX Runtime and the network
_OPSET = 21
# jax2onnx asks for an older orbax-checkpoint, which it does not need for this.
_INSTALL = "python -m pip install onnx onnxruntime && python -m pip install --no-deps jax2onnx onnx-ir"
_PACKAGES = ("jax2onnx", "onnx_ir", "onnx", "onnxruntime")


def check_onnx_packages() -> None:
    """Check that the packages of the conversion are installed.

    Raises:
      RuntimeError: some are missing; the message has the commands that install them.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise RuntimeError(f"an ONNX file needs packages that are not installed: {', '.join(missing)}; run: {_INSTALL}")


def as_onnx(program: Callable[[Mapping[str, Any]], jax.Array], arguments: Mapping[str, jax.ShapeDtypeStruct]) -> bytes:
    """Return a function of a dict of arrays as an ONNX file with an input for each name and the output `probabilities`.

    Args:
      program: the function, (B, ...) arrays -> (B, K) float32.
      arguments: name -> shape and type; a symbolic size is the batch.

    Raises:
      ValueError: the file gives other numbers than the function.
      Exception: of jax2onnx, whatever it cannot convert.
    """
    from jax2onnx import to_onnx  # late: takes seconds

    def flat(*arrays: jax.Array) -> jax.Array:
        return program(dict(zip(arguments, arrays, strict=True)))

    logging.getLogger("jax2onnx").setLevel(logging.ERROR)  # plugins of packages that are not installed
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with general_alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(flat, list(arguments.values()), opset=_OPSET, input_names=list(arguments), output_names=[OUTPUT_NAME])
    _make_single(model.graph)
    content = bytes(model.SerializeToString())
    for batch_size in (1, 3):
        _check(content, flat, arguments, batch_size)
    return content


def _make_single(graph: Any) -> None:
    """Make float32 of the float64 constants, casts and types of a graph: jax2onnx 0.17 has some where the network has none."""
    from onnx import AttributeProto, TensorProto, numpy_helper

    def make_single(tensor: Any) -> None:
        if tensor.data_type == TensorProto.DOUBLE:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))

    for tensor in graph.initializer:
        make_single(tensor)
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                _make_single(attribute.g)
            elif attribute.type == AttributeProto.TENSOR:
                make_single(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT


def _check(content: bytes, function: Callable[..., jax.Array], arguments: Mapping[str, jax.ShapeDtypeStruct], batch_size: int) -> None:
    """Run the file and the function on random arrays whose last steps are masked."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(batch_size)
    arrays = {}
    for name, one in arguments.items():
        shape = (one.shape[0] if isinstance(one.shape[0], int) else batch_size, *one.shape[1:])
        if one.dtype == np.bool_:
            arrays[name] = np.arange(shape[1]) < np.maximum(shape[1] - np.arange(shape[0])[:, None], 1)
        elif np.issubdtype(one.dtype, np.integer):
            arrays[name] = random.integers(0, np.iinfo(one.dtype).max, shape, dtype=one.dtype, endpoint=True)
        else:
            arrays[name] = random.normal(size=shape).astype(one.dtype)
    expected = np.asarray(function(*arrays.values()))
    (found,) = session.run([OUTPUT_NAME], arrays)
    difference = float(np.abs(found - expected).max())
    if not difference <= MOST_DIFFERENCE:
        raise ValueError(
            f"the ONNX file gives probabilities that differ by {difference:.1e} from the network's; at most {MOST_DIFFERENCE:g}"
        )
