"""Small ONNX files for tests; without the packages onnx and onnxruntime the calling test is skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

WIDTH = 4


def onnx_package():
    """Return the package onnx, or skip the calling test."""
    for name in ("onnxruntime", "onnx"):
        module = pytest.importorskip(name, reason="needs the extra onnx: pip install onnx onnxruntime")
    return module


def write_frames_net(path: Path, *, num_bands: int = 3, num_frames: int | str = "T", width: int = WIDTH, external: str = "") -> np.ndarray:
    """Write a network of segments (N, F, T): a convolution of stride 2 to (N, T', D), its mean over time, and a second input.

    Tensors: "halved" (N, D, T'), "add_146" and "add_268" (N, T', D), their integers "rounded", "pooled" (N, D), and "scaled" (N, D), which
    depends on the second input "scale".

    Args:
      num_frames: T, or a name for a free T.
      external: name of a file beside it for the weights; "" keeps them inside.

    Returns:
      The kernel, (width, num_bands, 2).
    """
    onnx = onnx_package()
    kernel = np.random.default_rng(0).normal(size=(width, num_bands, 2)).astype(np.float32)
    make, kind = onnx.helper, onnx.TensorProto
    nodes = [
        make.make_node("Conv", ["frames", "kernel"], ["halved"], strides=[2], pads=[0, 0]),
        make.make_node("Transpose", ["halved"], ["add_146"], perm=[0, 2, 1]),
        make.make_node("Identity", ["add_146"], ["add_268"]),
        make.make_node("Cast", ["add_268"], ["rounded"], to=kind.INT32),
        make.make_node("ReduceMean", ["halved"], ["pooled"], axes=[2], keepdims=0),
        make.make_node("Mul", ["pooled", "scale"], ["scaled"]),
    ]
    inputs = [make.make_tensor_value_info("frames", kind.FLOAT, ["N", num_bands, num_frames])]
    inputs.append(make.make_tensor_value_info("scale", kind.FLOAT, [1]))
    outputs = [make.make_tensor_value_info(name, kind.FLOAT, ["N", width]) for name in ("pooled", "scaled")]
    graph = make.make_graph(nodes, "net", inputs, outputs, [onnx.numpy_helper.from_array(kernel, "kernel")])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, path, save_as_external_data=bool(external), location=external or None, size_threshold=0)
    return kernel


def write_picture_net(path: Path, shape: tuple[int | str, ...]) -> None:
    """Write a network of pictures whose only output "features" is the mean of the picture over its last two axes.

    Args:
      shape: of the input "pictures".
    """
    onnx = onnx_package()
    make, kind = onnx.helper, onnx.TensorProto
    node = make.make_node("ReduceMean", ["pictures"], ["features"], axes=[2, 3], keepdims=0)
    graph = make.make_graph(
        [node],
        "net",
        [make.make_tensor_value_info("pictures", kind.FLOAT, shape)],
        [make.make_tensor_value_info("features", kind.FLOAT, shape[:2])],
    )
    onnx.save_model(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8), path)
