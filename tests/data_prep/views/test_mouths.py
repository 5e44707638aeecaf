"""The view `mouths`: the lower part of each face, at the times of the view `faces`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from data_prep.corpora import load_clips
from data_prep.decoding.media import Frame
from data_prep.sets.staging import clip_frames
from data_prep.views import face_detection, make_view
from data_prep.views.face_boxes import Box
from data_prep.views.mouths import Mouths


class OneFace:
    """Finds a face of 40 x 80 px at (10, 20) in every picture that is not black."""

    def detect(self, image):
        return [Box(10, 20, 40, 80)] if image.any() else []


@pytest.fixture
def one_face(monkeypatch):
    monkeypatch.setattr(face_detection, "make_detector", lambda name, path: OneFace())


def numbered(height_px: int = 120, width_px: int = 100) -> np.ndarray:
    """A picture with the row of each pixel in its first channel and the column in its second."""
    rows, columns = np.mgrid[:height_px, :width_px]
    return np.stack([rows, columns, np.full_like(rows, 1)], axis=-1).astype(np.uint8)


def test_the_region_is_a_part_of_the_box_of_the_face(one_face):
    # left 10 + 0.25 x 40 = 20 to 10 + 0.75 x 40 = 40, top 20 + 0.75 x 80 = 80 to 100: a square of 20 px
    view = Mouths(size_px=20, top=0.75, bottom=1.0)
    (segment,) = view.segments(iter([Frame(0.0, numbered())]))
    np.testing.assert_array_equal(segment.values[0], numbered()[80:100, 20:40])
    (whole,) = Mouths(size_px=80, left=0.0, right=1.0, top=0.0).segments(iter([Frame(0.0, numbered())]))
    np.testing.assert_array_equal(whole.values[0], numbered()[20:100, 0:80])  # a square around 40 x 80, moved inside the picture


def test_frames_without_a_face_are_filled_as_those_of_the_view_faces(one_face):
    dark = np.zeros_like(numbered())
    frames = [Frame(0.0, dark), Frame(0.5, numbered()), Frame(1.0, dark)]
    (segment,) = Mouths(rate_fps=2.0, gray=True).segments(iter(frames))
    assert segment.values.shape == (3, 32, 32, 1) and segment.num_with_face == 1 and segment.mask.all()
    assert (segment.values == segment.values[1]).all()
    (empty,) = Mouths(rate_fps=2.0).segments(iter([Frame(0.0, dark)]))
    assert not empty.mask.any()


@pytest.mark.parametrize("change", [{"left": 0.8}, {"top": 1.0}, {"bottom": 1.1}, {"top": -0.1}])
def test_an_impossible_region_is_refused(change):
    with pytest.raises(ValueError, match=r"config\.views\.mouths: expected 0 <= "):
        Mouths(**change)


def test_lips_of_the_demo_corpus_fill_more_of_a_mouth_than_of_a_face(tmp_path):
    """The drawn lips are the reddest pixels; a third stream of the demo corpus is made of them."""
    clip = next(one for one in load_clips("synthetic", tmp_path, num_actors=1, num_takes=1, seed=0) if one.label == "happy")

    def lips_share(view: str) -> tuple[int, float]:
        frames = clip_frames(tmp_path / clip.video, clip)
        (segment,) = make_view(view, size_px=64, rate_fps=2.0).segments(frames)
        assert segment.num_with_face == segment.num_seen
        redness = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 1] for image in segment.values])
        return len(segment.values), float((redness > 150).mean())

    (num_faces, of_face), (num_mouths, of_mouth) = lips_share("faces"), lips_share("mouths")
    assert num_mouths == num_faces
    assert of_mouth > 3 * of_face > 0
