"""Published files that this project uses and does not ship: their addresses, sums and licences; finding and downloading them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from avemo_jax.atomic import atomic_binary_file

_LARGEST_BYTES = 4 << 30  # of a file whose size is not known: CLIP's largest has 1.7 GB, Whisper's 3.1 GB
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20

PUBLISHED = "published"


@dataclasses.dataclass(frozen=True)
class File:
    """One published file.

    Attributes:
      name: its name in the folder of weights; a part in front of "/" is a folder in it.
      url: its address, https.
      sha256, md5: as its owner or several of its users publish it; "" where none is known.
      size_bytes: exact size, 0 where it is not known.
    """

    name: str
    url: str
    sha256: str = ""
    md5: str = ""
    size_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Asset:
    """One published file, or several that are used as one.

    Attributes:
      files: all of its files; the first is the one that is opened.
      content: what it is.
      page: where its owner describes it.
      licence: of the weights, as its owner states it.
      cite: the paper.
      open_name: name for readers in place of the first file's, for checkpoints of several files; "" for the first file's.
    """

    files: tuple[File, ...]
    content: str
    page: str
    licence: str
    cite: str
    open_name: str = ""

    @property
    def path(self) -> Path:
        """What readers open, below the folder of weights."""
        return Path(self.open_name or self.files[0].name)


class FoundAsset(NamedTuple):
    """An asset on disk that is the published one.

    Attributes:
      path: what readers open.
      sha256: of its files, see `sha256_of`.
    """

    path: Path
    sha256: str


class MissingAsset(FileNotFoundError):
    """An asset is not there; the message states which file to put where, and its public address."""


# The face detectors, by the names that views use; an encoder's assets stand with the encoder (avemo_jax/models/encoders/*/weights.py).
FACE_DETECTORS: dict[str, Asset] = {
    "yunet": Asset(
        (
            File(
                "face_detection_yunet_2023mar.onnx",
                "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
                sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                size_bytes=232_589,
            ),
        ),
        "YuNet face detector, ONNX",
        page="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        licence="MIT (OpenCV Zoo); Apache-2.0 (training code)",
        cite="Wu, Peng and Yu 2023, YuNet: A Tiny Millisecond-level Face Detector",
    ),
    "res10": Asset(
        (
            File(
                "opencv_face_detector_uint8.pb",
                "https://github.com/opencv/opencv_3rdparty/raw/8033c2bc31b3256f0d461c919ecc01c2428ca03b/opencv_face_detector_uint8.pb",
                sha256="5c71d752ef2cbf2f457ac82fdd580fcb2522fd04c5efdaed18eb6d9e2843fbed",
                size_bytes=2_727_750,
            ),
            # no sum: OpenCV has edited this text over the years
            File(
                "opencv_face_detector.pbtxt",
                "https://raw.githubusercontent.com/opencv/opencv_extra/4.x/testdata/dnn/opencv_face_detector.pbtxt",
            ),
        ),
        "SSD face detector with a ResNet-10 body, TensorFlow, 8 bits",
        page="https://github.com/opencv/opencv_3rdparty/tree/dnn_samples_face_detector_20180220_uint8",
        licence="BSD-3-Clause / Apache-2.0 (OpenCV)",
        cite="Liu et al. 2016, SSD: Single Shot MultiBox Detector, arXiv 1512.02325",
    ),
}


def find_asset(asset: Asset, weights_dir: Path) -> FoundAsset:
    """Find a published asset in the folder of weights and verify it.

    Raises:
      MissingAsset: a file of it is not there.
      ValueError: a file is there and is not the published one.
    """
    missing = [file for file in asset.files if not (weights_dir / file.name).is_file()]
    if missing:
        raise MissingAsset(_how_to_get(asset, missing, weights_dir))
    for file in asset.files:
        _verify(weights_dir / file.name, file)
    return FoundAsset(weights_dir / asset.path, sha256_of(*(weights_dir / file.name for file in asset.files)))


def fetch_asset(asset: Asset, weights_dir: Path, *, say: Callable[[str], None] = print) -> FoundAsset:
    """Download the missing files of an asset into the folder of weights and verify all of them.

    Args:
      asset: what is needed.
      weights_dir: made where it is missing.
      say: called with a line for each download, and for each file without a published sum.

    Raises:
      MissingAsset: there is no network, or the server does not give the file; with which file to put where.
      ValueError: a downloaded file, or one that was there, is not the published one.
    """
    for file in asset.files:
        path = weights_dir / file.name
        if path.is_file():
            continue
        say(f"fetching {file.url}{f' ({file.size_bytes / 1e6:.1f} MB)' if file.size_bytes else ''}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _download(file, path)
        except OSError as error:  # those of requests are of this type
            raise MissingAsset(f"{file.url} could not be fetched ({error}). {_how_to_get(asset, [file], weights_dir)}") from error
        if not file.sha256 and not file.md5:
            say(f"no sum of {file.name} is published; the downloaded file has SHA-256 {sha256_of(path)}")
    return find_asset(asset, weights_dir)


def sha256_of(*paths: Path) -> str:
    """SHA-256 in hexadecimal of a file; of several files, that of their sums one after another."""
    return joined_sha256([_digest(path, "sha256") for path in paths])


def joined_sha256(sums: Sequence[str]) -> str:
    """SHA-256 of several sums one after another; of one sum, that sum."""
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _digest(path: Path, kind: str) -> str:
    status = path.stat()
    return _digest_of_state(path, kind, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=64)  # a run asks several times for files of half a gigabyte
def _digest_of_state(path: Path, kind: str, *state: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, functools.partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()


def _how_to_get(asset: Asset, missing: list[File], weights_dir: Path) -> str:
    needs = "; ".join(f"{(weights_dir / file.name).absolute()}, public at {file.url}" for file in missing)
    return (
        f"{asset.content} ({asset.licence}; {asset.page}) is needed. Put the file where it is looked for: {needs}. "
        "Or run --mode=prepare where there is a network."
    )


def _verify(path: Path, file: File) -> None:
    size_bytes = path.stat().st_size
    if file.size_bytes and size_bytes != file.size_bytes:
        raise ValueError(f"{path} has {size_bytes} bytes, expected {file.size_bytes}: it is not the file published at {file.url}")
    for kind in ("sha256", "md5"):
        expected = getattr(file, kind)
        if not expected:
            continue
        found = _digest(path, kind)
        if found != expected:
            raise ValueError(
                f"{path}: expected {kind} {expected}, found {found}: it is not the file published at {file.url}; delete it, and "
                "--mode=prepare fetches it anew"
            )
        return


def _download(file: File, path: Path) -> None:
    """Download beside `path`, verify, and only then move it there.

    pooch downloads (retries of redirects, proxies, progress). It bounds no size and follows any redirect: the two guards are ours, and a
    partial file is ours as well, as `pooch.retrieve` knows no sizes and would hash half a gigabyte that `_verify` hashes anyway.
    """
    import pooch  # late: hosts that only train lack it

    def check_redirect(response: Any, **_: Any) -> None:
        target = urllib.parse.urljoin(response.url, response.headers.get("location", ""))
        _expect_https(target, f"{file.url} redirects to {target}")

    _expect_https(file.url, file.url)
    download = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT_S, chunk_size=_CHUNK_BYTES, hooks={"response": check_redirect})
    with atomic_binary_file(path) as stream:
        download(file.url, _Bounded(stream, file), None)
        stream.flush()
        _verify(Path(stream.name), file)


def _expect_https(url: str, what: str) -> None:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise OSError(f"expected an https address: {what}")


class _Bounded:
    """A file for the downloader to write to, which refuses more bytes than the published file has."""

    def __init__(self, stream: IO[bytes], file: File):
        self._stream, self._url = stream, file.url
        self._largest_bytes = self._left_bytes = file.size_bytes or _LARGEST_BYTES

    def write(self, chunk: bytes) -> None:
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            raise ValueError(f"{self._url} gives more than the expected {self._largest_bytes} bytes; the download was discarded")
        self._stream.write(chunk)

    def flush(self) -> None:
        self._stream.flush()
