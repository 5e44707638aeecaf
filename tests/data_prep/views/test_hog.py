"""Histograms of gradients: counted by hand where that is possible, and of the faces that the view `faces` shows."""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import shared_data

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Frame
from data_prep.views import face_detection
from data_prep.views.face_boxes import Box
from data_prep.views.faces import Faces
from data_prep.views.hog import Hog


class WholePicture:
    """Takes every picture whose first pixel is not zero as one face."""

    def detect(self, image):
        return [Box(0, 0, image.shape[1], image.shape[0])] if image[0, 0, 0] else []


@pytest.fixture(autouse=True)
def whole(monkeypatch):
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: WholePicture())


def seen(image: np.ndarray, **params) -> np.ndarray:
    (segment,) = Hog(size_px=len(image), margin=0.0, **params).segments(iter([Frame(0.0, np.repeat(image[..., None], 3, axis=-1))]))
    return segment.values[0]


def ramp(size_px: int = 16, *, axis: int = 1) -> np.ndarray:
    rising = np.arange(size_px, dtype=np.uint8) * 4 + 10
    return np.broadcast_to(rising if axis == 1 else rising[:, None], (size_px, size_px)).copy()


@pytest.mark.parametrize(("axis", "direction"), [(1, 0), (0, 2)])
def test_directions_of_a_ramp(axis, direction):
    """A ramp has one direction; with one cell a block, L2-Hys makes its count 1, the others 0. Directions are 0, 45, 90, 135 degrees."""
    found = seen(ramp(axis=axis), orientations=4, pixels_per_cell=8, cells_per_block=1).reshape(4, 4)
    expected = np.zeros((4, 4))
    expected[:, direction] = 1
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_blocks_are_normalised_and_follow_row_by_row():
    """Left half flat, right half a ramp: only blocks that reach into the ramp have anything, and cells share a block's length of 1."""
    image = np.full((24, 24), 100, np.uint8)
    image[:, 17:] += np.arange(1, 8, dtype=np.uint8) * 10
    found = seen(image, orientations=2, pixels_per_cell=8, cells_per_block=2).reshape(2, 2, 2, 2, 2)  # rows, columns of blocks, of cells
    assert not found[:, 0].any()
    np.testing.assert_allclose(found[:, 1, :, 0], 0, atol=1e-6)
    np.testing.assert_allclose(found[:, 1, :, 1, 0], np.sqrt(0.5), atol=1e-3)


def test_values_are_of_the_faces_of_that_view():
    rng = np.random.default_rng(0)
    frames = [Frame(index / 25, rng.integers(1, 256, (40, 60, 3), dtype=np.uint8)) for index in range(25)]
    frames[4].image[0, 0] = 0  # no face: the nearest one's is shown
    view = Hog(size_px=32)
    (segment,) = view.segments(iter(frames))
    (faces,) = Faces(size_px=32, gray=True).segments(iter(frames))
    assert segment.values.shape == (len(faces.values), *view.step_shape) == (8, 324) and segment.values.dtype == np.float32
    np.testing.assert_array_equal(segment.times_s, faces.times_s)
    assert segment.mask.all() and (segment.num_seen, segment.num_with_face) == (8, faces.num_with_face)
    np.testing.assert_array_equal(segment.values[5], view.histogram(faces.values[5, :, :, 0]))
    assert np.abs(np.diff(segment.values, axis=0)).max() > 0.1


def test_no_face_is_one_step_of_zeros_masked_out():
    (segment,) = Hog().segments(iter([Frame(index / 25, np.zeros((40, 60, 3), np.uint8)) for index in range(25)]))
    assert segment.values.shape == (1, 1764) and not segment.values.any() and not segment.mask.any()
    assert (segment.num_seen, segment.num_with_face) == (8, 0)


def test_short_and_long():
    frames = [Frame(index / 25, np.full((40, 60, 3), 9, np.uint8)) for index in range(110)]
    segments = list(Hog(segment_s=2.0, max_frames=5).segments(iter(frames)))
    assert [len(segment.mask) for segment in segments] == [5, 5] and list(Hog().segments(iter(()))) == []


def test_same_bytes_twice():
    rng = np.random.default_rng(1)
    frames = [Frame(index / 25, rng.integers(1, 256, (40, 60, 3), dtype=np.uint8)) for index in range(10)]
    one, two = (next(Hog().segments(iter(frames))).values.tobytes() for _ in range(2))
    assert one == two


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size_px": 60}, r"config\.views\.hog\.size_px must be a whole number of cells of pixels_per_cell=8"),
        ({"size_px": 8}, r"at least cells_per_block=2 of them, got 8"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ValueError, match=message):
        Hog(**params)


@pytest.mark.slow
def test_real_clip(monkeypatch):
    monkeypatch.undo()
    (segment,) = Hog().segments(stream_frames(shared_data("crema_d", "1001_DFA_HAP_XX.flv")))
    assert segment.mask.all() and segment.num_with_face >= 0.95 * segment.num_seen
    assert np.isfinite(segment.values).all() and 0 < segment.values.max() <= 1
