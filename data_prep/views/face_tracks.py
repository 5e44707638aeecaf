"""Faces followed through a film: which box belongs to which person, by the overlap of boxes from one look to the next.

A person who leaves the picture, is hidden for longer than `LOST_AFTER_S`, or is shown again after a cut is a new person: faces are
followed, not recognised.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from data_prep.decoding.media import Frame
from data_prep.views.face_boxes import Box, Detector

LOOKS_PER_S = 5.0
LOST_AFTER_S = 0.9
SHORTEST_S = 1.0  # shorter tracks are mostly no faces
_LEAST_OVERLAP = 0.25  # intersection over union
_MOST_PX = 640  # longer side of the picture that is searched
_MARGIN = 0.5  # around a face that is shown alone, as a share of its longer side
_NOBODY_PX = 64


@dataclasses.dataclass
class FaceTrack:
    """One face through a film.

    Attributes:
      times_s: (N,) times at which it was found, in order.
      boxes: (N, 4) x, y, width, height as shares of the picture.
    """

    times_s: list[float]
    boxes: list[tuple[float, float, float, float]]

    @property
    def duration_s(self) -> float:
        """Time from the first to the last look that found it."""
        return self.times_s[-1] - self.times_s[0]

    def is_seen(self, start_s: float, end_s: float) -> bool:
        """Return whether a look from start_s on and before end_s has found it."""
        return bool(np.searchsorted(self.times_s, start_s) < np.searchsorted(self.times_s, end_s))

    def box_at(self, time_s: float) -> tuple[float, float, float, float] | None:
        """Return its box at a time, between the looks in proportion; None where it was not found around that time."""
        after = int(np.searchsorted(self.times_s, time_s))
        near = [at for at in (after - 1, after) if 0 <= at < len(self.times_s) and abs(self.times_s[at] - time_s) <= LOST_AFTER_S]
        if not near:
            return None
        times_s, boxes = [self.times_s[at] for at in near], np.array([self.boxes[at] for at in near])
        x, y, width, height = (float(np.interp(time_s, times_s, boxes[:, side])) for side in range(4))
        return x, y, width, height


class FaceTracker:
    """Gives each box of one look after another the number of a track.

    Attributes:
      tracks: all tracks so far; a box's number is the place of its track.
    """

    def __init__(self) -> None:
        self.tracks: list[FaceTrack] = []

    def update(self, time_s: float, boxes: Sequence[Box], width_px: int, height_px: int) -> list[int]:
        """Return the number of the track of each box, in their order; boxes that overlap most are joined first.

        Args:
          time_s: later than before.
          boxes: found in a picture of that size.
          width_px, height_px: of the picture.
        """
        own = [(box.x / width_px, box.y / height_px, box.width / width_px, box.height / height_px) for box in boxes]
        open_tracks = [number for number, track in enumerate(self.tracks) if time_s - track.times_s[-1] <= LOST_AFTER_S]
        overlaps = [
            (overlap(self.tracks[number].boxes[-1], box), number, place)
            for number, (place, box) in itertools.product(open_tracks, enumerate(own))
        ]
        found: dict[int, int] = {}
        for share, number, place in sorted(overlaps, key=lambda one: (-one[0], one[1:])):
            if share >= _LEAST_OVERLAP and place not in found and number not in found.values():
                found[place] = number
        for place, box in enumerate(own):
            if place not in found:
                found[place] = len(self.tracks)
                self.tracks.append(FaceTrack([], []))
            self.tracks[found[place]].times_s.append(time_s)
            self.tracks[found[place]].boxes.append(box)
        return [found[place] for place in range(len(own))]


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return intersection over union of two boxes (x, y, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared) if shared else 0.0


def follow_faces(frames: Iterable[Frame], detector: Detector) -> list[FaceTrack]:
    """Return the faces of a film that are followed for a second at least, in the order in which they appear."""
    tracker, searched_s = FaceTracker(), -1.0
    for frame in frames:
        if frame.time_s - searched_s < 1 / LOOKS_PER_S - 1e-6:
            continue
        searched_s = frame.time_s
        height, width = frame.image.shape[:2]
        scale = min(1.0, _MOST_PX / max(height, width))
        image = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame.image
        tracker.update(frame.time_s, detector.detect(np.asarray(image, np.uint8)), image.shape[1], image.shape[0])
    return [track for track in tracker.tracks if track.duration_s >= SHORTEST_S]


def of_person(frames: Iterable[Frame], track: FaceTrack, others: Sequence[FaceTrack]) -> Iterator[Frame]:
    """Yield frames that show one person's face alone: the picture around it, with other faces painted over; grey where it is not seen."""
    for frame in frames:
        yield Frame(frame.time_s, lambda frame=frame: _alone(frame, track, others))  # type: ignore[misc]


def _alone(frame: Frame, track: FaceTrack, others: Sequence[FaceTrack]) -> np.ndarray:
    if (box := track.box_at(frame.time_s)) is None:
        return np.full((_NOBODY_PX, _NOBODY_PX, 3), 128, np.uint8)
    image = frame.image.copy()
    size = np.array([image.shape[1], image.shape[0]])
    for other in others:
        if (covered := other.box_at(frame.time_s)) is not None and overlap(box, covered) < _LEAST_OVERLAP:
            (left, top), (right, bottom) = _corners(covered, size, margin=0.0)
            image[top:bottom, left:right] = 128
    (left, top), (right, bottom) = _corners(box, size, margin=0.0)
    image[top:bottom, left:right] = frame.image[top:bottom, left:right]  # where another face reaches into it
    (left, top), (right, bottom) = _corners(box, size, margin=_MARGIN)
    return image[top:bottom, left:right]


def _corners(box: Sequence[float], size: np.ndarray, *, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper left and lower right corner in px of a box with a margin, inside a picture of that size."""
    first, lengths = np.array(box[:2]) * size, np.array(box[2:]) * size
    wide = margin * lengths.max()
    low = np.clip(np.floor(first - wide), 0, size - 1).astype(int)
    return low, np.clip(np.ceil(first + lengths + wide), low + 1, size).astype(int)
