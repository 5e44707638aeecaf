"""Files that other people publish and this project uses: where they are public, how to know them, their licences; finding, fetching.

Nothing of them is shipped. This is the one table of all of them, also of the face detectors that `data_prep` reads.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from avemo_jax.atomic import atomic_binary_file

_LARGEST_BYTES = 1 << 30  # of a file whose size is not known; the largest that is known has 0.6 GB
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20


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
    """What belongs together: one file, or several that are used as one.

    Attributes:
      files: all of its files; the first is the one that is opened.
      content: what it is.
      page: where its owner describes it.
      licence: of the weights, as its owner states it.
      cite: the paper.
      open_name: what readers are given in place of the first file's name, for checkpoints of several files; "" for the first file's.
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
    """An asset is not there; the message says which file to put where and where it is public."""


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_SIMONYAN = "Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556"
_SZEGEDY = "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567"
_CARREIRA = "Carreira and Zisserman 2017, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, arXiv 1705.07750"
_HERSHEY = "Hershey et al. 2017, CNN Architectures for Large-Scale Audio Classification, arXiv 1609.09430"
_VGG_LICENCE = "CC BY 4.0 (Visual Geometry Group), as converted by Keras"


def _keras(family: str, top: bool, md5: str, size_bytes: int, content: str, licence: str, cite: str) -> Asset:
    name = f"{family}_weights_tf_dim_ordering_tf_kernels{'' if top else '_notop'}.h5"
    page = f"https://keras.io/api/applications/{'inceptionv3' if family == 'inception_v3' else 'vgg'}/"
    return Asset((File(name, f"{_KERAS}/{family}/{name}", md5=md5, size_bytes=size_bytes),), content, page, licence, cite)


def _i3d(stream: str, content: str) -> Asset:
    folder = f"i3d_{stream}_imagenet"
    address = f"https://github.com/google-deepmind/kinetics-i3d/raw/master/data/checkpoints/{stream}_imagenet"
    parts = ("model.ckpt.index", "model.ckpt.data-00000-of-00001")
    return Asset(
        tuple(File(f"{folder}/{part}", f"{address}/{part}") for part in parts),
        content,
        page="https://github.com/google-deepmind/kinetics-i3d",
        licence="Apache-2.0",
        cite=_CARREIRA,
        open_name=f"{folder}/model.ckpt",
    )


def _face_api(name: str, content: str, manifest: tuple[str, int], shard: tuple[str, int]) -> Asset:
    address = "https://github.com/justadudewhohacks/face-api.js/raw/master/weights"
    return Asset(
        (
            File(f"{name}-weights_manifest.json", f"{address}/{name}-weights_manifest.json", manifest[0], size_bytes=manifest[1]),
            File(f"{name}-shard1", f"{address}/{name}-shard1", shard[0], size_bytes=shard[1]),
        ),
        content,
        page="https://github.com/justadudewhohacks/face-api.js",
        licence="MIT",
        cite="Muehler, face-api.js",
    )


ASSETS: dict[str, Asset] = {
    "vggish": Asset(
        (
            File(
                "vggish_model.ckpt",
                "https://storage.googleapis.com/audioset/vggish_model.ckpt",
                md5="d1c7011e6366aa34176bb05c705e31a8",  # as OpenMIC-2018 checks it
            ),
        ),
        "VGGish trained on YouTube's soundtracks, TensorFlow checkpoint",
        page="https://github.com/tensorflow/models/tree/master/research/audioset/vggish",
        licence="Apache-2.0",
        cite=_HERSHEY,
    ),
    "vggish_pca": Asset(
        (
            File(
                "vggish_pca_params.npz",
                "https://storage.googleapis.com/audioset/vggish_pca_params.npz",
                sha256="4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d",
                md5="c80cae691033abe7c7ecd11ea39fc834",
                size_bytes=73_020,
            ),
        ),
        "PCA of VGGish's embeddings, as AudioSet's are released",
        page="https://github.com/tensorflow/models/tree/master/research/audioset/vggish",
        licence="Apache-2.0",
        cite=_HERSHEY,
    ),
    "inception_v3": _keras(
        "inception_v3",
        True,
        "9a0d58056eeedaa3f26cb7ebd46da564",
        96_112_376,
        "InceptionV3 trained on ImageNet, with its classes, Keras HDF5",
        "Apache-2.0, as converted by Keras",
        _SZEGEDY,
    ),
    "inception_v3_notop": _keras(
        "inception_v3",
        False,
        "bcbd6486424b2319ff4ef7d526e38f63",
        87_910_968,
        "InceptionV3 trained on ImageNet, without its classes, Keras HDF5",
        "Apache-2.0, as converted by Keras",
        _SZEGEDY,
    ),
    "vgg16": _keras(
        "vgg16",
        True,
        "64373286793e3c8b2b4e3219cbf3544b",
        553_467_096,
        "VGG16 trained on ImageNet, all layers, Keras HDF5",
        _VGG_LICENCE,
        _SIMONYAN,
    ),
    "vgg16_notop": _keras(
        "vgg16",
        False,
        "6d6bbae143d832006294945121d1f1fc",
        58_889_256,
        "VGG16 trained on ImageNet, convolutions alone, Keras HDF5",
        _VGG_LICENCE,
        _SIMONYAN,
    ),
    "vgg19": _keras(
        "vgg19",
        True,
        "cbe5617147190e668d6c5d5026f83318",
        574_710_816,
        "VGG19 trained on ImageNet, all layers, Keras HDF5",
        _VGG_LICENCE,
        _SIMONYAN,
    ),
    "vgg19_notop": _keras(
        "vgg19",
        False,
        "253f8cb515780f3b799900260a226db6",
        80_134_624,
        "VGG19 trained on ImageNet, convolutions alone, Keras HDF5",
        _VGG_LICENCE,
        _SIMONYAN,
    ),
    "i3d_rgb": _i3d("rgb", "I3D for RGB, trained on ImageNet and Kinetics, TensorFlow checkpoint"),
    "i3d_flow": _i3d("flow", "I3D for optical flow, trained on ImageNet and Kinetics, TensorFlow checkpoint"),
    "mini_xception": Asset(
        (
            File(
                "fer2013_mini_XCEPTION.102-0.66.hdf5",
                "https://github.com/oarriaga/face_classification/raw/master/trained_models/emotion_models/fer2013_mini_XCEPTION.102-0.66.hdf5",
                sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
                size_bytes=872_856,
            ),
        ),
        "mini-Xception trained on FER2013, Keras HDF5",
        page="https://github.com/oarriaga/face_classification",
        licence="MIT",
        cite="Arriaga et al. 2017, Real-time Convolutional Neural Networks for Emotion and Gender Classification, arXiv 1710.07557",
    ),
    "face_landmark_68": _face_api(
        "face_landmark_68_model",
        "68 face landmarks, quantised shards",
        ("d30f6cc341009ea4f8223876959289b96576fc54a2615f92da9741ab9c5f0bbc", 7_889),
        ("4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b", 356_840),
    ),
    "face_expression": _face_api(
        "face_expression_model",
        "Facial expressions in seven classes, quantised shards",
        # no published sum was found for this manifest: that of the copy which the parity tests were made with
        ("960cbe959fe0328965dd18662d839f197df6e27607da4f726cd0c826e47fc936", 6_384),
        ("9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d", 329_468),
    ),
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


def find_asset(name: str, weights_dir: Path) -> FoundAsset:
    """Find a published asset in the folder of weights and verify it.

    Raises:
      KeyError: no such asset in the table.
      MissingAsset: a file of it is not there.
      ValueError: a file is there and is not the published one.
    """
    asset = _asset(name)
    missing = [file for file in asset.files if not (weights_dir / file.name).is_file()]
    if missing:
        raise MissingAsset(_how_to_get(name, missing, weights_dir))
    for file in asset.files:
        _verify(weights_dir / file.name, file)
    return FoundAsset(weights_dir / asset.path, sha256_of(*(weights_dir / file.name for file in asset.files)))


def fetch_asset(name: str, weights_dir: Path, *, say: Callable[[str], None] = print) -> FoundAsset:
    """Download what is missing of an asset, verify it, and put it into the folder of weights; files that are there are only verified.

    Args:
      name: of ASSETS.
      weights_dir: made where it is missing.
      say: is told what is fetched, and what could not be verified for want of a published sum.

    Raises:
      KeyError: no such asset in the table.
      MissingAsset: there is no network, or the server does not give the file; with which file to put where.
      ValueError: what came, or what is there, is not the published file.
    """
    for file in _asset(name).files:
        path = weights_dir / file.name
        if path.is_file():
            continue
        say(f"fetching {file.url}{f' ({file.size_bytes / 1e6:.1f} MB)' if file.size_bytes else ''}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _download(file, path)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise MissingAsset(f"{file.url} could not be fetched ({error}). {_how_to_get(name, [file], weights_dir)}") from error
        if not file.sha256 and not file.md5:
            say(f"no sum of {file.name} is published; what came has SHA-256 {sha256_of(path)}")
    return find_asset(name, weights_dir)


def sha256_of(*paths: Path) -> str:
    """SHA-256 in hexadecimal of a file; of several files, that of their sums one after another."""
    sums = [_digest(path, "sha256") for path in paths]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _digest(path: Path, kind: str) -> str:
    status = path.stat()
    return _digest_of_state(path, kind, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=64)  # a run asks several times for files of half a gigabyte
def _digest_of_state(path: Path, kind: str, *state: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, functools.partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()


def _asset(name: str) -> Asset:
    if name not in ASSETS:
        raise KeyError(f"no asset is named {name!r}; there are: {', '.join(ASSETS)}")
    return ASSETS[name]


def _how_to_get(name: str, missing: list[File], weights_dir: Path) -> str:
    asset = ASSETS[name]
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


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open_url(url: str) -> IO[bytes]:
    """Open an https address; a proxy is taken from the environment."""
    if urllib.parse.urlsplit(url).scheme != "https":
        raise urllib.error.URLError("expected an https address")
    return urllib.request.build_opener(_HttpsOnly).open(url, timeout=_TIMEOUT_S)


def _download(file: File, path: Path) -> None:
    """Download beside `path`, verify, and only then move it there."""
    largest = file.size_bytes or _LARGEST_BYTES
    with atomic_binary_file(path) as stream, _open_url(file.url) as response:
        received = 0
        while chunk := response.read(_CHUNK_BYTES):
            received += len(chunk)
            if received > largest:
                raise ValueError(f"{file.url} gives more than the expected {largest} bytes; nothing of it was kept")
            stream.write(chunk)
        stream.flush()
        _verify(Path(stream.name), file)
