import hashlib
import re
from collections.abc import Iterable

import pytest
import requests
from shared_data import shared_data

from avemo_jax.models.encoders import ENCODERS, find_encoder
from avemo_jax.models.encoders.face_api.weights import EXPRESSIONS_ASSET, LANDMARKS_ASSET
from avemo_jax.models.encoders.mini_xception.weights import ASSET as MINI_XCEPTION
from avemo_jax.models.encoders.vggish.weights import PCA
from avemo_jax.pretrained.assets import FACE_DETECTORS, Asset, File, MissingAsset, fetch_asset, find_asset, sha256_of

CONTENT = b"weights"


def all_assets() -> Iterable[Asset]:
    yield from FACE_DETECTORS.values()
    for name in ENCODERS:
        for layout in find_encoder(name).weights:
            yield from (*layout.assets, *layout.assets_without_optional)


def test_assets_are_whole():
    files = [file for asset in all_assets() for file in asset.files]
    assert len({file.name for file in files}) == len(files) > 15
    for file in files:
        assert file.url.startswith("https://")
        assert file.url.endswith(file.name.split("/")[-1])
        assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
        assert re.fullmatch(r"([0-9a-f]{32})?", file.md5)
        assert not file.name.startswith("/")
        assert ".." not in file.name
    for asset in all_assets():
        assert asset.content
        assert asset.licence
        assert asset.cite
        assert asset.page.startswith("https://")


@pytest.mark.parametrize(
    ("folder", "asset"),
    [
        ("vggish_pca", PCA),
        ("mini_xception_fer2013", MINI_XCEPTION),
        ("face_api", LANDMARKS_ASSET),
        ("face_api", EXPRESSIONS_ASSET),
        ("res10_ssd", FACE_DETECTORS["res10"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value.files[0].name,
)
def test_published_files_at_hand_are_those_of_the_assets(folder, asset):
    found = find_asset(asset, shared_data("models", folder))
    assert found.path.is_file()
    assert len(found.sha256) == 64


def test_yunet_is_known_by_its_sum():
    assert sha256_of(shared_data("models", "yunet", "yunet_s_640_640.onnx")) == FACE_DETECTORS["yunet"].files[0].sha256


@pytest.fixture
def two_files():
    """An asset of two files, the second without a sum."""
    return Asset(
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


def serve(monkeypatch, answers):
    """Answer requests from a table, url -> content or the address that it redirects to; any other address has no server."""

    def send(self, request, **kwargs):
        answer = answers.get(request.url)
        if answer is None:
            raise requests.ConnectionError("Name or service not known")
        response = requests.Response()
        response.url, response.request = request.url, request
        response.status_code = 302 if isinstance(answer, str) else 200
        if isinstance(answer, str):
            response.headers["location"] = answer
        response._content = b"" if isinstance(answer, str) else answer
        response._content_consumed = True
        response.raw = requests.packages.urllib3.HTTPResponse(preload_content=False)
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


def test_what_is_missing_is_fetched_verified_and_found(two_files, monkeypatch, tmp_path):
    serve(monkeypatch, {"https://example.org/a.bin": CONTENT, "https://example.org/b.bin": b"more"})
    said = []
    found = fetch_asset(two_files, tmp_path, say=said.append)
    assert found.path == tmp_path / "net" / "model"
    assert (tmp_path / "net" / "a.bin").read_bytes() == CONTENT
    assert found.sha256 == sha256_of(tmp_path / "net" / "a.bin", tmp_path / "net" / "b.bin")
    assert any("no sum of net/b.bin is published" in line for line in said)
    assert find_asset(two_files, tmp_path) == found
    serve(monkeypatch, {})
    assert fetch_asset(two_files, tmp_path, say=said.append) == found  # all is there: no network needed
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["a.bin", "b.bin"]


def test_without_a_network_it_says_which_file_to_put_where(two_files, monkeypatch, tmp_path):
    with pytest.raises(MissingAsset, match=r"A net \(MIT.*net/a\.bin, public at https://example\.org/a\.bin; .*net/b\.bin"):
        find_asset(two_files, tmp_path)
    serve(monkeypatch, {"https://example.org/a.bin": CONTENT})
    with pytest.raises(MissingAsset, match=r"b\.bin could not be fetched \(.*not known.*Put the file where .*net/b\.bin"):
        fetch_asset(two_files, tmp_path, say=lambda line: None)
    assert [path.name for path in (tmp_path / "net").iterdir()] == ["a.bin"]


@pytest.mark.parametrize(("answer", "message"), [(b"weights and more", "more than the expected 7 bytes"), (b"Weights", "expected sha256")])
def test_what_is_not_the_published_file_is_not_kept(two_files, monkeypatch, tmp_path, answer, message):
    serve(monkeypatch, {"https://example.org/a.bin": answer})
    with pytest.raises(ValueError, match=message):
        fetch_asset(two_files, tmp_path, say=lambda line: None)
    assert list((tmp_path / "net").iterdir()) == []


def test_a_short_or_changed_file_is_named(two_files, tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "b.bin").write_bytes(b"more")
    for content, message in ((b"weight", r"a\.bin has 6 bytes, expected 7"), (b"Weights", r"a\.bin: expected sha256 .* delete it")):
        (tmp_path / "net" / "a.bin").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            find_asset(two_files, tmp_path)


def test_redirections_are_followed_to_https_alone(two_files, monkeypatch, tmp_path):
    moved, insecure = {"https://example.org/a.bin": "https://example.com/a.bin"}, {"https://example.org/a.bin": "http://example.com/a.bin"}
    contents = {"https://example.org/b.bin": b"more", "https://example.com/a.bin": CONTENT, "http://example.com/a.bin": CONTENT}
    serve(monkeypatch, contents | insecure)
    with pytest.raises(MissingAsset, match=r"expected an https address: .* redirects to http://example\.com/a\.bin"):
        fetch_asset(two_files, tmp_path, say=lambda line: None)
    assert list((tmp_path / "net").iterdir()) == []
    serve(monkeypatch, contents | moved)
    fetch_asset(two_files, tmp_path, say=lambda line: None)
    assert (tmp_path / "net" / "a.bin").read_bytes() == CONTENT


def test_only_https_is_opened(monkeypatch, tmp_path):
    serve(monkeypatch, {"http://example.org/a.bin": CONTENT})
    asset = Asset((File("a.bin", "http://example.org/a.bin"),), "A net", "https://example.org", "MIT", "Nobody 2020")
    with pytest.raises(MissingAsset, match="expected an https address: http://example"):
        fetch_asset(asset, tmp_path, say=lambda line: None)
