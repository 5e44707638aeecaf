import numpy as np
import pytest
from shared_data import shared_data
from tensorflow_files import write_checkpoint

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.i3d.weights import I3D_FLOW, I3D_RGB
from avemo_jax.pretrained.assets import sha256_of
from avemo_jax.pretrained.load import load_pretrained
from avemo_jax.pretrained.merge import flat_shapes

LAYOUTS = {"rgb": I3D_RGB, "flow": I3D_FLOW}


@pytest.mark.parametrize("stream", LAYOUTS)
def test_every_published_variable_is_read(stream):
    lines = shared_data("golden", f"i3d_{stream}_variables.tsv").read_text().splitlines()
    published = {name: tuple(int(length) for length in shape.split("x")) for name, shape in (line.split("\t") for line in lines)}
    layout = LAYOUTS[stream]
    shapes = flat_shapes(layout.variables())
    assert {name: shapes[ours] for name, ours in layout.names().items()} == published
    assert sum(np.prod(shape) for shape in shapes.values()) == sum(np.prod(shape) for shape in published.values())


def _arrays(layout):
    """Return the variables of a whole network, with values that identify their positions."""
    shapes = flat_shapes(layout.variables())
    return {name: np.full(shapes[ours], number, np.float32) for number, (name, ours) in enumerate(sorted(layout.names().items()))}


@pytest.mark.parametrize("stream", LAYOUTS)
def test_a_checkpoint_is_read_whichever_shape_its_statistics_have(stream, tmp_path):
    layout = LAYOUTS[stream]
    arrays = _arrays(layout)
    stored = {
        name: array.reshape(1, 1, 1, 1, -1) if "moving" in name or (name.endswith("beta") and "Mixed_3" in name) else array
        for name, array in arrays.items()
    }
    path = write_checkpoint(tmp_path / "model.ckpt", stored, version=2)
    like = layout.variables()
    variables, sha256 = load_pretrained(find_encoder(f"i3d_{stream}").weights, str(path), tmp_path, like)
    assert flat_shapes(variables) == flat_shapes(like)
    for name, ours in layout.names().items():
        leaf = variables
        for part in ours.split("/"):
            leaf = leaf[part]
        np.testing.assert_array_equal(leaf, arrays[name], err_msg=name)
    assert sha256 == sha256_of(tmp_path / "model.ckpt.index", tmp_path / "model.ckpt.data-00000-of-00001")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"Mixed_4c/Branch_1/Conv3d_0b_3x3/conv_3d/w": None},
            r"the file lacks: RGB/inception_i3d/Mixed_4c/Branch_1/Conv3d_0b_3x3/conv_3d/w",
        ),
        ({"Mixed_6a/conv_3d/w": np.ones(3, np.float32)}, r"the network lacks: RGB/inception_i3d/Mixed_6a/conv_3d/w"),
        ({"Logits/Conv3d_0c_1x1/conv_3d/b": np.ones(600, np.float32)}, r"Conv3d_0c_1x1/conv_3d/b \(600,\), expected \(400,\)"),
        ({"Mixed_3b/Branch_0/Conv3d_0a_1x1/batch_norm/beta": np.ones((8, 8), np.float32)}, r"batch_norm/beta \(8, 8\), expected \(64,\)"),
    ],
)
def test_variables_that_do_not_fit_are_named(tmp_path, changes, message):
    arrays = _arrays(I3D_RGB) | {f"RGB/inception_i3d/{name}": array for name, array in changes.items()}
    path = write_checkpoint(tmp_path / "model.ckpt", {name: array for name, array in arrays.items() if array is not None}, version=2)
    with pytest.raises(ValueError, match=message):
        load_pretrained(find_encoder("i3d_rgb").weights, str(path), tmp_path, I3D_RGB.variables())


def test_weights_of_the_other_stream_are_refused(tmp_path):
    path = write_checkpoint(tmp_path / "model.ckpt", _arrays(I3D_FLOW), version=2)
    with pytest.raises(ValueError, match=r"the network lacks: Flow/inception_i3d/.* and 218 more\. .*the file lacks: RGB/inception_i3d/"):
        load_pretrained(find_encoder("i3d_rgb").weights, str(path), tmp_path, I3D_RGB.variables())
