"""Folders of vision transformers: as owners and their libraries write them, converted from pickles, and those that do not fit."""

from __future__ import annotations

import json
import re

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from vision_folders import rename, tiny, write_folder

from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.vision_transformer import record_of
from avemo_jax.models.encoders.vision_transformer.published import PUBLISHED
from avemo_jax.pretrained.load import assets_needed, load_pretrained

pytest.importorskip("transformers")


def layouts(name):
    return record_of(name, tiny(name)).weights


def load(name, path):
    (layout,) = layouts(name)
    return load_pretrained((layout,), str(path), path.parent, layout.variables())[0]


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder of CLIP with its text tower, and its variables."""
    folder = tmp_path_factory.mktemp("clip")
    write_folder(folder, "clip_vit_base_16", tiny("clip_vit_base_16").design)
    return folder, load("clip_vit_base_16", folder)


def copy_of(folder, to, **config):
    for name in ("config.json", "model.safetensors"):
        (to / name).write_bytes((folder / name).read_bytes())
    if config:
        (to / "config.json").write_text(json.dumps(json.loads((to / "config.json").read_text()) | config))
    return to


def openai_names(arrays):
    """Return arrays of a CLIP as its authors and FaRL's name them."""
    found = {}
    for name, array in arrays.items():
        name = name.removeprefix("vision_model.")
        for theirs, ours in (
            ("embeddings.patch_embedding", "conv1"),
            ("embeddings.class_embedding", "class_embedding"),
            ("embeddings.position_embedding.weight", "positional_embedding"),
            ("pre_layrnorm", "ln_pre"),
            ("post_layernorm", "ln_post"),
            ("encoder.layers", "transformer.resblocks"),
            ("layer_norm1", "ln_1"),
            ("layer_norm2", "ln_2"),
            ("self_attn", "attn"),
            ("mlp.fc1", "mlp.c_fc"),
            ("mlp.fc2", "mlp.c_proj"),
        ):
            name = name.replace(theirs, ours)
        found[f"visual.{name}"] = array
    for name in [name for name in found if ".attn.q_proj." in name]:
        parts = [found.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        found[name.replace("q_proj.", "in_proj_")] = np.concatenate(parts)
    return found


def vision_tower(folder):
    return {name: array for name, array in load_file(folder / "model.safetensors").items() if name.startswith("vision_model.")}


def test_clip_is_read_alone_and_beside_its_text_tower(clip, tmp_path):
    """Published files also hold numbers of positions, which are no weights."""
    folder, expected = clip
    alone = {name.removeprefix("vision_model."): array for name, array in vision_tower(folder).items()}
    save_file(alone | {"embeddings.position_ids": np.arange(5)[None]}, tmp_path / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())["vision_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_equal(load("clip_vit_base_16", tmp_path), expected)
    assert_equal(load("clip_vit_base_16", tmp_path / "model.safetensors"), expected)


def test_values_that_the_library_does_not_write_are_its_defaults(clip, tmp_path):
    folder, expected = clip
    config = json.loads((folder / "config.json").read_text())["vision_config"]
    short = {name: value for name, value in config.items() if name not in ("hidden_act", "layer_norm_eps", "model_type")}
    assert_equal(load("clip_vit_base_16", copy_of(folder, tmp_path, vision_config=short)), expected)
    with pytest.raises(ValueError, match="describes another network: expected hidden_act 'quick_gelu', found hidden_act 'gelu'"):
        load("clip_vit_base_16", copy_of(folder, tmp_path, vision_config=short | {"hidden_act": "gelu"}))


def test_half_precision_is_read(clip, tmp_path):
    folder, expected = clip
    rename(copy_of(folder, tmp_path), lambda arrays: {name: array.astype(ml_dtypes.bfloat16) for name, array in arrays.items()})
    found = load("clip_vit_base_16", tmp_path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2**-7), found, expected)


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_a_folder_that_normalises_pictures_otherwise_is_refused(clip, tmp_path, file):
    folder, expected = clip
    copy_of(folder, tmp_path)
    stated = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}

    def write(content):
        (tmp_path / file).write_text(json.dumps(content if file.startswith("pre") else {"image_processor": content}))

    write(stated)
    assert_equal(load("clip_vit_base_16", tmp_path), expected)
    write(stated | {"image_mean": [0.5, 0.5, 0.5]})
    with pytest.raises(ValueError, match=r"image_mean \[0\.5, 0\.5, 0\.5\], and this encoder normalises them with \[0\.48145466"):
        load("clip_vit_base_16", tmp_path)
    write(stated | {"do_normalize": False})
    with pytest.raises(ValueError, match=r"image_mean \[0, 0, 0\], and this"):
        load("clip_vit_base_16", tmp_path)


def test_a_vit_tuned_on_faces_is_read_without_its_classes(tmp_path):
    design = tiny("vit_base_16").design
    write_folder(tmp_path, "vit_base_16", design)
    expected = load("vit_base_16", tmp_path)
    pooler = {"pooler.dense.bias": np.ones(2, np.float32)}
    rename(tmp_path, lambda arrays: pooler | {name.removeprefix("vit."): array for name, array in arrays.items()})
    assert_equal(load("vit_base_16", tmp_path), expected)
    rename(tmp_path, lambda arrays: arrays | {"adapter.weight": np.ones(2, np.float32)})
    with pytest.raises(ValueError, match=r"the file has, and the network lacks: adapter\.weight"):
        load("vit_base_16", tmp_path)


def test_a_fine_tuned_videomae_has_its_norm_behind_the_mean(tmp_path):
    write_folder(tmp_path, "videomae_base", tiny("videomae_base").design)
    expected = load("videomae_base", tmp_path)
    rename(tmp_path, lambda arrays: {name.replace("videomae.layernorm", "fc_norm"): array for name, array in arrays.items()})
    assert_equal(load("videomae_base", tmp_path), expected)


def test_a_pickle_of_farl_is_refused_and_the_command_of_the_message_converts_it(clip, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    folder, expected = clip
    monkeypatch.chdir(tmp_path)
    state = {name: torch.from_numpy(array) for name, array in openai_names(vision_tower(folder)).items()}
    extra = {"visual.proj": torch.ones(2, 2), "visual.mask_token": torch.ones(2), "token_embedding.weight": torch.ones(2)}
    torch.save({"state_dict": state | extra}, "FaRL.pth")
    with pytest.raises(ValueError, match=r"found FaRL\.pth, which is pickled.* set weights to farl\.safetensors") as refused:
        load("farl_base_16", tmp_path / "FaRL.pth")
    command = re.search(r'python -c "(.*)"', str(refused.value))
    exec(command[1], {})
    assert_equal(load("farl_base_16", tmp_path / "farl.safetensors"), expected)


def test_a_folder_with_a_pickle_alone_is_refused(clip, tmp_path):
    (tmp_path / "config.json").write_bytes((clip[0] / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(ValueError, match=r"from_pretrained\('openai/clip-vit-base-patch16'\)\.save_pretrained\('FOLDER'\)"):
        load("clip_vit_base_16", tmp_path)


def test_weights_that_are_published_as_pickles_alone_are_not_fetched(tmp_path):
    (layout,) = find_encoder("farl_base_16").weights
    for use in (
        lambda: assets_needed((layout,), {}, tmp_path),
        lambda: load_pretrained((layout,), "published", tmp_path, {"a": np.ones(1)}),
    ):
        with pytest.raises(ValueError, match=r"in a format that can be read\. FaRL is published as a pickle"):
            use()
    fetched = {name for name, published in PUBLISHED.items() if published.assets}
    assert set(PUBLISHED) - fetched == {"farl_base_16", "clip_vit_base_16", "clip_vit_base_32"}
