"""ONNX files as frozen encoders: the features of segments and pictures, their times, the feature cache, prediction, and every refusal."""

from __future__ import annotations

import re

import numpy as np
import pytest
from made_sets import write_set
from onnx_files import WIDTH, onnx_package, write_frames_net, write_picture_net
from shared_data import shared_data
from small_experiment import small_config

from avemo_jax.clips import Clip
from avemo_jax.config import OnnxSettings
from avemo_jax.data.prepared import Example, PreparedCorpus
from avemo_jax.experiment.encoder_weights import fetch_used, find_weights
from avemo_jax.experiment.features import with_features
from avemo_jax.experiment.frozen_onnx import FrozenOnnx
from avemo_jax.experiment.live_features import LiveFeatures
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.models.encoders.onnx import OnnxSpec, check_onnx
from data_prep.sets.derived import DerivedSets
from data_prep.views.segments import ViewSegment

BANDS = (3,)


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.onnx"
    return path, write_frames_net(path)


def spec_of(path, **settings) -> OnnxSpec:
    return OnnxSpec("onnx", OnnxSettings(**{"weights": str(path), "axes": "NFT"} | settings))


def frames(num_steps: int, masked: tuple[int, ...] = (), clip: str = "a") -> Example:
    values = np.random.default_rng(num_steps).normal(size=(num_steps, *BANDS)).astype(np.float32)
    mask = ~np.isin(np.arange(num_steps), masked)
    values[~mask] = np.nan
    return Example(clip, 0, values, mask, (1 + np.arange(num_steps) * 0.01).astype(np.float32))


def encode(spec: OnnxSpec, *examples: Example, step=BANDS, dtype="float32") -> list[Example]:
    return list(FrozenOnnx(spec, step, dtype).run(examples))


def convolved(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return steps (T, F) through the network of `write_frames_net`: (T // 2, D)."""
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2, values.shape[1])
    return np.einsum("ptf,dft->pd", pairs, kernel)


def test_a_tensor_inside_of_the_graph_gives_features_with_times(net):
    path, kernel = net
    (found,) = encode(spec_of(path, end_point="add_268"), clip := frames(8))
    np.testing.assert_allclose(found.values, convolved(clip.values, kernel), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.times_s, clip.times_s[::2])
    assert found.mask.all() and found.values.dtype == np.float32


def test_the_axes_of_input_and_tensor_are_declared(net, tmp_path):
    path, kernel = net
    expected = convolved(frames(8).values, kernel)
    (found,) = encode(spec_of(path, end_point="halved", feature_axes="NFT"), frames(8))
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    (pooled,) = encode(spec_of(path), frames(8, masked=(0, 1)))
    assert pooled.values.shape == (1, WIDTH) and pooled.times_s.tolist() == [1.0]  # the first output: one vector a segment
    write_picture_net(tmp_path / "one.onnx", ("N", 1, "T", 3))  # an axis that the view lacks
    (mean,) = encode(spec_of(tmp_path / "one.onnx", axes="N1TF", feature_axes="NF"), frames(8))
    np.testing.assert_allclose(mean.values, frames(8).values.mean(keepdims=True), rtol=1e-5)


def test_masked_steps_are_zero_and_give_masked_features(net):
    path, kernel = net
    (found,) = encode(spec_of(path, end_point="add_268"), clip := frames(8, masked=(0, 1, 2)))
    assert found.mask.tolist() == [False, True, True, True]
    values = np.where(clip.mask[:, None], clip.values, 0)
    np.testing.assert_allclose(found.values, np.where(found.mask[:, None], convolved(values, kernel), 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pad_front", [False, True])
@pytest.mark.parametrize("pad_with", ["zero", "least"])
def test_segments_are_padded_to_a_fixed_number_of_steps(tmp_path, pad_with, pad_front):
    kernel = write_frames_net(tmp_path / "net.onnx", num_frames=10)
    spec = spec_of(tmp_path / "net.onnx", end_point="add_268", pad_with=pad_with, pad_front=pad_front)
    (found,) = encode(spec, clip := frames(5))
    fill = clip.values.min() if pad_with == "least" else 0
    padded = np.pad(clip.values, ((5, 0) if pad_front else (0, 5), (0, 0)), constant_values=fill)
    expected = convolved(padded, kernel)[2:] if pad_front else convolved(padded, kernel)[:3]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.times_s, clip.times_s[[0, 1, 3] if pad_front else [0, 2, 4]])
    with pytest.raises(ValueError, match="takes segments of 10 steps, and a segment of a has 11; shorten the segments"):
        encode(spec, frames(11))


def test_several_layers_are_returned_side_by_side(net):
    path, kernel = net
    spec = spec_of(path, layers="add_268,add_268")
    (found,) = encode(spec, clip := frames(6))
    assert spec.feature_shape(BANDS, "float32") == (2, WIDTH) and found.values.shape == (3, 2, WIDTH)
    np.testing.assert_allclose(found.values[:, 1], convolved(clip.values, kernel), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("axes", "shape"), [("NCHW", ("N", 3, 4, 5)), ("NHWC", (1, 4, 5, 3))])
def test_pictures_go_through_one_by_one_in_the_order_of_the_graph(tmp_path, axes, shape):
    write_picture_net(tmp_path / "net.onnx", shape)
    spec = spec_of(tmp_path / "net.onnx", axes=axes, mean=(1.0, 2.0, 3.0), deviation=(2.0,))
    values = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    example = Example("a", 0, values, np.array([True, False, True]), np.arange(3, dtype=np.float32))
    (found,) = encode(spec, example, step=(4, 5, 3), dtype="uint8")
    normal = (values - np.array([1.0, 2, 3])) / 2
    expected = normal.mean(axis=(1, 2)) if axes == "NCHW" else normal.mean(axis=(2, 3))
    np.testing.assert_allclose(found.values, np.where(example.mask[:, None], expected, 0), rtol=1e-5)
    np.testing.assert_array_equal(found.times_s, example.times_s)


def test_waveforms_need_no_axis_of_features(tmp_path):
    write_picture_net(tmp_path / "net.onnx", ("N", 1, 1, "T"))
    values = np.arange(6, dtype=np.float32)
    example = Example("a", 0, values, np.ones(6, bool), values / 16_000)
    (found,) = encode(spec_of(tmp_path / "net.onnx", axes="N11T"), example, step=())
    np.testing.assert_allclose(found.values, [[2.5]])


CLIPS = tuple(Clip(clip_id=name, corpus="made", label="happy", speaker=name) for name in ("c0", "c1"))


def config(path, **fields):
    own = {"streams__audio__encoder": "onnx", "encoders__onnx__weights": str(path), "encoders__onnx__axes": "NFT"}
    return small_config(**own | {"encoders__onnx__end_point": "add_268"} | fields)


def test_features_are_cached_and_equal_those_of_a_file_that_is_read_live(net, tmp_path, monkeypatch):
    path, kernel = net
    lengths = {"c0": 7, "c1": 4}
    made = [ViewSegment(one.values, one.mask, one.times_s, 1) for one in (frames(length) for length in lengths.values())]
    view = write_set(tmp_path, CLIPS, lambda number: [made[number]], step_shape=BANDS, view="mfcc", key="a" * 64)
    corpus, store = PreparedCorpus(CLIPS, {"audio": view}, None), DerivedSets(tmp_path / "sets", "made", CLIPS)
    found = with_features(config(path), corpus, store).sets["audio"]
    assert found.manifest.step_shape == (WIDTH,) and found.manifest.view == "mfcc.onnx"
    for example, segment in zip(found.examples(), made, strict=True):
        np.testing.assert_allclose(example.values, convolved(segment.values, kernel), rtol=1e-5, atol=1e-6)
    others = [config(path, encoders__onnx__end_point="pooled"), config(path, encoders__onnx__mean=(1.0,))]
    keys = {with_features(one, corpus, store).sets["audio"].manifest.key for one in (config(path, encoders__onnx__licence="MIT"), *others)}
    assert found.manifest.key in keys and len(keys) == 3  # licence alone changes nothing
    path.write_bytes(path.read_bytes() + b"\x22\x00")  # another file, by an empty field of the format
    assert with_features(config(path), corpus, store).sets["audio"].manifest.key not in keys

    class Recordings:
        views, segment_s, window_s, step_s = {"mfcc": (BANDS, "float32")}, 1.0, None, None

        def open(self, file, absent=None):
            return {"mfcc": made}, []

    streams, _ = LiveFeatures(config(path), Recordings()).open(tmp_path)
    for example, live in zip(found.examples(), streams["audio"], strict=True):
        np.testing.assert_array_equal(example.values, live.values)


def test_the_doctor_finds_the_file_and_its_sum(net):
    path, _ = net
    ((state, fix),) = find_weights(config(path), {"mfcc": (BANDS, "float32")}).values()
    assert fix is None and re.search(r"SHA-256 [0-9a-f]{12}", state)
    ((state, fix),) = find_weights(config(path, encoders__onnx__sha256="ab"), {"mfcc": (BANDS, "float32")}).values()
    assert "expected SHA-256 ab" in fix
    with pytest.raises(ValueError, match="expected SHA-256 ab"):
        fetch_used(config(path, encoders__onnx__sha256="ab"), {"mfcc": (BANDS, "float32")})


@pytest.mark.parametrize(
    ("settings", "step", "message"),
    [
        (
            {"end_point": "add_267"},
            BANDS,
            r"no tensor 'add_267'; did you mean 'add_268'\?; its outputs: pooled, scaled; its tensors: halved",
        ),
        ({"end_point": "rounded"}, BANDS, "expected floating-point numbers in the tensor 'rounded', found int32"),
        ({"end_point": "scaled"}, BANDS, "expected one input that scaled depends on, found frames, scale"),
        ({"input": "sound"}, BANDS, "pooled depends on no input 'sound'; its inputs: frames"),
        ({"axes": "NT"}, BANDS, r"its input 'frames' has 3 axes, .*axes names 2: NT"),
        ({}, (5,), r"axis F of --config.encoders.onnx.axes=NFT has the length 3, and the view 5"),
        ({}, (4, 4, 3), "the view has steps of .*expected the axes N, T, H, W, C"),
        ({"end_point": "halved", "feature_axes": "NF"}, BANDS, "the axes 'NF' do not fit; set --config.encoders.onnx.feature_axes"),
        ({"layers": "add_268,pooled"}, BANDS, "expected layers of one shape"),
        ({"mean": (1.0, 2.0)}, BANDS, "onnx.mean must have one number or 3"),
        ({"weights": "nothing.onnx"}, BANDS, "there is no file nothing.onnx"),
    ],
)
def test_what_does_not_fit_the_graph_is_refused(net, settings, step, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check_onnx(spec_of(net[0], **settings), step, "float32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "random"}, "needs an ONNX file, got weights='random'; set --config.encoders.onnx.weights=PATH"),
        ({"axes": ""}, "must name the axes"),
        ({"axes": "NNF"}, "must name the axes"),
        ({"axes": "NXF"}, "must name the axes"),
        ({"axes": "NCHW", "feature_axes": "NTF"}, "feature_axes is for whole segments"),
        ({"end_point": "a", "layers": "b"}, "set end_point='a' or layers='b', not both"),
        ({"pad_with": "noise"}, "pad_with must be one of"),
        ({"resize_px": 96}, "an ONNX encoder has no resize_px"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        spec_of("net.onnx", **settings)


def test_an_onnx_file_cannot_be_trained():
    with pytest.raises(ValueError, match="encoder_trained_from='all': an ONNX file is run as it is and cannot be trained"):
        trained_encoder(config("net.onnx", streams__audio__encoder_trained_from="all"), "audio")


@pytest.mark.golden
def test_layers_of_a_published_file(tmp_path):
    """smart-turn: 8 s of log-mel frames; the tensor inside of it is the one that ONNX Runtime gives beside the file's own output."""
    onnx = onnx_package()
    import onnxruntime

    path = shared_data("models", "smart_turn", "smart-turn-v3.2-cpu.onnx")
    spec = spec_of(path, end_point="add_268", pad_with="least")
    assert spec.feature_shape((80,), "float32") == (384,)
    values = np.random.default_rng(0).normal(size=(301, 80)).astype(np.float32)
    example = Example("a", 0, values, np.ones(301, bool), (np.arange(301) * 0.01).astype(np.float32))
    (found,) = encode(spec, example, step=(80,))
    whole = onnx.load_model(path)
    whole.graph.output.append(onnx.ValueInfoProto(name="add_268"))
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    padded = np.pad(values, ((0, 499), (0, 0)), constant_values=values.min()).T[None]
    (expected,) = session.run(["add_268"], {"input_features": padded})
    np.testing.assert_allclose(found.values, expected[0, :151], rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(found.times_s, np.arange(151) * 0.02, atol=1e-6)
