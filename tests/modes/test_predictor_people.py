"""Each person of a film is predicted alone, where the person is seen."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.modes.predictor import Predictor
from data_prep.mouth_motion import MouthsAndSound
from data_prep.people import Person
from data_prep.views.face_tracks import FaceTrack


class Film:
    """Stands for views, features and networks: four seconds, in which a person's probability is their number over ten."""

    def __init__(self, *tracks: FaceTrack):
        self._people = tuple(Person(number, track) for number, track in enumerate(tracks, 1))

    def people(self, path):
        return self._people

    def mouths_and_sound(self, path, people):
        times_s = np.arange(100) / 25
        loud = np.sin(2 * np.pi * times_s) > 0
        return MouthsAndSound(25.0, 0.1 * loud + 0.01, np.stack([loud, ~loud][: len(people)]).astype(float))

    def open(self, path, absent, recordings, person=None):
        return 0.9 if person is None else person.number / 10, []

    def predict(self, share):
        return (SegmentPrediction(at, at + 1, np.array([share, 1 - share])) for at in range(4))


def predictor(film: Film) -> Predictor:
    made = object.__new__(Predictor)
    made.experiment = SimpleNamespace(corpus=SimpleNamespace(name="x", label_target="acted"), system=SimpleNamespace(segment_rule="mean"))
    made._recordings = made._features = made._ensemble = film
    made.window_s, made.classes = None, ("a", "b")
    return made


def track(start_s: float, end_s: float) -> FaceTrack:
    times_s = np.arange(start_s, end_s, 0.2).tolist()
    return FaceTrack(times_s, [(0.1, 0.1, 0.2, 0.2)] * len(times_s))


def test_people_are_predicted_where_they_are_seen():
    found = predictor(Film(track(0, 4), track(1.1, 2.5))).predict("a.mp4", people=True)
    assert [one.probabilities[0] for one in found.segments] == [0.9] * 4
    assert [(one.number, [segment.start_s for segment in one.segments]) for one in found.people] == [(1, [0, 1, 2, 3]), (2, [1, 2])]
    assert [one.segments[0].probabilities[0] for one in found.people] == [0.1, 0.2]
    assert found.people[0].speech == ("speaks",) * 4 and found.people[1].speech == ("says nothing",) * 2
    assert found.people[1].times_s[0] == 1.1 and len(found.people[1].boxes) == 7
    ends_s: list[float] = []
    assert predictor(Film(track(0, 4))).predict("a.mp4", people=True, report=ends_s.append).people == ()
    assert ends_s == [1, 2, 3, 4] and predictor(Film(track(0, 4), track(0, 4))).predict("a.mp4").people == ()
