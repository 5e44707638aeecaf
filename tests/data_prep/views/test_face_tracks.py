"""Faces are followed by the overlap of their boxes, and one person is shown alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from data_prep.decoding.media import Frame
from data_prep.people import Person, PersonView
from data_prep.views.face_boxes import Box
from data_prep.views.face_tracks import FaceTrack, FaceTracker, follow_faces, of_person, overlap


class Marks:
    """Stands for a face detector: a face is a square of one of three colours; the brightest comes first."""

    def detect(self, image):
        found = []
        for level in (250, 200, 150):
            rows, columns = np.nonzero(np.abs(image[..., 0].astype(int) - level) < 10)
            if len(rows):
                found.append(Box(float(columns.min()), float(rows.min()), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)))
        return found


def frame(time_s: float, **squares: tuple[int, int]) -> Frame:
    """Return a picture of 200 x 100 px with squares of 20 px at x, of a level that is the name."""
    image = np.zeros((100, 200, 3), np.uint8)
    for level, x in squares.values():
        image[40:60, x : x + 20] = level
    return Frame(time_s, image)


def film(seconds: float = 4.0):
    """Yield two people who move; the second leaves after 1.5 s and another one comes to the same place at 3 s."""
    for number in range(round(seconds * 10)):
        time_s = number / 10
        squares = {"one": (250, 10 + number)}
        if time_s < 1.5:
            squares["two"] = (200, 150 - number)
        if time_s >= 3.0:
            squares["three"] = (150, 150 - number + 15)
        yield frame(time_s, **squares)


def test_overlap_is_intersection_over_union():
    assert overlap((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(2 / 6)
    assert overlap((0, 0, 1, 1), (1, 0, 1, 1)) == 0 and overlap((0, 0, 1, 2), (0, 0, 1, 2)) == 1


def test_each_person_is_one_track_whatever_the_order_of_the_boxes():
    tracks = follow_faces(film(), Marks())
    assert [(track.times_s[0], track.times_s[-1]) for track in tracks] == [(0, 3.8), (0, 1.4)], "the third is seen for less than a second"
    assert tracks[0].boxes[5] == pytest.approx((0.1, 0.4, 0.1, 0.2)) and tracks[0].box_at(0.9) == pytest.approx((0.095, 0.4, 0.1, 0.2))
    assert tracks[1].box_at(2.2) is not None and tracks[1].box_at(2.5) is None, "lost after 0.9 s"
    assert [tracks[1].is_seen(*span_s) for span_s in ((1.0, 2.0), (1.4, 2.4), (1.5, 2.5))] == [True, True, False]
    tracker = FaceTracker()
    boxes = [Box(10, 10, 20, 20), Box(100, 10, 20, 20)]
    assert [tracker.update(time_s, order, 200, 100) for time_s, order in ((0, boxes), (0.2, boxes[::-1]), (2.0, boxes))] == [
        [0, 1],
        [1, 0],
        [2, 3],
    ]


def test_the_box_that_overlaps_most_wins():
    tracker = FaceTracker()
    tracker.update(0, [Box(0, 0, 20, 20)], 100, 100)
    assert tracker.update(0.2, [Box(8, 0, 20, 20), Box(2, 0, 20, 20)], 100, 100) == [1, 0]
    assert tracker.update(0.4, [Box(70, 60, 20, 20)], 100, 100) == [2], "a face somewhere else is another one"


def test_one_person_is_shown_alone():
    one = FaceTrack([0.0, 1.0], [(0.05, 0.4, 0.1, 0.2)] * 2)
    near = FaceTrack([0.0, 1.0], [(0.17, 0.4, 0.1, 0.2)] * 2)
    frames = [frame(0.5, one=(250, 10), near=(200, 34)), frame(2.5, one=(250, 10))]
    shown, gone = of_person(frames, one, [near])
    levels = set(np.unique(shown.image).tolist())
    assert 250 in levels and 200 not in levels and shown.image.shape == (40, 40, 3)
    assert set(np.unique(gone.image)) == {128}


def test_views_of_a_person_see_that_person():
    class Seen:
        modality = "video"

        def segments(self, frames):
            return [one.image.shape for one in frames]

    alone = PersonView(Seen(), Person(1, FaceTrack([0.0, 1.0], [(0.05, 0.4, 0.1, 0.2)] * 2)))
    assert alone.modality == "video" and list(alone.segments(iter([frame(0.0, one=(250, 10))]))) == [(40, 40, 3)]
    assert pickle.loads(pickle.dumps(alone.person)) == alone.person
