import os

import h5py
import jax
import numpy as np
import pytest

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.inception_v3 import weights as inception_v3
from avemo_jax.models.encoders.inception_v3.module import InceptionV3
from avemo_jax.models.encoders.inception_v3.weights import INCEPTION_V3
from avemo_jax.pretrained.load import load_pretrained
from avemo_jax.pretrained.merge import flat_shapes


@pytest.mark.parametrize("first", [0, 1, 94])
def test_layers_are_found_whichever_number_they_start_from(monkeypatch, first):
    """The published files count from 1, later versions of Keras from 0, and a second model in a session continues."""
    shapes = flat_shapes(INCEPTION_V3.variables())
    stored = {}
    for name, ours in INCEPTION_V3.names().items():
        layer, _, weight = name.partition("/")
        kind, _, number = layer.rpartition("_")
        if kind:
            number = int(number) + first
            layer = f"{kind}_{number}" if number else kind
        stored[f"{layer}/{weight}"] = np.broadcast_to(np.float32(len(stored)), shapes[ours])
    monkeypatch.setattr(inception_v3, "read_network", lambda path, largest_bytes: dict(reversed(stored.items())))
    arrays = INCEPTION_V3.read(None, 0)
    assert [float(arrays[name].flat[0]) for name in INCEPTION_V3.names()] == list(range(len(stored)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Keras' network without its classes in all formats."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3))
    folder = tmp_path_factory.mktemp("keras")
    model.save(folder / "net.h5")
    model.save(folder / "net.keras")
    model.save_weights(folder / "net.weights.h5")
    return folder


@pytest.mark.golden
def test_all_formats_have_the_same_weights(saved):
    like = jax.eval_shape(InceptionV3().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 75, 75, 3), np.float32))
    expected, _ = load_pretrained(find_encoder("inception_v3").weights, str(saved / "net.h5"), saved, like)
    for name in ("net.keras", "net.weights.h5"):
        found, _ = load_pretrained(find_encoder("inception_v3").weights, str(saved / name), saved, like)
        jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.golden
def test_variables_that_do_not_fit_are_named(saved):
    path = saved / "net.h5"
    like = INCEPTION_V3.variables()
    with pytest.raises(ValueError, match=r"the file lacks: predictions/kernel \(params/predictions/kernel\), predictions/bias"):
        load_pretrained(find_encoder("inception_v3").weights, str(path), saved, like)
    part = {"params": {"stem": like["params"]["stem"]}}
    load_pretrained(find_encoder("inception_v3").weights, str(path), saved, part)
    with h5py.File(path, "r+") as file:
        names = sorted(name for name in file["model_weights"] if name.startswith("conv2d"))
        file["model_weights"][names[40]].attrs["weight_names"] = np.array([], "S1")
    number = int(names[40].removeprefix("conv2d").lstrip("_") or 0) - min(
        int(name.removeprefix("conv2d").lstrip("_") or 0) for name in names
    )
    with pytest.raises(ValueError, match=rf"the file lacks: conv2d_{number}/kernel \(params/mixed\d+/conv\d+/conv/kernel\)$"):
        load_pretrained(find_encoder("inception_v3").weights, str(path), saved, part)
