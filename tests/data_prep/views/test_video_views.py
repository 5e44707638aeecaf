"""Views of the picture: what they choose, cut, fill and hold."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from shared_data import shared_data
from written_media import numbered_images, write_video

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame
from data_prep.views import face_detection
from data_prep.views.face_boxes import Box
from data_prep.views.faces import Faces
from data_prep.views.frames import Frames
from data_prep.views.key_frame_choice import key_frame_indices
from data_prep.views.keyframes import KeyFrames
from data_prep.views.mouths import Mouths
from data_prep.views.segments import is_long_enough

VIDEO_VIEWS = {view.name: view for view in (KeyFrames, Faces, Mouths, Frames)}


def scene(seed: int, height_px: int = 48, width_px: int = 64) -> np.ndarray:
    """A picture of its own brightness and colour, with detail."""
    rng = np.random.default_rng(seed)
    colour = 60 + 20 * seed % 130 + rng.integers(0, 30, 3)
    return np.clip(colour + rng.normal(0, 25, (height_px, width_px, 1)), 0, 255).astype(np.uint8)


def clip(images, rate_fps: float = 25) -> list[Frame]:
    return [Frame(index / rate_fps, image) for index, image in enumerate(images)]


class MarkedFaces:
    """Finds a face of 20 x 20 px at (10, 10) in every picture whose first pixel is not zero, and counts its calls."""

    def __init__(self):
        self.num_calls = 0

    def detect(self, image):
        self.num_calls += 1
        return [Box(10, 10, 20, 20)] if image[0, 0, 0] else []


@pytest.fixture
def marked(monkeypatch) -> MarkedFaces:
    detector = MarkedFaces()
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: detector)
    return detector


def without_face(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[0, 0] = 0
    return image


class TestSegments:
    def test_only_a_short_tail_is_left_out(self):
        assert is_long_enough(0, 0.1, 5.0) and is_long_enough(3, 1.0, 5.0) and not is_long_enough(3, 0.99, 5.0)
        assert is_long_enough(3, 0.655, 0.655) and is_long_enough(3, 0.33, 0.655) and not is_long_enough(3, 0.3, 0.655)


@pytest.mark.parametrize("name", VIDEO_VIEWS)
class TestEveryView:
    def small(self, name):
        return VIDEO_VIEWS[name](size_px=16, segment_s=2.0)

    def test_declared_shape_and_type(self, name, marked):
        view = self.small(name)
        for segment in view.segments(iter(clip([scene(1)] * 90))):
            assert segment.values.shape == (len(segment.mask), *view.step_shape)
            assert segment.values.dtype == view.dtype and segment.mask.dtype == bool and segment.mask.all()
            assert segment.times_s.shape == segment.mask.shape and segment.times_s.dtype == np.float32

    def test_segments_follow_each_other_and_a_short_tail_is_left_out(self, name, marked):
        view = self.small(name)
        for num_frames, num_segments in ((10, 1), (50, 1), (65, 1), (80, 2), (100, 2), (110, 2), (126, 3)):
            segments = list(view.segments(iter(clip([scene(1)] * num_frames))))
            assert len(segments) == num_segments
            for index, segment in enumerate(segments):
                assert (segment.times_s > 2 * index - 0.07).all() and (segment.times_s < 2 * index + 2).all()
                assert (np.diff(segment.times_s) >= 0).all()

    def test_endless_media_stream_through(self, name, marked):
        taken = []
        endless = (taken.append(1) or Frame(index / 25, scene(1)) for index in itertools.count())
        segments = self.small(name).segments(endless)
        for number in (1, 2, 3):
            next(segments)
            assert len(taken) <= 50 * number + 5

    def test_no_frames_no_segments(self, name, marked):
        assert list(self.small(name).segments(iter(()))) == []

    def test_same_bytes_twice(self, name, marked):
        frames = clip([scene(index // 5) for index in range(60)])
        one, two = (next(self.small(name).segments(iter(frames))) for _ in range(2))
        assert one.values.tobytes() == two.values.tobytes()


class TestRate:
    def test_nearest_frame_in_time(self):
        (segment,) = Frames(rate_fps=10, size_px=8).segments(iter(clip([scene(1)] * 26)))
        # of 0.04 s steps the nearest to 0.1 are 0.08 and 0.12: the earlier one
        np.testing.assert_allclose(segment.times_s, [0, 0.08, 0.2, 0.28, 0.4, 0.48, 0.6, 0.68, 0.8, 0.88, 1.0], atol=1e-6)

    def test_higher_rate_repeats_frames(self):
        (segment,) = Frames(rate_fps=50, size_px=8).segments(iter(clip([scene(1)] * 4)))
        np.testing.assert_allclose(segment.times_s, [0, 0, 0.04, 0.04, 0.08, 0.08, 0.12], atol=1e-6)

    def test_full_segments_have_rate_times_length_steps(self):
        segments = list(Frames(rate_fps=7.5, size_px=8, segment_s=2.0).segments(iter(clip([scene(1)] * 150))))
        assert [len(segment.mask) for segment in segments] == [15, 15, 15]

    def test_late_first_frame_stands_for_the_beginning(self):
        (segment,) = Frames(rate_fps=10, size_px=8).segments(iter([Frame(0.027, scene(1)), Frame(0.06, scene(2))]))
        np.testing.assert_allclose(segment.times_s, [0.027])

    def test_whole_frame_is_resized(self):
        image = np.zeros((40, 80, 3), np.uint8)
        image[:, 40:] = 200
        (segment,) = Frames(size_px=20).segments(iter(clip([image])))
        assert (segment.values[0, :, :9] == 0).all() and (segment.values[0, :, 11:] == 200).all()


class TestFaces:
    def test_face_is_cut_out_and_resized(self, marked):
        image = scene(3)
        (segment,) = Faces(size_px=24).segments(iter(clip([image])))
        np.testing.assert_array_equal(segment.values[0], image[8:32, 8:32])  # 20 px and a tenth on each side

    def test_frame_without_a_face_shows_the_nearest_one_with_a_face(self, marked):
        images = [scene(index) for index in range(8)]
        frames = clip([without_face(image) if index in (0, 3, 4, 7) else image for index, image in enumerate(images)])
        (segment,) = Faces(rate_fps=25, size_px=24).segments(iter(frames))
        shown = [1, 1, 2, 2, 5, 5, 6, 6]
        np.testing.assert_array_equal(segment.values, [images[index][8:32, 8:32] for index in shown])
        assert segment.mask.all() and (segment.num_seen, segment.num_with_face) == (8, 4)

    def test_segment_without_any_face_is_one_step_masked_out(self, marked):
        frames = clip([without_face(scene(1))] * 50 + [scene(1)] * 50)
        empty, full = Faces(size_px=16, segment_s=2.0).segments(iter(frames))
        assert empty.values.shape == (1, 16, 16, 3) and not empty.values.any() and not empty.mask.any()
        assert (empty.num_seen, empty.num_with_face) == (15, 0)
        assert full.mask.all() and full.num_with_face == 15

    def test_gray(self, marked):
        image = scene(3)
        (segment,) = Faces(size_px=24, gray=True).segments(iter(clip([image])))
        np.testing.assert_array_equal(segment.values[0, :, :, 0], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[8:32, 8:32])

    def test_margin(self, marked):
        image = scene(3)
        (segment,) = Faces(size_px=20, margin=0.0).segments(iter(clip([image])))
        np.testing.assert_array_equal(segment.values[0], image[10:30, 10:30])

    def test_steps_from_max_frames_on_are_cut_off(self, marked):
        frames = clip([scene(index) for index in range(60)])
        (whole,) = Faces(rate_fps=25, size_px=16).segments(iter(frames))
        first, second = Faces(rate_fps=25, size_px=16, segment_s=1.2, max_frames=7).segments(iter(frames))
        np.testing.assert_array_equal(first.values, whole.values[:7])
        np.testing.assert_array_equal(second.values, whole.values[30:37])
        assert first.num_seen == second.num_seen == 7 and marked.num_calls == 60 + 14

    def test_max_frames_does_not_make_a_tail_short(self, marked):
        segments = list(Faces(rate_fps=25, size_px=16, segment_s=2.0, max_frames=3).segments(iter(clip([scene(1)] * 100))))
        assert [len(segment.mask) for segment in segments] == [3, 3]

    def test_repeated_frames_are_detected_once(self, marked):
        (segment,) = Faces(rate_fps=50, size_px=16).segments(iter(clip([scene(1)] * 20)))
        assert len(segment.mask) == 39 and marked.num_calls == 20


class TestKeyFrames:
    def test_one_frame_of_each_scene_in_order(self):
        images = [scene(number) for number in range(8) for _ in range(6)]
        chosen = key_frame_indices(images, 8)
        assert [index // 6 for index in chosen] == list(range(8))

    def test_sharpest_frame_of_a_cluster(self):
        sharp = [scene(number) for number in range(4)]
        images = []
        for image in sharp:
            blurred = cv2.GaussianBlur(image, (0, 0), 1.5).reshape(image.shape)
            # same histogram, so same cluster: the blurred pixels take the sharp ones' values in order of brightness
            matched = np.empty_like(blurred)
            for channel in range(3):
                matched[..., channel].reshape(-1)[np.argsort(blurred[..., channel], axis=None)] = np.sort(image[..., channel], axis=None)
            images += [matched, matched, image, matched]  # both the first and the sharp one differ most from the frame before
        assert key_frame_indices(images, 4) == [2, 6, 10, 14]

    def test_dark_bright_and_flat_frames_are_left_out(self):
        good = [scene(number) for number in range(6)]
        noise = np.random.default_rng(0).integers(0, 24, good[0].shape, dtype=np.uint8)  # contrast enough: dark is all they are
        bad = [noise, 255 - noise, np.full_like(good[0], 128)]
        images = [image for pair in itertools.zip_longest(good, bad) for image in pair if image is not None]
        chosen = key_frame_indices(images, 9)
        assert set(chosen) == {0, 2, 4, 6, 7, 8} and chosen == sorted(chosen)

    def test_frames_of_two_grey_levels_are_left_out(self):
        """Their contrast and brightness are those of a good frame, their entropy is 0.95 bits."""
        images = [scene(number) for number in range(4)]
        card = np.full_like(images[0], 70)
        card[:30] = 190
        assert sorted(set(key_frame_indices([images[0], card, images[1], card, images[2], card, images[3]], 4))) == [0, 2, 4, 6]

    def test_segment_of_dark_frames_alone_is_used_as_it_is(self):
        noise = np.random.default_rng(0).integers(0, 12, (3, 48, 64, 3), dtype=np.uint8)
        assert key_frame_indices(list(noise), 3) == [0, 1, 2]

    def test_fewer_frames_than_asked_for_are_repeated_in_place(self):
        assert key_frame_indices([scene(number) for number in range(5)], 8) == [0, 1, 1, 2, 2, 3, 3, 4]

    @pytest.mark.parametrize("num_images", [1, 2, 30])
    def test_still_picture(self, num_images):
        chosen = key_frame_indices([scene(1)] * num_images, 4)
        assert len(set(chosen)) == 1 and len(chosen) == 4

    def test_candidates_are_changes_before_anything_else(self):
        # a slow drift with four jumps: with K = 5 the first frame and the jumps are the local maxima
        images, jumps = [], (9, 17, 25, 33)
        for index in range(40):
            level = 60 + index // 4 + 25 * sum(index >= jump for jump in jumps)
            image = np.tile(np.linspace(0, 60, 64), (48, 1))[..., None] + [level, level, level]
            images.append(np.clip(image, 0, 255).astype(np.uint8))
        assert {0, *jumps} <= {index for index in range(40) if index in key_frame_indices(images, 14)}

    def test_values_are_the_chosen_frames_and_times_theirs(self):
        images = [scene(number) for number in range(6) for _ in range(5)]
        (segment,) = KeyFrames(num_frames=6, size_px=32).segments(iter(clip(images)))
        for time_s, value in zip(segment.times_s, segment.values, strict=True):
            image = images[round(float(time_s) * 25)]
            np.testing.assert_array_equal(value, cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
        assert segment.num_seen == 30 and segment.num_with_face is None

    def test_faces_of_key_frames(self, marked):
        images = [scene(number) for number in range(4)]
        frames = clip([images[0], without_face(images[1]), images[2], images[3]])
        (segment,) = KeyFrames(num_frames=4, size_px=24, face_crop=True).segments(iter(frames))
        np.testing.assert_array_equal(segment.values, [images[index][8:32, 8:32] for index in (0, 0, 2, 3)])
        assert segment.mask.all() and (segment.num_seen, segment.num_with_face) == (4, 3)

    def test_margin_around_faces_of_key_frames(self, marked):
        image = scene(2)
        (segment,) = KeyFrames(num_frames=1, size_px=28, face_crop=True, margin=0.2).segments(iter(clip([image])))
        np.testing.assert_array_equal(segment.values[0], image[6:34, 6:34])

    def test_no_face_in_any_key_frame(self, marked):
        (segment,) = KeyFrames(num_frames=4, size_px=24, face_crop=True).segments(iter(clip([without_face(scene(1))] * 10)))
        assert segment.values.shape == (4, 24, 24, 3) and not segment.values.any() and not segment.mask.any()
        assert segment.num_with_face == 0


def test_views_of_a_written_file(tmp_path):
    write_video(tmp_path / "a.mp4", numbered_images(50))
    (segment,) = Frames(rate_fps=5, size_px=16).segments(stream_frames(tmp_path / "a.mp4"))
    np.testing.assert_allclose(segment.values[:, :, :7].mean(axis=(1, 2, 3)), 40 + 5 * np.arange(10), atol=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "name"),
    [("crema_d", "1001_DFA_ANG_XX.flv"), ("crema_d", "1001_DFA_HAP_XX.flv"), ("crema_d", "1001_DFA_NEU_XX.flv")]
    + [("grid", f"{name}.mpg") for name in ("brbk7n", "lbax4n", "lbbc2a", "lwbsza", "sbwe5n")],
)
def test_real_clips(folder, name):
    path = shared_data(folder, name)
    (keys,) = KeyFrames().segments(stream_frames(path))
    assert keys.values.shape == (16, 299, 299, 3) and (np.diff(keys.times_s) > 0).all()
    assert keys.times_s[-1] - keys.times_s[0] > 1.5  # they span the clip
    (faces,) = Faces().segments(stream_frames(path))
    assert faces.num_with_face >= 0.95 * faces.num_seen and faces.mask.all()
