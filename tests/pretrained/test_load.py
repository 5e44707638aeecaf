"""Loading as such, on a small made-up network; the published ones have a file of tests each."""

import hashlib

import numpy as np
import pytest

from avemo_jax.models.encoders import ENCODERS, find_encoder
from avemo_jax.pretrained.assets import Asset, File, MissingAsset
from avemo_jax.pretrained.layout import WeightsLayout
from avemo_jax.pretrained.load import assets_needed, load_pretrained, weights_sha256
from avemo_jax.pretrained.merge import flat_shapes

SHAPES = {"params": {"body": {"kernel": np.zeros((2, 2), np.float32)}, "top": {"kernel": np.zeros((2, 3), np.float32)}}}
BODY = {"params": {"body": SHAPES["params"]["body"]}}
BODY_ARRAY, TOP_ARRAY = np.arange(4.0).reshape(2, 2), np.arange(6.0).reshape(2, 3)


def _read(path, largest_bytes):
    assert 8 * (4 + 6) <= largest_bytes < 8 * (4 + 6) + (1 << 21)
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def layouts(tmp_path):
    """The layout of a network of two layers, which is published in `tmp_path` with and without its top."""
    assets = {}
    for name, arrays in {"net": {"b": BODY_ARRAY, "t": TOP_ARRAY}, "net_notop": {"b": BODY_ARRAY}}.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        sha256 = hashlib.sha256((tmp_path / f"{name}.npz").read_bytes()).hexdigest()
        file = File(f"{name}.npz", f"https://example.org/{name}.npz", sha256)
        assets[name] = Asset((file,), f"Weights {name}", "https://example.org", "MIT", "Nobody 2020")
    layout = WeightsLayout(
        assets=(assets["net"],),
        assets_without_optional=(assets["net_notop"],),
        read=_read,
        variables=lambda: SHAPES,
        names=lambda: {"b": "params/body/kernel", "t": "params/top/kernel"},
        optional=("params/top/",),
    )
    return (layout,)


def test_published_weights_are_found_verified_and_placed(layouts, tmp_path):
    net = tmp_path
    variables, sha256 = load_pretrained(layouts, "published", net, SHAPES)
    np.testing.assert_array_equal(variables["params"]["body"]["kernel"], BODY_ARRAY)
    np.testing.assert_array_equal(variables["params"]["top"]["kernel"], TOP_ARRAY)
    assert sha256 == hashlib.sha256((net / "net.npz").read_bytes()).hexdigest()
    assert weights_sha256(layouts, "published", net, SHAPES) == sha256
    (net / "net.npz").write_bytes(b"changed")
    with pytest.raises(ValueError, match="expected sha256"):
        load_pretrained(layouts, "published", net, SHAPES)


def test_the_smaller_file_serves_where_it_is_enough(layouts, tmp_path):
    net = tmp_path
    variables, sha256 = load_pretrained(layouts, "published", net, BODY)
    assert flat_shapes(variables) == {"params/body/kernel": (2, 2)}
    assert sha256 == hashlib.sha256((net / "net_notop.npz").read_bytes()).hexdigest()
    assert assets_needed(layouts, BODY, net) == [*layouts[0].assets_without_optional]
    assert assets_needed(layouts, SHAPES, net) == [*layouts[0].assets]
    (net / "net_notop.npz").unlink()
    assert assets_needed(layouts, BODY, net) == [*layouts[0].assets]  # the larger one is there
    assert load_pretrained(layouts, "published", net, BODY)[1] != sha256
    (net / "net.npz").unlink()
    assert assets_needed(layouts, BODY, net) == [*layouts[0].assets_without_optional]
    with pytest.raises(MissingAsset, match=r"Weights net_notop .*net_notop\.npz"):
        load_pretrained(layouts, "published", net, BODY)


def test_a_file_of_ones_own(layouts, tmp_path):
    net = tmp_path
    path = net / "own.npz"
    np.savez(path, b=BODY_ARRAY + 1, t=TOP_ARRAY)
    variables, sha256 = load_pretrained(layouts, str(path), net / "nowhere", SHAPES)
    np.testing.assert_array_equal(variables["params"]["body"]["kernel"], BODY_ARRAY + 1)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights_sha256(layouts, str(path), net / "nowhere", SHAPES) == sha256
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.npz; source is 'published' or the path"):
        load_pretrained(layouts, str(net / "nothing.npz"), net, SHAPES)


def test_a_pointer_in_place_of_the_file_is_named(tmp_path):
    """In a folder as well as alone, before the file is read as one of its format."""
    encoder = find_encoder("whisper_tiny").weights
    (tmp_path / "config.json").write_text("{}")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 58889256\n")
    for source in (tmp_path, path):
        with pytest.raises(ValueError, match=r"model\.safetensors: expected weights, and it is a Git LFS pointer; `git lfs pull`"):
            load_pretrained(encoder, str(source), tmp_path / "nowhere", SHAPES)


def test_an_encoder_without_published_weights_says_what_to_set(tmp_path):
    with pytest.raises(ValueError, match=r"no published weights .* set its weights to 'random', or add a layout"):
        load_pretrained((), "published", tmp_path, SHAPES)


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if find_encoder(name).weights])
def test_tables_of_names_cover_their_networks(encoder):
    for layout in find_encoder(encoder).weights:
        names = layout.names()
        assert sorted(names.values()) == sorted(flat_shapes(layout.variables()))
        assert all(any(path.startswith(start) for path in names.values()) for start in layout.optional)
