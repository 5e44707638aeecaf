"""The published weights of mini-Xception: our net equals Keras on the faces of real clips."""

from __future__ import annotations

import os

import cv2
import h5py
import jax
import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.mini_xception.module import CLASSES, SIZE_PX, MiniXception, fold_batch_norm
from avemo_jax.pretrained.load import load_pretrained
from data_prep.decoding.films import stream_frames
from data_prep.views.face_crops import largest_face
from data_prep.views.face_detection import make_detector

FILE = "fer2013_mini_XCEPTION.102-0.66.hdf5"
CLIPS = (
    *(("crema_d", f"1001_DFA_{emotion}_XX.flv") for emotion in ("ANG", "HAP", "NEU")),
    *(("grid", f"{name}.mpg") for name in ("brbk7n", "lbax4n", "lbbc2a", "lwbsza", "sbwe5n")),
)
NET = MiniXception("global_avg")


@pytest.fixture(scope="module")
def variables():
    weights_dir = shared_data("models", "mini_xception_fer2013")
    like = jax.eval_shape(NET.init, jax.random.key(0), np.zeros((1, SIZE_PX, SIZE_PX, 1), np.float32))
    return load_pretrained(find_encoder("mini_xception").weights, "published", weights_dir, like)[0]


@pytest.fixture(scope="module")
def faces():
    """Faces (N, 64, 64, 3) uint8, three of each clip."""
    found = []
    for clip in CLIPS:
        frames = [frame.image for frame in stream_frames(shared_data(*clip))]
        found += [largest_face(frames[int(part * len(frames))], make_detector("haar"), SIZE_PX) for part in (0.2, 0.5, 0.8)]
    return np.stack(found)


@pytest.mark.golden
def test_equals_keras_on_real_faces(variables, faces):
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    model = keras.models.load_model(shared_data("models", "mini_xception_fer2013", FILE), compile=False)
    gray = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])[..., None]
    assert len(faces) == 24
    layers = {"stem": "activation_2"} | {f"block{number}": f"add_{number}" for number in (1, 2, 3, 4)}
    layers |= {"features": "add_4", "global_avg": "global_average_pooling2d_1", "probabilities": "predictions"}
    parts = keras.Model(model.input, [model.get_layer(name).output for name in layers.values()])
    expected = dict(zip(layers, (np.asarray(value) for value in parts([gray / np.float32(127.5) - 1], training=False)), strict=True))
    expected["features"] = expected["features"].mean(axis=(1, 2))
    kinds = {"unfolded": (NET, variables), "folded": (MiniXception("global_avg", folded=True), fold_batch_norm(variables))}
    for kind, (net, weights) in kinds.items():
        found = jax.jit(lambda weights, x, net=net: net.apply(weights, x, method="end_points"))(weights, gray)
        found["probabilities"] = jax.nn.softmax(found["global_avg"])
        for name, value in expected.items():
            scale = max(1.0, np.abs(value).max())
            np.testing.assert_allclose(found[name] / scale, value / scale, atol=1e-4, err_msg=f"{kind} {name}")


def test_a_smile_is_recognised(variables):
    """Most frames of the happy clip are predicted as happy and few of the others, so the weights are in the right places."""
    net = jax.jit(lambda x: jax.nn.softmax(NET.apply(variables, x)))
    happy = {}
    for emotion in ("HAP", "NEU"):
        frames = list(stream_frames(shared_data("crema_d", f"1001_DFA_{emotion}_XX.flv")))[:48:8]
        found = np.asarray(net(np.stack([largest_face(frame.image, make_detector("haar"), SIZE_PX) for frame in frames])))
        happy[emotion] = np.mean(found[:, CLASSES.index("happy")])
    assert happy["HAP"] > 3 * happy["NEU"]


def test_every_variable_is_read(tmp_path):
    path = shared_data("models", "mini_xception_fer2013", FILE)
    like = jax.eval_shape(NET.init, jax.random.key(0), np.zeros((1, SIZE_PX, SIZE_PX, 1), np.float32))
    (tmp_path / "a.hdf5").write_bytes(path.read_bytes())
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        group = file["model_weights/conv2d_7"]
        group.attrs["weight_names"] = group.attrs["weight_names"][:1]
        kernel = file["model_weights/separable_conv2d_1/separable_conv2d_1_1"]
        wrong = np.repeat(kernel["depthwise_kernel:0"][()], 2, axis=-1)
        del kernel["depthwise_kernel:0"]
        kernel["depthwise_kernel:0"] = wrong
    with pytest.raises(ValueError, match=r"file lacks: conv2d_7/bias.*of other shapes: separable_conv2d_1/depthwise_kernel \(3, 3, 8, 2\)"):
        load_pretrained(find_encoder("mini_xception").weights, str(tmp_path / "a.hdf5"), tmp_path, like)
