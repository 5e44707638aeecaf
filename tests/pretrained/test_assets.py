import hashlib
import io
import re
import urllib.error
import urllib.request

import pytest
from shared_data import shared_data

from avemo_jax.pretrained import assets
from avemo_jax.pretrained.assets import ASSETS, Asset, File, MissingAsset, fetch_asset, find_asset, sha256_of

FILES = [file for asset in ASSETS.values() for file in asset.files]
CONTENT = b"weights"


def test_the_table_is_whole():
    assert len({file.name for file in FILES}) == len(FILES)
    for file in FILES:
        assert file.url.startswith("https://")
        assert file.url.endswith(file.name.split("/")[-1])
        assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
        assert re.fullmatch(r"([0-9a-f]{32})?", file.md5)
        assert not file.name.startswith("/")
        assert ".." not in file.name
    for asset in ASSETS.values():
        assert asset.content
        assert asset.licence
        assert asset.cite
        assert asset.page.startswith("https://")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("vggish_pca", "vggish_pca"),
        ("mini_xception_fer2013", "mini_xception"),
        ("face_api", "face_landmark_68"),
        ("face_api", "face_expression"),
        ("res10_ssd", "res10"),
    ],
)
def test_published_files_at_hand_are_those_of_the_table(folder, name):
    found = find_asset(name, shared_data("models", folder))
    assert found.path.is_file()
    assert len(found.sha256) == 64


def test_yunet_is_known_by_its_sum():
    assert sha256_of(shared_data("models", "yunet", "yunet_s_640_640.onnx")) == ASSETS["yunet"].files[0].sha256


@pytest.fixture
def two_files(monkeypatch):
    """An asset of two files, the second without a sum."""
    asset = Asset(
        (
            File("net/a.bin", "https://example.org/a.bin", hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT)),
            File("net/b.bin", "https://example.org/b.bin"),
        ),
        content="A net",
        page="https://example.org",
        licence="MIT",
        cite="Nobody 2020",
        open_name="net/model",
    )
    monkeypatch.setitem(ASSETS, "net", asset)
    return asset


def serve(monkeypatch, answers):
    """Answer downloads from a table; what is not in it is a network that is not there."""

    def open_url(url):
        if url not in answers:
            raise urllib.error.URLError("Name or service not known")
        return io.BytesIO(answers[url])

    monkeypatch.setattr(assets, "_open_url", open_url)


def test_what_is_missing_is_fetched_verified_and_found(two_files, monkeypatch, tmp_path):
    serve(monkeypatch, {"https://example.org/a.bin": CONTENT, "https://example.org/b.bin": b"more"})
    said = []
    found = fetch_asset("net", tmp_path, say=said.append)
    assert found.path == tmp_path / "net" / "model"
    assert (tmp_path / "net" / "a.bin").read_bytes() == CONTENT
    assert found.sha256 == sha256_of(tmp_path / "net" / "a.bin", tmp_path / "net" / "b.bin")
    assert any("no sum of net/b.bin is published" in line for line in said)
    assert find_asset("net", tmp_path) == found
    serve(monkeypatch, {})
    assert fetch_asset("net", tmp_path, say=said.append) == found  # all is there: no network needed
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["a.bin", "b.bin"]


def test_without_a_network_it_says_which_file_to_put_where(two_files, monkeypatch, tmp_path):
    with pytest.raises(MissingAsset, match=r"A net \(MIT.*net/a\.bin, public at https://example\.org/a\.bin; .*net/b\.bin"):
        find_asset("net", tmp_path)
    serve(monkeypatch, {"https://example.org/a.bin": CONTENT})
    with pytest.raises(MissingAsset, match=r"b\.bin could not be fetched \(.*not known.*Put the file where .*net/b\.bin"):
        fetch_asset("net", tmp_path, say=lambda line: None)
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("answer", "message"), [(b"weights and more", "more than the expected 7 bytes"), (b"Weights", "expected sha256")])
def test_what_is_not_the_published_file_is_not_kept(two_files, monkeypatch, tmp_path, answer, message):
    serve(monkeypatch, {"https://example.org/a.bin": answer})
    with pytest.raises(ValueError, match=message):
        fetch_asset("net", tmp_path, say=lambda line: None)
    assert list((tmp_path / "net").iterdir()) == []


def test_a_short_or_changed_file_is_named(two_files, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "b.bin").write_bytes(b"more")
    for content, message in ((b"weight", r"a\.bin has 6 bytes, expected 7"), (b"Weights", r"a\.bin: expected sha256 .* delete it")):
        (tmp_path / "net" / "a.bin").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            find_asset("net", tmp_path)


def test_only_https_is_opened_and_followed():
    with pytest.raises(urllib.error.URLError, match="expected an https address"):
        assets._open_url("http://example.org/a.bin")
    request = urllib.request.Request("https://example.org/a.bin")
    with pytest.raises(urllib.error.URLError, match="not https"):
        assets._HttpsOnly().redirect_request(request, None, 302, "Found", {}, "http://example.org/a.bin")
    followed = assets._HttpsOnly().redirect_request(request, None, 302, "Found", {}, "https://example.com/a.bin")
    assert followed.full_url == "https://example.com/a.bin"


def test_an_unknown_asset_names_the_known_ones(tmp_path):
    with pytest.raises(KeyError, match="vgg16_notop"):
        find_asset("vgg17", tmp_path)
