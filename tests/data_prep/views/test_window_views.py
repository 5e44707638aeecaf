"""Windows of frames and of flow: which frames they hold, how they are cut, padded and masked."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from shared_data import shared_data
from written_media import write_video

from avemo_jax.clips import Clip
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame
from data_prep.sets.prepare import prepare_view
from data_prep.views import face_detection
from data_prep.views.face_boxes import Box
from data_prep.views.flow_windows import FlowWindows
from data_prep.views.frame_windows import FrameWindows

VIEWS = {view.name: view for view in (FrameWindows, FlowWindows)}


def clip(num_frames: int, rate_fps: float = 25.0, height_px: int = 32, width_px: int = 48) -> list[Frame]:
    """Frames that say their number in their brightness."""
    return [Frame(index / rate_fps, np.full((height_px, width_px, 3), index + 1, np.uint8)) for index in range(num_frames)]


def moving(num_frames: int, right: int = 2, down: int = 0, size_px: int = 64) -> list[Frame]:
    """A texture that moves by so many px from frame to frame."""
    noise = np.random.default_rng(0).integers(0, 256, (size_px + 80, size_px + 80), dtype=np.uint8)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for index in range(num_frames):
        top, left = 40 - index * down, 40 - index * right
        frames.append(Frame(index / 25, np.repeat(scene[top : top + size_px, left : left + size_px, None], 3, axis=-1)))
    return frames


class Marked:
    """Finds a face of 8 x 8 px where it is told, in every picture whose first pixel is not zero; counts its calls."""

    def __init__(self, places=((4, 4),)):
        self.places = itertools.cycle(places)
        self.num_calls = 0

    def detect(self, image):
        self.num_calls += 1
        return [Box(*next(self.places), 8, 8)] if image[0, 0, 0] else []


@pytest.fixture
def marked(monkeypatch):
    detector = Marked()
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: detector)
    return detector


@pytest.mark.parametrize("name", VIEWS)
class TestBoth:
    def small(self, name, **params):
        return VIEWS[name](**{"num_frames": 10, "size_px": 16, "segment_s": 2.0, "crop": "whole"} | params)

    def test_declared_shape_and_type(self, name):
        view = self.small(name)
        assert view.step_shape == (10, 16, 16, {"frame_windows": 3, "flow_windows": 2}[name])
        for segment in view.segments(iter(clip(90))):
            assert segment.values.shape == (len(segment.mask), *view.step_shape) and segment.values.dtype == view.dtype
            assert segment.mask.dtype == bool and segment.mask.all()
            assert segment.times_s.shape == segment.mask.shape and segment.times_s.dtype == np.float32

    @pytest.mark.parametrize(
        ("num_frames", "windows"), [(3, [1]), (10, [1]), (14, [1]), (16, [2]), (50, [5]), (65, [5]), (80, [5, 3]), (110, [5, 5])]
    )
    def test_windows_and_short_ends(self, name, num_frames, windows):
        """A window that is less than half real is left out, and so is a segment of under a second."""
        assert [len(segment.mask) for segment in self.small(name).segments(iter(clip(num_frames)))] == windows

    def test_both_have_the_same_windows(self, name):
        # flow has one step less than there are frames: 25 frames are 24 flows, the last repeated
        for num_frames in (25, 50, 75, 125):
            segments = [list(VIEWS[view](size_px=16).segments(iter(clip(num_frames)))) for view in VIEWS]
            assert [len(segment.mask) for segment in segments[0]] == [len(segment.mask) for segment in segments[1]] == [num_frames // 25]

    def test_no_frames_no_segments(self, name):
        assert list(self.small(name).segments(iter(()))) == []

    def test_endless_media_stream_through(self, name):
        taken = []
        endless = (taken.append(1) or Frame(index / 25, np.full((32, 48, 3), index % 250, np.uint8)) for index in itertools.count())
        segments = self.small(name).segments(endless)
        for number in (1, 2, 3):
            next(segments)
            assert len(taken) <= 50 * number + 5

    def test_same_bytes_twice(self, name):
        one, two = (next(self.small(name).segments(iter(moving(20)))).values.tobytes() for _ in range(2))
        assert one == two

    def test_no_face_is_one_step_masked_out(self, name, marked):
        frames = clip(50)
        for frame in frames:
            frame.image[0, 0] = 0
        (segment,) = self.small(name, crop="face").segments(iter(frames))
        assert segment.values.shape[0] == 1 and not segment.values.any() and not segment.mask.any()
        assert (segment.num_seen, segment.num_with_face) == (10, 0)

    def test_an_unknown_crop_is_refused(self, name):
        with pytest.raises(ValueError, match=rf"config\.views\.{name}\.crop must be one of whole, centre, face, got 'left'"):
            VIEWS[name](crop="left")

    def test_a_prepared_set_keeps_them(self, name, tmp_path):
        write_video(tmp_path / "a.mp4", [frame.image for frame in moving(25, right=1)])
        prepared = prepare_view(
            corpus="made",
            root=tmp_path,
            clips=[Clip("a", "made", "happy", "1", video="a.mp4")],
            view_name=name,
            view_params={"num_frames": 5, "size_px": 16},
            prepared_dir=tmp_path / "prepared",
            num_workers=1,
        )
        (example,) = prepared.examples()
        (segment,) = VIEWS[name](num_frames=5, size_px=16).segments(stream_frames(tmp_path / "a.mp4"))
        assert example.values.dtype == VIEWS[name].dtype
        np.testing.assert_array_equal(example.values, segment.values)


class TestFrames:
    def numbers(self, segment):
        return segment.values.mean(axis=(2, 3, 4)).astype(int).tolist()

    def test_frames_in_a_row_and_the_last_window_filled_up(self):
        (segment,) = FrameWindows(num_frames=4, size_px=8).segments(iter(clip(11)))
        assert self.numbers(segment) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 11]]
        np.testing.assert_allclose(segment.times_s, [1.5 / 25, 5.5 / 25, 9 / 25], atol=1e-6)
        assert segment.mask.all() and (segment.num_seen, segment.num_with_face) == (11, None)

    def test_the_only_window_is_kept_however_little_is_real(self):
        (segment,) = FrameWindows(num_frames=8, size_px=8).segments(iter(clip(2)))
        assert self.numbers(segment) == [[1] + [2] * 7]

    def test_other_rates_take_the_nearest_frame(self):
        (segment,) = FrameWindows(num_frames=4, size_px=8, rate_fps=12.5).segments(iter(clip(16)))
        assert self.numbers(segment) == [[1, 3, 5, 7], [9, 11, 13, 15]]
        (segment,) = FrameWindows(num_frames=4, size_px=8, rate_fps=50).segments(iter(clip(2)))
        assert self.numbers(segment) == [[1, 1, 2, 2]]

    def test_crops(self):
        image = np.arange(32 * 48 * 3, dtype=np.int64).reshape(32, 48, 3).astype(np.uint8)
        for crop, expected in (("whole", image), ("centre", image[2:30, 10:38])):  # 7/8 of 32 are 28
            (segment,) = FrameWindows(num_frames=2, size_px=14, crop=crop).segments(iter([Frame(0.0, image)]))
            np.testing.assert_array_equal(segment.values[0, 1], cv2.resize(expected, (14, 14), interpolation=cv2.INTER_AREA))

    def test_one_square_around_the_face_for_all_of_a_segment(self, monkeypatch):
        detector = Marked(places=((10, 4), (11, 4), (12, 4)))
        monkeypatch.setattr(face_detection, "make_detector", lambda name, path: detector)
        frames = [Frame(index / 25, np.random.default_rng(index).integers(1, 256, (32, 48, 3), dtype=np.uint8)) for index in range(75)]
        for frame in frames[10:40]:
            frame.image[0, 0] = 0  # no face there; the square stays where it is
        (segment,) = FrameWindows(num_frames=25, size_px=8, crop="face", margin=0.0).segments(iter(frames))
        expected = np.stack([frame.image[4:12, 11:19] for frame in frames]).reshape(3, 25, 8, 8, 3)
        np.testing.assert_array_equal(segment.values, expected)
        assert (segment.num_seen, segment.num_with_face) == (15, 9) and detector.num_calls == 15


class TestFlow:
    def test_motion_in_parts_of_the_largest(self):
        (segment,) = FlowWindows(num_frames=4, size_px=64, crop="whole").segments(iter(moving(6, right=3, down=-2)))
        assert segment.values.shape == (1, 4, 64, 64, 2) and segment.mask.all()  # 5 flows: a fifth window would have one
        np.testing.assert_allclose(segment.values[..., 20:44, 20:44, :].mean(axis=(0, 1, 2, 3)), [3 / 20, -2 / 20], atol=0.01)

    def test_filled_up_with_the_last_flow(self):
        frames = [*moving(3, right=2), *(Frame((3 + index) / 25, frame.image) for index, frame in enumerate(moving(1)))]
        (segment,) = FlowWindows(num_frames=5, size_px=64, crop="whole").segments(iter(frames))  # two to the right, one back by four
        motion = segment.values[0, :, 20:44, 20:44, 0].mean(axis=(1, 2)) * 20
        np.testing.assert_allclose(motion, [2, 2, -4, -4, -4], atol=0.2)

    def test_larger_motion_is_cut_off(self):
        (segment,) = FlowWindows(num_frames=2, size_px=64, crop="whole", clip_px=1.5).segments(iter(moving(3, right=3, down=1)))
        np.testing.assert_allclose(segment.values[..., 20:44, 20:44, :].mean(axis=(0, 1, 2, 3)), [1, 1 / 1.5], atol=0.02)
        assert np.abs(segment.values).max() <= 1

    def test_one_frame_has_no_flow(self):
        (segment,) = FlowWindows(num_frames=4, size_px=16).segments(iter(clip(1)))
        assert segment.values.shape == (1, 4, 16, 16, 2) and not segment.values.any() and not segment.mask.any()

    def test_the_published_kind_agrees_with_the_fast_one(self):
        frames = moving(3, right=2, down=1)
        fast, published = (
            next(FlowWindows(num_frames=2, size_px=64, crop="whole", method=method).segments(iter(frames))) for method in ("dis", "tvl1")
        )
        np.testing.assert_allclose(fast.values[:, :, 16:48, 16:48], published.values[:, :, 16:48, 16:48], atol=0.02)

    def test_parameters_are_checked(self):
        with pytest.raises(ValueError, match="method must be one of dis, tvl1, got 'farneback'"):
            FlowWindows(method="farneback")
        with pytest.raises(ValueError, match="size_px must be at least 12"):
            FlowWindows(size_px=11)


@pytest.mark.slow
@pytest.mark.parametrize("crop", ["centre", "face"])
def test_real_clip(crop):
    path = shared_data("crema_d", "1001_DFA_HAP_XX.flv")
    (frames,) = FrameWindows(size_px=112, crop=crop).segments(stream_frames(path))
    (flow,) = FlowWindows(size_px=112, crop=crop).segments(stream_frames(path))
    assert len(frames.mask) == len(flow.mask) == 2 and frames.mask.all() and flow.mask.all()
    motion = np.linalg.norm(flow.values.astype(np.float32), axis=-1) * 20
    assert 0.05 < motion.mean() < 5 and motion.max() > 1.5  # a talking head moves by pixels, and not all of it
    assert frames.num_with_face == (None if crop == "centre" else frames.num_seen)
