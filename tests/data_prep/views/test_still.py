"""The view of single pictures: which frames it takes, and how it cuts them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from shared_data import shared_data
from written_media import numbered_images, write_video

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame
from data_prep.views import face_detection
from data_prep.views.face_boxes import Box
from data_prep.views.still import Still


def clip(num_frames: int, rate_fps: float = 25.0, height_px: int = 16, width_px: int = 16) -> list[Frame]:
    """Frames that say their number in their brightness."""
    return [Frame(index / rate_fps, np.full((height_px, width_px, 3), index, np.uint8)) for index in range(num_frames)]


def shown(segment) -> list[int]:
    return [int(value.mean()) for value in segment.values]


class Marked:
    """Finds a face of 8 x 8 px at (4, 4) in every picture whose first pixel is not zero."""

    def detect(self, image):
        return [Box(4, 4, 8, 8)] if image[0, 0, 0] else []


@pytest.fixture
def marked(monkeypatch):
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: Marked())


@pytest.mark.parametrize(("num_frames", "middle"), [(1, 0), (2, 1), (3, 1), (75, 37), (128, 64)])
def test_one_is_the_middle_frame(num_frames, middle):
    (segment,) = Still().segments(iter(clip(num_frames)))
    assert shown(segment) == [middle]
    np.testing.assert_allclose(segment.times_s, [middle / 25], atol=1e-6)
    assert segment.mask.tolist() == [True] and (segment.num_seen, segment.num_with_face) == (1, None)


def test_several_are_the_middles_of_equal_parts():
    (segment,) = Still(num_frames=4).segments(iter(clip(40)))
    assert shown(segment) == [5, 15, 25, 35]


def test_fewer_frames_than_asked_for_are_repeated_in_place():
    (segment,) = Still(num_frames=5).segments(iter(clip(2)))
    assert shown(segment) == [0, 0, 1, 1, 1] and segment.mask.all()


@pytest.mark.parametrize("num_frames", [129, 200, 250])
def test_long_segments_are_shown_to_the_nearest_64th(num_frames):
    (segment,) = Still(num_frames=3).segments(iter(clip(num_frames)))
    wanted = (np.arange(3) + 0.5) * num_frames / 3
    assert np.abs(np.array(shown(segment)) - wanted).max() <= num_frames / 64


def test_segments_and_short_tails():
    segments = list(Still(segment_s=1.0).segments(iter(clip(60))))
    assert [shown(segment) for segment in segments] == [[12], [37]]
    segments = list(Still(segment_s=1.0).segments(iter(clip(65))))
    assert [shown(segment) for segment in segments] == [[12], [37], [57]]


def test_no_frames_no_segments():
    assert list(Still().segments(iter(()))) == []


class TestCrops:
    image = np.arange(20 * 32 * 3, dtype=np.int64).reshape(20, 32, 3).astype(np.uint8)

    def seen(self, **params):
        (segment,) = Still(**params).segments(iter([Frame(0.0, self.image)]))
        assert segment.values.shape[1:] == Still(**params).step_shape and segment.values.dtype == np.uint8
        return segment.values[0]

    def test_whole(self):
        np.testing.assert_array_equal(self.seen(size_px=10), cv2.resize(self.image, (10, 10), interpolation=cv2.INTER_AREA))

    def test_centre(self):
        np.testing.assert_array_equal(self.seen(size_px=20, crop="centre"), self.image[:, 6:26])

    def test_face_and_its_margin(self, marked, monkeypatch):
        monkeypatch.setattr(Marked, "detect", lambda self, image: [Box(8, 4, 8, 8)])
        np.testing.assert_array_equal(self.seen(size_px=8, crop="face", margin=0.0), self.image[4:12, 8:16])
        np.testing.assert_array_equal(self.seen(size_px=12, crop="face", margin=0.25), self.image[2:14, 6:18])

    def test_gray(self):
        expected = cv2.cvtColor(self.image[:, 6:26], cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(self.seen(size_px=20, crop="centre", gray=True)[..., 0], expected)

    def test_unknown_crop(self):
        with pytest.raises(ValueError, match=r"config\.views\.still\.crop must be one of whole, centre, face, got 'left'"):
            Still(crop="left")


def test_frames_without_a_face_show_the_nearest_one_with_a_face(marked):
    frames = clip(30)
    frames[0].image[:] = 1
    for index in (5, 25):
        frames[index].image[0, 0] = 0
    (segment,) = Still(num_frames=3, size_px=8, crop="face", margin=0.0).segments(iter(frames))
    assert shown(segment) == [15, 15, 15] and segment.mask.all() and (segment.num_seen, segment.num_with_face) == (3, 1)


def test_no_face_is_masked_out(marked):
    (segment,) = Still(size_px=8, crop="face").segments(iter(clip(1)))  # its first pixel is zero
    assert not segment.values.any() and segment.mask.tolist() == [False] and (segment.num_seen, segment.num_with_face) == (1, 0)


def test_of_a_written_film(tmp_path):
    write_video(tmp_path / "a.mp4", numbered_images(50))
    (segment,) = Still(size_px=16).segments(stream_frames(tmp_path / "a.mp4"))
    np.testing.assert_allclose(segment.values[:, :, :7].mean(), 40 + 25, atol=2)


@pytest.mark.slow
def test_real_clip():
    frames = list(stream_frames(shared_data("crema_d", "1001_DFA_HAP_XX.flv")))
    (segment,) = Still(num_frames=4, size_px=88, crop="face").segments(iter(frames))
    assert segment.num_with_face == 4 and segment.mask.all()
    np.testing.assert_allclose(segment.times_s, [frames[index].time_s for index in (7, 21, 35, 49)], atol=1e-6)
