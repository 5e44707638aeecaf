"""Face detectors behind one small interface."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np

from avemo_jax.pretrained.assets import FACE_DETECTORS
from data_prep.views.face_boxes import Box, Detector


@dataclasses.dataclass(frozen=True)
class HaarDetector:
    """Viola-Jones frontal faces with the cascade in the wheel of OpenCV 4: the default, needs no file.

    Attributes:
      scale_factor, min_neighbors: of `detectMultiScale`. System D used 1.3 and 5; 1.1 and 3 find more and take longer.
      min_face_fraction: smallest face to find, as a part of the image's shorter side.
      longest_px: larger images are reduced to this longer side first: time grows with the area, and a speaker's face stays large.
    """

    scale_factor: float = 1.1
    min_neighbors: int = 3
    min_face_fraction: float = 0.1
    longest_px: int = 320

    @functools.cached_property
    def _cascade(self) -> cv2.CascadeClassifier:
        return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"))

    def detect(self, image: np.ndarray) -> list[Box]:
        """Return the faces in image (H, W, 3) uint8 RGB, largest first."""
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, self.longest_px / max(gray.shape))
        if scale < 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = max(24, round(self.min_face_fraction * min(gray.shape)))  # the cascade was trained on 24 x 24
        found = self._cascade.detectMultiScale(
            gray, scaleFactor=self.scale_factor, minNeighbors=self.min_neighbors, minSize=(smallest, smallest)
        )
        return _largest_first([Box(*(float(value) / scale for value in box)) for box in found])


@dataclasses.dataclass(frozen=True)
class YunetDetector:
    """YuNet (OpenCV's face_detection_yunet), run on the image at half size, where it is faster.

    Attributes:
      path: the ONNX file.
      score: least score of a face.
      scale: factor on the image's size before detection.
    """

    path: str
    score: float = 0.7
    scale: float = 0.5

    @functools.cached_property
    def _net(self) -> cv2.FaceDetectorYN:
        try:
            return cv2.FaceDetectorYN.create(self.path, "", (320, 320), score_threshold=self.score)
        except cv2.error as error:
            raise ValueError(
                f"OpenCV {cv2.__version__} can't read the detector {self.path}; expected face_detection_yunet_2023mar.onnx or another "
                "YuNet of fixed input size (those named *_dynamic.onnx need OpenCV 5)"
            ) from error

    def detect(self, image: np.ndarray) -> list[Box]:
        """Return the faces in image (H, W, 3) uint8 RGB, largest first."""
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), None, fx=self.scale, fy=self.scale, interpolation=cv2.INTER_AREA)
        self._net.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._net.detect(small)
        if found is None:
            return []
        corners, scores = found[:, :4].astype(float) / self.scale, found[:, 14].astype(float)
        return _largest_first([Box(x, y, width, height, score) for (x, y, width, height), score in zip(corners, scores, strict=True)])


@dataclasses.dataclass(frozen=True)
class Res10Detector:
    """The SSD with a ResNet-10 body that OpenCV publishes for faces, as systems A1 and B used it.

    Attributes:
      path: the TensorFlow .pb file; its .pbtxt lies beside it.
      score: least score of a face.
    """

    path: str
    score: float = 0.5

    @functools.cached_property
    def _net(self) -> cv2.dnn.Net:
        try:
            return cv2.dnn.readNetFromTensorflow(self.path, str(_pbtxt_beside(Path(self.path))))
        except cv2.error as error:
            raise ValueError(f"OpenCV can't read the detector {self.path} with {_pbtxt_beside(Path(self.path))}: {error}") from error

    def detect(self, image: np.ndarray) -> list[Box]:
        """Return the faces in image (H, W, 3) uint8 RGB, largest first."""
        height, width = image.shape[:2]
        # the network takes BGR of 300 x 300 with these means subtracted
        self._net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), (104.0, 177.0, 123.0), swapRB=True))
        boxes = []
        for score, left, top, right, bottom in self._net.forward()[0, 0, :, 2:]:
            left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0)
            if score >= self.score and left < right and top < bottom:
                boxes.append(
                    Box(
                        float(left * width),
                        float(top * height),
                        float((right - left) * width),
                        float((bottom - top) * height),
                        float(score),
                    )
                )
        return _largest_first(boxes)


@functools.cache
def make_detector(name: str, path: str | None = None) -> Detector:
    """Return the detector of that name, one a process.

    Args:
      name: "haar", "haar_coarse" (Haar with a factor of 1.3 and 5 neighbours, as system D has it), "yunet" or "res10".
      path: its file (the views' `detector_path`); Haar needs none.

    Raises:
      ValueError: unknown name, or a file that OpenCV can't read.
      FileNotFoundError: the file is not given or not there, with where it is public and which field names it.
    """
    cv2.setNumThreads(1)  # workers share the cores, and the order of candidates, thereby the boxes, must not depend on threads
    if name == "haar":
        return HaarDetector()
    if name == "haar_coarse":
        return HaarDetector(scale_factor=1.3, min_neighbors=5)
    if name == "yunet":
        return YunetDetector(str(_existing(name, path)))
    if name == "res10":
        file = _existing(name, path)
        _existing(name, str(_pbtxt_beside(file)), number=1)
        return Res10Detector(str(file))
    raise ValueError(f"unknown face detector {name!r}; expected haar, haar_coarse, yunet or res10 in the view's field detector")


def _existing(name: str, path: str | None, number: int = 0) -> Path:
    """The detector's file of that number in the table of assets."""
    published = FACE_DETECTORS[name].files[number]
    if path is None or not Path(path).is_file():
        found = "no path is given" if path is None else f"there is no file {path}"
        raise FileNotFoundError(
            f"face detector {name} needs {published.name}, and {found}; it is public at {published.url} ({FACE_DETECTORS[name].page}); "
            "the field detector_path of the view (config.views.<view>) names it, and a .pbtxt lies beside its .pb; "
            "detector='haar' needs no file"
        )
    return Path(path)


def _pbtxt_beside(path: Path) -> Path:
    """The network's description: the only .pbtxt in the folder, else the one by its published name."""
    found = sorted(path.parent.glob("*.pbtxt"))
    return found[0] if len(found) == 1 else path.parent / FACE_DETECTORS["res10"].files[1].name


def _largest_first(boxes: list[Box]) -> list[Box]:
    return sorted(boxes, key=lambda box: (-box.area, box.x, box.y))
