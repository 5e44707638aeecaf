"""Whisper's encoder: equal to the transformers library on random weights, and independent of padding."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest
from encoder_shapes import num_params

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.encoders.whisper import SIZES
from avemo_jax.models.encoders.whisper.module import Whisper, WhisperSize, sinusoids
from avemo_jax.models.encoders.whisper.weights import layout_of
from avemo_jax.pretrained.load import load_pretrained

SMALL = WhisperSize(width=32, num_layers=3, num_heads=4, num_mels=20)


@functools.cache
def random_net(size: WhisperSize = SMALL):
    net = Whisper(size.end_points[-1], size, layers=size.end_points)
    values = np.zeros((1, 2, size.num_mels), np.float32)
    return net, jax.jit(net.init)(jax.random.key(0), values, np.ones((1, 2), bool))


def frames(num_frames: int, size: WhisperSize = SMALL, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, num_frames, size.num_mels)).astype(np.float32)


@pytest.mark.parametrize("name", ["whisper_tiny", pytest.param("whisper_base", marks=pytest.mark.long)])
def test_every_layer_equals_the_transformers_library_on_random_weights(name, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from benchmarks.random_whisper import random_whisper

    size = SIZES[name][0]
    random_whisper(size).save_pretrained(tmp_path)  # as its owner writes it: with its decoder, of which nothing is read
    assert "model.decoder.embed_tokens.weight" in (tmp_path / "model.safetensors").read_bytes()[:20_000].decode("latin-1")
    assert json.loads((tmp_path / "config.json").read_text())["d_model"] == size.width
    spec = EncoderSpec(name, layers="all")
    variables, _ = load_pretrained(spec.record.weights, str(tmp_path), tmp_path, spec.variable_shapes((size.num_mels,), "float32"))
    mel = frames(600, size)
    theirs = transformers.WhisperModel.from_pretrained(tmp_path).encoder.eval()
    # the library's encoder takes exactly as many frames as its config has positions
    theirs.embed_positions = torch.nn.Embedding.from_pretrained(theirs.embed_positions.weight[:300])
    theirs.config.max_source_positions = 300
    theirs.max_source_positions = 300
    with torch.no_grad():
        expected = theirs(torch.from_numpy(mel.swapaxes(1, 2).copy()), output_hidden_states=True).hidden_states
    found, mask = jax.jit(spec.module().apply)(variables, mel, np.ones((1, 600), bool))
    assert mask.shape == (1, 300) and mask.all()
    assert found.shape == (1, 300, size.num_layers + 1, size.width) and len(expected) == size.num_layers + 1
    for layer, theirs_of_layer in enumerate(expected):
        scale = np.abs(theirs_of_layer.numpy()).max()
        np.testing.assert_allclose(found[0, :, layer], theirs_of_layer[0], rtol=0, atol=1e-5 * scale, err_msg=f"layer {layer}")


def test_masked_frames_change_no_feature_of_a_real_one():
    net, variables = random_net()
    apply = jax.jit(net.apply)
    clip = frames(31)
    alone, mask = apply(variables, clip, np.ones((1, 31), bool))
    padded = np.concatenate([clip, np.zeros((1, 33, SMALL.num_mels), np.float32)], axis=1)
    real = np.arange(64)[None] < 31
    found, found_mask = apply(variables, padded, real)
    assert mask.shape == (1, 16) and found_mask.sum() == 16
    np.testing.assert_allclose(found[:, :16], alone, atol=1e-5)
    everything_real, _ = apply(variables, padded, np.ones((1, 64), bool))
    assert np.abs(everything_real[:, :16] - alone).max() > 1e-3  # the mask is what makes them equal


def test_a_shorter_network_has_the_layers_of_the_whole_one():
    net, variables = random_net()
    clip, mask = frames(20), np.ones((1, 20), bool)
    every, _ = net.apply(variables, clip, mask)
    second, _ = Whisper("layer2", SMALL).apply(variables, clip, mask)
    np.testing.assert_array_equal(second, every[:, :, 2])
    shapes = jax.eval_shape(Whisper("layer2", SMALL).init, jax.random.key(0), clip, mask)
    assert set(shapes["params"]) == {"conv1", "conv2", "positions", "block1", "block2"}


def test_positions_are_the_first_steps_of_whispers_sinusoids():
    table = np.asarray(sinusoids(jax.random.key(0), (5, 4)))
    np.testing.assert_allclose(table[3], [np.sin(3), np.sin(3e-4), np.cos(3), np.cos(3e-4)], atol=1e-6)


@pytest.mark.parametrize("name", SIZES)
def test_each_record_has_the_size_of_the_published_encoder(name):
    # numbers of the encoder, counted from the sizes in table 1 of the paper
    expected = {"whisper_tiny": 8_208_384, "whisper_base": 20_590_592, "whisper_small": 88_154_112, "whisper_medium": 307_216_384}
    expected["whisper_large_v3"] = 636_968_960
    (layout,) = find_encoder(name).weights
    assert num_params(layout.variables()) == expected[name]
    assert len(layout.names()) == len(jax.tree.leaves(layout.variables()))


@pytest.mark.parametrize(
    ("values", "end_point", "message"),
    [
        (np.zeros((1, 4, 80)), "layer3", "frames of 20 log-mel bands"),
        (np.zeros((1, 3001, 20)), "layer3", "segment_s to 30 or less"),
        (np.zeros((1, 4, 20)), "layer9", "expected layers of Whisper"),
    ],
)
def test_input_that_does_not_fit_is_refused(values, end_point, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(Whisper(end_point, SMALL).init, jax.random.key(0), values, np.ones(values.shape[:2], bool))


def test_a_layout_names_the_owners_address():
    asset = layout_of(SMALL, "whisper-base").assets[0]
    assert asset.files[1].url == "https://huggingface.co/openai/whisper-base/resolve/main/model.safetensors"
    assert str(asset.path) == "whisper-base"
