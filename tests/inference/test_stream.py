"""A recording that is predicted while it is made gets the numbers of its prediction as a whole."""

from __future__ import annotations

import dataclasses
from collections import deque

import numpy as np
import pytest

from avemo_jax.inference.predict import Ensemble, EnsembleMember, TrainedClassifier
from avemo_jax.inference.smoothing import smoothed
from avemo_jax.inference.stream import PredictionStream, StreamedSystem


@dataclasses.dataclass(frozen=True)
class Window:
    """A segment, and the window's view of itself."""

    values: np.ndarray
    times_s: np.ndarray
    absent: str = ""

    @property
    def mask(self):
        return np.ones(len(self.values), bool)

    @property
    def segment(self):
        return self


class Given:
    """Stands for a recording: each push gives the windows that were laid out for it."""

    views = ("sound", "picture")

    def __init__(self, pushes, last):
        self._pushes, self._last = deque(pushes), last

    def begin(self):
        return {"sound": [window(0, 1.0)], "picture": []}

    def push(self, samples, pictures):
        return self._pushes.popleft()

    def close(self):
        return self._last

    def __exit__(self, *_):
        pass


def window(number: int, length_s: float, hop_s: float = 1.0) -> Window:
    """Return a window of ten steps a second whose level depends on its number."""
    times_s = number * hop_s + np.arange(round(10 * length_s)) / 10
    return Window(
        np.full((len(times_s), 1), (number * 7 % 5) / 5, np.float32), times_s.astype(np.float32), "silence" if number == 2 else ""
    )


def level(data):
    shares = np.where(data["sound_mask"], data["sound"][..., 0], 0).sum(1) / np.maximum(data["sound_mask"].sum(1), 1)
    shares = 0.7 * shares + 0.3 * data["picture_mask"].any(1)
    return np.stack([shares, 1 - shares], axis=1)


def system(hop_s: float = 1.0, window_s: float = 3.0) -> StreamedSystem:
    views = {name: ((1,), "float32") for name in Given.views}
    ensemble = Ensemble([EnsembleMember([TrainedClassifier(level)])], classes=("a", "b"), views=views, segment_s=hop_s, window_s=window_s)
    return StreamedSystem(Given.views, lambda number, segments: dict(segments), {name: name for name in Given.views}, ensemble, hop_s)


def whole(made: StreamedSystem, sound, picture):
    streams = {"sound": sound, "picture": picture}
    found = [
        dataclasses.replace(
            one, absent={name: own[number].absent for name, own in streams.items() if number < len(own) and own[number].absent}
        )
        for number, one in enumerate(made.ensemble.predict(streams))
    ]
    return list(smoothed(found, made.hop_s))


def check_equal(found, expected):
    assert [(one.start_s, one.end_s, one.label("ab"), one.without) for one in found] == [
        (one.start_s, one.end_s, one.label("ab"), one.without) for one in expected
    ]
    np.testing.assert_allclose([one.probabilities for one in found], [one.probabilities for one in expected], atol=1e-12)


@pytest.mark.parametrize(
    ("window_s", "hop_s", "tail_s"), [(3.0, 1.0, 2.4), (3.0, 1.0, None), (2.0, 1.0, 1.2), (1.5, 1.0, 0.9), (1.0, 1.0, 1.0)]
)
def test_hops_are_those_of_the_whole_recording(window_s, hop_s, tail_s):
    made = system(hop_s, window_s)
    sound = [window(number, window_s, hop_s) for number in range(6)]
    last = [] if tail_s is None else [window(6, tail_s, hop_s)]
    pushes = [{"sound": [one], "picture": [one]} for one in sound]
    stream = PredictionStream(made, Given(pushes, {"sound": last, "picture": []}))
    stream.warm_up()
    assert stream.latest is None
    at_once = [stream.push() for _ in pushes]
    if window_s >= 2 * hop_s:
        assert [[one.start_s for one in hops] for hops in at_once] == [[number * hop_s] for number in range(6)]
    check_equal([one for hops in at_once for one in hops] + stream.close(), whole(made, [*sound, *last], sound))


def test_a_view_that_stops_has_ended_when_ten_windows_are_missing():
    made = system()
    sound = [window(number, 3.0) for number in range(14)]
    pushes = [{"sound": [one], "picture": sound[:1] if number == 0 else []} for number, one in enumerate(sound)]
    stream = PredictionStream(made, Given(pushes, {"sound": [], "picture": [sound[1]]}))
    counts = [len(stream.push()) for _ in pushes]
    assert counts == [1, *[0] * 10, 11, 1, 1]
    assert stream.latest.without == ("picture",) and stream.latest.start_s == 13
    assert [one.start_s for one in stream.close()] == [14, 15]


def test_a_recording_without_a_window_gives_nothing():
    stream = PredictionStream(system(), Given([{"sound": [], "picture": []}], {"sound": [], "picture": []}))
    assert stream.push() == stream.close() == []
