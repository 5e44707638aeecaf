"""Face detectors behind one interface, and the crop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from shared_data import shared_data

from data_prep.decoding.films import stream_frames
from data_prep.views.face_boxes import Box
from data_prep.views.face_crops import crop_face
from data_prep.views.face_detection import HaarDetector, make_detector

CLIPS = (
    *(("crema_d", f"1001_DFA_{emotion}_XX.flv") for emotion in ("ANG", "HAP", "NEU")),
    *(("grid", f"{name}.mpg") for name in ("brbk7n", "lbax4n", "lbbc2a", "lwbsza", "sbwe5n")),
)
FILES = {
    "haar": None,
    "haar_coarse": None,
    "yunet": ("models", "yunet", "yunet_s_640_640.onnx"),
    "res10": ("models", "res10_ssd", "opencv_face_detector_uint8.pb"),
}


def detector_of(name: str):
    file = FILES[name]
    return make_detector(name, None if file is None else str(shared_data(*file)))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(width, 0) * max(height, 0)
    return common / (one.width * one.height + other.width * other.height - common)


class TestCrop:
    image = np.arange(100 * 200).reshape(100, 200, 1)

    def test_square_around_the_middle_of_the_box_with_its_margin(self):
        # the middle is at (x 60, y 50); 20 x 30 with a tenth on each side gives 36
        crop = crop_face(self.image, Box(50, 35, 20, 30), margin=0.1)
        np.testing.assert_array_equal(crop, self.image[32:68, 42:78])

    @pytest.mark.parametrize(
        ("box", "rows", "columns"), [(Box(-5, -5, 30, 30), (0, 36), (0, 36)), (Box(185, 80, 30, 30), (64, 100), (164, 200))]
    )
    def test_square_is_moved_inside_the_image(self, box, rows, columns):
        np.testing.assert_array_equal(crop_face(self.image, box, margin=0.1), self.image[slice(*rows), slice(*columns)])

    def test_square_larger_than_the_image_is_shrunk(self):
        assert crop_face(self.image, Box(20, 0, 150, 100)).shape == (100, 100, 1)

    def test_crop_is_a_copy(self):
        image = self.image.copy()
        crop_face(image, Box(50, 35, 20, 30))[:] = -1
        assert image.min() == 0


class TestMakeDetector:
    def test_unknown_name(self):
        with pytest.raises(ValueError, match="unknown face detector 'dlib'; expected haar, haar_coarse, yunet or res10"):
            make_detector("dlib")

    @pytest.mark.parametrize("name", ["yunet", "res10"])
    def test_missing_file_says_which_where_and_the_field(self, tmp_path, name):
        with pytest.raises(FileNotFoundError, match=r"no path is given; it is public at https://github.com/opencv/.*detector_path"):
            make_detector(name)
        with pytest.raises(FileNotFoundError, match=r"there is no file .*net\.bin"):
            make_detector(name, str(tmp_path / "net.bin"))

    def test_res10_without_its_description(self, tmp_path):
        (tmp_path / "net.pb").touch()
        with pytest.raises(FileNotFoundError, match=r"needs opencv_face_detector\.pbtxt"):
            make_detector("res10", str(tmp_path / "net.pb"))

    @pytest.mark.parametrize(("name", "file"), [("yunet", "net.onnx"), ("res10", "net.pb")])
    def test_file_that_is_no_network(self, tmp_path, name, file):
        (tmp_path / file).write_text("no network")
        (tmp_path / "net.pbtxt").write_text("no network")
        with pytest.raises(ValueError, match="can't read the detector"):
            make_detector(name, str(tmp_path / file)).detect(np.zeros((64, 64, 3), np.uint8))

    def test_haar_of_system_d(self):
        assert make_detector("haar_coarse") == HaarDetector(scale_factor=1.3, min_neighbors=5)

    def test_one_detector_a_process(self):
        assert make_detector("haar") is make_detector("haar")


@pytest.mark.parametrize("name", FILES)
class TestDetection:
    def test_nothing_is_found_in_a_blank_picture(self, name):
        assert detector_of(name).detect(np.full((120, 160, 3), 128, np.uint8)) == []

    def test_colours_are_taken_as_rgb_and_boxes_agree_with_haar(self, name):
        image = next(stream_frames(shared_data("grid", "brbk7n.mpg"))).image
        boxes = detector_of(name).detect(image)
        assert [box.area for box in boxes] == sorted((box.area for box in boxes), reverse=True)
        assert overlap(boxes[0], make_detector("haar").detect(image)[0]) > 0.5

    @pytest.mark.slow
    @pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip[1])
    def test_faces_of_real_clips(self, name, clip):
        detector = detector_of(name)
        frames = itertools.islice(stream_frames(shared_data(*clip)), 0, None, 3)
        found = [bool(detector.detect(frame.image)) for frame in frames]
        assert len(found) >= 19 and np.mean(found) >= 0.95


def test_haar_gives_boxes_in_px_of_the_whole_picture():
    image = next(stream_frames(shared_data("crema_d", "1001_DFA_HAP_XX.flv"))).image
    reduced = HaarDetector(longest_px=240).detect(image)[0]
    assert overlap(reduced, HaarDetector(longest_px=480).detect(image)[0]) > 0.8
