"""ONNX files: their names, the part that computes a tensor, files beside them, and what is no such file."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from onnx_files import onnx_package, write_frames_net

from avemo_jax.pretrained import onnx_graph
from avemo_jax.pretrained.onnx_graph import cut_graph, graph_sha256, list_tensors, read_graph


def test_the_list_has_inputs_and_the_tensors_that_depend_on_them(tmp_path):
    write_frames_net(tmp_path / "net.onnx", num_frames=10)
    lines = [line.split(maxsplit=2) for line in list_tensors(tmp_path / "net.onnx")]
    assert [tuple(line[:2]) for line in lines] == [
        ("input", "frames"),
        ("input", "scale"),
        ("tensor", "halved"),
        ("tensor", "add_146"),
        ("tensor", "add_268"),
        ("output", "pooled"),
        ("output", "scaled"),
    ]
    assert lines[0][2] == "float32  (N, 3, 10)" and lines[3][2] == "float32  (N, 5, 4) Transpose"


def test_a_part_holds_only_what_its_tensor_needs(tmp_path):
    kernel = write_frames_net(tmp_path / "net.onnx")
    onnx = onnx_package()
    cut = cut_graph(tmp_path / "net.onnx", ("halved",))
    graph = onnx.load_model_from_string(cut.content).graph
    assert [node.op_type for node in graph.node] == ["Conv"] and [one.name for one in graph.output] == ["halved"]
    assert [one.name for one in graph.input] == ["frames"] and cut.input.shape == ("N", 3, "T")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(graph.initializer[0]), kernel)


def test_weights_in_a_file_beside_it_are_read_and_belong_to_the_sum(tmp_path):
    kernel = write_frames_net(tmp_path / "net.onnx", external="net.data")
    onnx = onnx_package()
    graph = onnx.load_model_from_string(cut_graph(tmp_path / "net.onnx", ("halved",)).content).graph
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(graph.initializer[0]), kernel)
    sums = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("net.onnx", "net.data")]
    assert graph_sha256(tmp_path / "net.onnx") == hashlib.sha256("".join(sums).encode()).hexdigest()
    (tmp_path / "net.data").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="its weights stand in net"):
        read_graph(tmp_path / "net.onnx")
    (tmp_path / "net.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="expected a file in the folder of the ONNX file, and no link"):
        read_graph(tmp_path / "net.onnx")


@pytest.mark.parametrize("location", ["../net.data", "/etc/passwd", "folder/net.data", "..\\net.data"])
def test_weights_outside_of_the_folder_are_refused(tmp_path, location):
    write_frames_net(tmp_path / "net.onnx", external="net.data")
    onnx = onnx_package()
    model = onnx.load_model(tmp_path / "net.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="expected a file in the folder of the ONNX file"):
        read_graph(tmp_path / "net.onnx")


def test_constants_in_other_files_are_refused(tmp_path):
    write_frames_net(tmp_path / "net.onnx", external="net.data")
    onnx = onnx_package()
    model = onnx.load_model(tmp_path / "net.onnx", load_external_data=False)
    inner = onnx.helper.make_graph([], "then", [], [], [model.graph.initializer[0]])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="the constant 'kernel' stands in another file, which is not read; save the model as one file"):
        read_graph(tmp_path / "net.onnx")


def test_names_that_only_a_branch_uses_stay_in_the_part(tmp_path):
    write_frames_net(tmp_path / "net.onnx")
    onnx = onnx_package()
    model = onnx.load_model(tmp_path / "net.onnx")
    make, kind = onnx.helper, onnx.TensorProto
    same = make.make_node("Identity", ["pooled"], ["inner"])
    branch = make.make_graph([same], "branch", [], [make.make_tensor_value_info("inner", kind.FLOAT, None)])
    yes = make.make_node("Constant", [], ["yes"], value=make.make_tensor("yes", kind.BOOL, [], [True]))
    model.graph.node.extend([yes, make.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch)])
    onnx.save_model(model, tmp_path / "net.onnx")
    graph = onnx.load_model_from_string(cut_graph(tmp_path / "net.onnx", ("chosen",)).content).graph
    assert [node.op_type for node in graph.node] == ["Conv", "ReduceMean", "Constant", "If"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04no graph", "expected an ONNX file, reading it stopped with"),
        (b"", "its graph is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "it is a Git LFS pointer"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    onnx_package()
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_graph(tmp_path / "net.onnx")


def test_too_large_files_are_refused(tmp_path, monkeypatch):
    write_frames_net(tmp_path / "net.onnx", external="net.data")
    monkeypatch.setattr(onnx_graph, "_LARGEST_BYTES", 50)
    with pytest.raises(ValueError, match="expected an ONNX file of at most 50 bytes, found"):
        read_graph(tmp_path / "net.onnx")


def test_missing_packages_are_named_with_their_command(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"any")
    monkeypatch.setattr(onnx_graph, "missing_packages", lambda: ("onnxruntime",))
    with pytest.raises(ValueError, match=r"packages that are not installed: onnxruntime; .*pip install onnxruntime"):
        read_graph(tmp_path / "net.onnx")
