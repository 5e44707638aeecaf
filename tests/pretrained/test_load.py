"""Loading as such, on a small made-up network; the published ones have a file of tests each."""

import hashlib

import numpy as np
import pytest

from avemo_jax.pretrained import load
from avemo_jax.pretrained.assets import ASSETS, Asset, File, MissingAsset
from avemo_jax.pretrained.family import Family
from avemo_jax.pretrained.load import ENCODERS, assets_needed, load_pretrained, weights_sha256
from avemo_jax.pretrained.merge import flat_shapes

SHAPES = {"params": {"body": {"kernel": np.zeros((2, 2), np.float32)}, "top": {"kernel": np.zeros((2, 3), np.float32)}}}
BODY = {"params": {"body": SHAPES["params"]["body"]}}
BODY_ARRAY, TOP_ARRAY = np.arange(4.0).reshape(2, 2), np.arange(6.0).reshape(2, 3)


def _read(path, largest_bytes):
    assert 8 * (4 + 6) <= largest_bytes < 8 * (4 + 6) + (1 << 21)
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def net(monkeypatch, tmp_path):
    """A network of two layers, published with and without its top; returns the folder of weights."""
    for name, arrays in {"net": {"b": BODY_ARRAY, "t": TOP_ARRAY}, "net_notop": {"b": BODY_ARRAY}}.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        sha256 = hashlib.sha256((tmp_path / f"{name}.npz").read_bytes()).hexdigest()
        file = File(f"{name}.npz", f"https://example.org/{name}.npz", sha256)
        monkeypatch.setitem(ASSETS, name, Asset((file,), f"Weights {name}", "https://example.org", "MIT", "Nobody 2020"))
    family = Family(
        assets=("net",),
        assets_without_optional=("net_notop",),
        read=_read,
        variables=lambda: SHAPES,
        names=lambda: {"b": "params/body/kernel", "t": "params/top/kernel"},
        optional=("params/top/",),
    )
    monkeypatch.setitem(ENCODERS, "net", (family,))
    return tmp_path


def test_published_weights_are_found_verified_and_placed(net):
    variables, sha256 = load_pretrained("net", "published", net, SHAPES)
    np.testing.assert_array_equal(variables["params"]["body"]["kernel"], BODY_ARRAY)
    np.testing.assert_array_equal(variables["params"]["top"]["kernel"], TOP_ARRAY)
    assert sha256 == hashlib.sha256((net / "net.npz").read_bytes()).hexdigest()
    assert weights_sha256("net", "published", net, SHAPES) == sha256
    (net / "net.npz").write_bytes(b"changed")
    with pytest.raises(ValueError, match="expected sha256"):
        load_pretrained("net", "published", net, SHAPES)


def test_the_smaller_file_serves_where_it_is_enough(net):
    variables, sha256 = load_pretrained("net", "published", net, BODY)
    assert flat_shapes(variables) == {"params/body/kernel": (2, 2)}
    assert sha256 == hashlib.sha256((net / "net_notop.npz").read_bytes()).hexdigest()
    assert assets_needed("net", BODY, net) == ["net_notop"]
    assert assets_needed("net", SHAPES, net) == ["net"]
    (net / "net_notop.npz").unlink()
    assert assets_needed("net", BODY, net) == ["net"]  # the larger one is there
    assert load_pretrained("net", "published", net, BODY)[1] != sha256
    (net / "net.npz").unlink()
    assert assets_needed("net", BODY, net) == ["net_notop"]
    with pytest.raises(MissingAsset, match=r"Weights net_notop .*net_notop\.npz"):
        load_pretrained("net", "published", net, BODY)


def test_a_file_of_ones_own(net):
    path = net / "own.npz"
    np.savez(path, b=BODY_ARRAY + 1, t=TOP_ARRAY)
    variables, sha256 = load_pretrained("net", str(path), net / "nowhere", SHAPES)
    np.testing.assert_array_equal(variables["params"]["body"]["kernel"], BODY_ARRAY + 1)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights_sha256("net", str(path), net / "nowhere", SHAPES) == sha256
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.npz; source is 'published' or the path"):
        load_pretrained("net", str(net / "nothing.npz"), net, SHAPES)


def test_an_unknown_encoder_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"'vgg17'; known: vggish, inception_v3"):
        load_pretrained("vgg17", "published", tmp_path, SHAPES)


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_tables_of_names_cover_their_networks(encoder):
    for family in load.ENCODERS[encoder]:
        names = family.names()
        assert sorted(names.values()) == sorted(flat_shapes(family.variables()))
        assert set(family.assets + family.assets_without_optional) <= set(ASSETS)
        assert all(any(path.startswith(start) for path in names.values()) for start in family.optional)
