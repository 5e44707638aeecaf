"""Folders of the wav2vec 2.0 family: both spellings of the position kernel, heads, the extractor's setting, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from avemo_jax.models.encoders.wav2vec2 import NETWORKS
from avemo_jax.models.encoders.wav2vec2.module import Wav2Vec2Size
from avemo_jax.models.encoders.wav2vec2.weights import layout_of
from avemo_jax.pretrained.load import load_pretrained, weights_sha256

SIZE = Wav2Vec2Size(width=16, num_layers=1, num_heads=2, stem_channels=8, position_steps=4, position_groups=2)
PUBLISHED = NETWORKS["wav2vec2_base"][1]
LAYOUT = layout_of(SIZE, PUBLISHED)
CONFIG = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "group",
}
KERNEL = "encoder.pos_conv_embed.conv.weight"


def owners_arrays(size: Wav2Vec2Size = SIZE) -> dict[str, np.ndarray]:
    """Return random arrays of a network as torch has them, with the position kernel in one array."""
    layout = layout_of(size, PUBLISHED)
    arrays = {}
    for number, (theirs, ours) in enumerate(layout.names().items()):
        shape = layout.variables()
        for part in ours.split("/"):
            shape = shape[part]
        arrays[theirs] = np.random.default_rng(number).normal(size=shape.shape[::-1]).astype(np.float32)
    del arrays["keeps_level"]
    return arrays


def folder_of(path, arrays, config=CONFIG, **extractor):
    save_file(arrays, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    if extractor:
        (path / "preprocessor_config.json").write_text(json.dumps(extractor))
    return path


def load(path, **leave_out):
    return load_pretrained((LAYOUT,), str(path), path, LAYOUT.variables(), **leave_out)[0]


@pytest.mark.parametrize("spelling", [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")])
def test_both_spellings_of_the_position_kernel_give_length_times_direction(tmp_path, spelling):
    arrays = owners_arrays()
    kernel = arrays.pop(KERNEL)
    lengths = np.array([1, 2, 3, 4], np.float32)
    names = [KERNEL.replace("weight", part) for part in spelling]
    found = load(folder_of(tmp_path, arrays | {names[0]: lengths.reshape(1, 1, 4), names[1]: kernel}))
    kernel_found = found["params"]["positions"]["conv1"]["kernel"]
    np.testing.assert_allclose(np.sqrt(np.square(kernel_found).sum(axis=(1, 2))), lengths, rtol=1e-6)
    ratio = kernel_found[2] / kernel[..., 2].T
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)


@pytest.mark.parametrize("head", [("projector.weight", "classifier.bias"), ("classifier.dense.weight", "classifier.out_proj.bias"), ()])
def test_heads_and_what_pretraining_needed_are_left_out(tmp_path, head):
    arrays = {f"wav2vec2.{name}": array for name, array in owners_arrays().items()}
    others = (*head, "wav2vec2.masked_spec_embed", "quantizer.codevectors", "project_q.weight", "project_hid.bias", "lm_head.weight")
    found = load(folder_of(tmp_path, arrays | {name: np.ones(3, np.float32) for name in others}))
    np.testing.assert_array_equal(found["params"]["project"]["kernel"], arrays["wav2vec2.feature_projection.projection.weight"].T)


def test_a_head_of_ones_own_is_named_and_can_be_left_out(tmp_path):
    folder = folder_of(tmp_path, owners_arrays() | {"my_head.dense.weight": np.ones((2, 16), np.float32)})
    with pytest.raises(ValueError, match=r"network lacks: my_head.dense.weight.*leave them out with --flag=\"\('my_head',\)\""):
        load(folder, leave_out_flag="--flag")
    assert load(folder, leave_out=("my_head",))


@pytest.mark.parametrize(
    ("extractor", "keeps_level"), [({}, 0), ({"do_normalize": True}, 0), ({"do_normalize": False}, 1), ({"other": 1}, 0)]
)
def test_the_folders_extractor_says_whether_samples_keep_their_level(tmp_path, extractor, keeps_level):
    folder = folder_of(tmp_path, owners_arrays(), **extractor)
    assert load(folder)["batch_stats"]["keeps_level"] == keeps_level


def test_without_an_extractor_the_owners_setting_holds(tmp_path):
    folder = folder_of(tmp_path, owners_arrays())
    layout = layout_of(SIZE, dataclasses.replace(PUBLISHED, keeps_level=True))
    assert load_pretrained((layout,), str(folder), folder, layout.variables())[0]["batch_stats"]["keeps_level"] == 1


def test_the_extractor_is_part_of_the_sum(tmp_path):
    sums = set()
    for extractor in ({}, {"do_normalize": True}, {"do_normalize": False}):
        sums.add(weights_sha256((LAYOUT,), str(folder_of(tmp_path, owners_arrays(), **extractor)), tmp_path, LAYOUT.variables()))
    assert len(sums) == 3


def test_an_extractor_without_a_clear_setting_is_refused(tmp_path):
    with pytest.raises(ValueError, match="do_normalize to be true or false, found 'yes'"):
        load(folder_of(tmp_path, owners_arrays(), do_normalize="yes"))


def test_a_network_whose_arrays_fit_but_whose_blocks_differ_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected do_stable_layer_norm False, found do_stable_layer_norm True"):
        load(folder_of(tmp_path, owners_arrays(), CONFIG | {"do_stable_layer_norm": True}))
    with pytest.raises(ValueError, match="expected num_attention_heads 2, found num_attention_heads 4"):
        load(folder_of(tmp_path, owners_arrays(), CONFIG | {"num_attention_heads": 4}))


def test_a_stem_without_biases_is_one_whose_biases_are_zero(tmp_path):
    layout = layout_of(dataclasses.replace(SIZE, stem_bias=True), PUBLISHED)
    found = load_pretrained((layout,), str(folder_of(tmp_path, owners_arrays())), tmp_path, layout.variables())[0]
    np.testing.assert_array_equal(found["params"]["stem"]["conv3"]["bias"], np.zeros(8))


def test_a_missing_array_is_named(tmp_path):
    arrays = owners_arrays()
    del arrays["encoder.layers.0.attention.v_proj.bias"], arrays[KERNEL]
    with pytest.raises(ValueError, match=r"file lacks: .*pos_conv_embed\.conv\.weight.*v_proj\.bias"):
        load(folder_of(tmp_path, arrays))


def test_a_layout_names_the_owners_address():
    asset = LAYOUT.assets[0]
    assert asset.files[1].url == "https://huggingface.co/facebook/wav2vec2-base/resolve/main/model.safetensors"
    assert str(asset.path) == "wav2vec2-base"
