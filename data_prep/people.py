"""The people in a film whose faces can be followed, and the views of one of them alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, Frame, MediaError
from data_prep.decoding.stills import is_still
from data_prep.views.face_detection import make_detector
from data_prep.views.face_tracks import FaceTrack, follow_faces, of_person
from data_prep.views.segments import ViewSegment
from data_prep.workers.pool import report_progress

_MOST_PEOPLE = 20  # those that are seen longest; each is predicted by itself


@dataclasses.dataclass(frozen=True)
class Person:
    """One person of a film.

    Attributes:
      number: from 1 on, in the order in which people appear.
      track: of the face.
      others: faces of the other people.
    """

    number: int
    track: FaceTrack
    others: tuple[FaceTrack, ...] = ()


@dataclasses.dataclass(frozen=True)
class PersonView:
    """A view of pictures in which one person is seen alone; all else is as the view has it."""

    view: Any
    person: Person

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of copying and pickling
            raise AttributeError(name)
        return getattr(self.view, name)

    def segments(self, frames: Iterator[Frame], *others: Any) -> Iterator[ViewSegment]:
        """Yield the segments of the person."""
        return self.view.segments(of_person(frames, self.person.track, self.person.others), *others)


def find_people(path: Path, detector: str, detector_path: str | None) -> tuple[Person, ...]:
    """Return the people of a film that are seen for a second at least; none of a sound or a still picture, or where damage comes first.

    Args:
      path: any media file.
      detector, detector_path: face detector, as the views of faces have it.
    """
    if is_still(path):
        return ()
    frames = stream_frames(path, findings=Findings(keeps=True))
    try:
        tracks = follow_faces(_reported(frames), make_detector(detector, detector_path))
    except MediaError:
        return ()
    longest = sorted(tracks, key=lambda track: -track.duration_s)[:_MOST_PEOPLE]
    kept = [track for track in tracks if track in longest]
    return tuple(Person(number, one, tuple(other for other in kept if other is not one)) for number, one in enumerate(kept, 1))


def _reported(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        report_progress()
        yield frame
