"""New media decoded in a worker process with limits of memory and time: a file that crashes or fills the decoder costs that file alone."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
import wave
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avemo_jax.data.prepared import Damage
from data_prep.live import LiveViews
from data_prep.views.segments import ViewSegment
from data_prep.workers.lone_worker import take_ahead
from data_prep.workers.pool import MEMORY_LIMIT_BYTES, TIME_LIMIT_S, Crash

if TYPE_CHECKING:  # brings decoders, which only the worker needs
    from data_prep.mouth_motion import MouthsAndSound
    from data_prep.people import Person

_NOISE_RATE_HZ = 16000


class IsolatedViews:
    """`LiveViews`, made in a worker process; a context manager that ends the process.

    The process starts on entering, so that it imports its libraries while this process restores its networks (`lone_worker.start_ahead`
    starts it even before), or with the first file, and again after a file that it did not survive. One segment is in memory at a time, on
    either side.

    Args:
      live: the views.
      time_limit_s: for one segment.
      memory_limit_bytes: of the worker.
    """

    def __init__(self, live: LiveViews, *, time_limit_s: float = TIME_LIMIT_S, memory_limit_bytes: int = MEMORY_LIMIT_BYTES):
        self.views, self.segment_s, self.window_s, self.step_s = live.views, live.segment_s, live.window_s, live.step_s
        self._live = live
        self._time_limit_s = time_limit_s
        self._worker = take_ahead(memory_limit_bytes)
        self._numbers = itertools.count()

    def __enter__(self) -> IsolatedViews:
        self._worker.begin(_read_noise, self._live)
        return self

    def __exit__(self, *_: Any) -> None:
        self._worker.stop()

    def open(
        self, path: Path, absent: dict[str, list[str]] | None = None, person: Person | None = None
    ) -> tuple[dict[str, Iterator[ViewSegment]], list[Damage]]:
        """Return the streams of a file, decoded while they are read, and a list of its damage, which fills meanwhile.

        A new file ends the reading of the one before. `absent` and `person` as in `LiveViews.open`.
        """
        problems: list[Damage] = []
        number = next(self._numbers)
        absent = {} if absent is None else absent
        absent |= {stream: [] for stream in self.views}
        requests = {stream: _Request(self._live, number, Path(path), stream, person) for stream in self.views}
        return {stream: self._segments(request, problems, absent[stream]) for stream, request in requests.items()}, problems

    def people(self, path: Path) -> tuple[Person, ...]:
        """Return the people of a film; none where it cannot be decoded."""
        found = self._worker.call(_people, (self._live, Path(path)), time_limit_s=self._time_limit_s)
        return () if isinstance(found, Crash) else found

    def mouths_and_sound(self, path: Path, people: Sequence[Person]) -> MouthsAndSound | None:
        """Return how the mouths of P people move and how loud a film is; None where it has no sound or cannot be decoded."""
        found = self._worker.call(_mouths_and_sound, (self._live, Path(path), tuple(people)), time_limit_s=self._time_limit_s)
        return None if isinstance(found, Crash) else found

    def _segments(self, first: _Request, problems: list[Damage], absent: list[str]) -> Iterator[ViewSegment]:
        for index in itertools.count():
            request = dataclasses.replace(first, index=index)
            answer = self._worker.call(_answer, request, time_limit_s=self._time_limit_s)
            if isinstance(answer, Crash):
                problems.append(Damage("undecodable", f"{request.path.name}: {answer.reason}"))
                return
            problems += answer.problems
            if answer.segment is None:
                return
            absent.append(answer.absent)
            yield answer.segment


@dataclasses.dataclass(frozen=True)
class _Request:
    """The segment with that index of a stream of the file with that number."""

    live: LiveViews
    number: int
    path: Path
    stream: str
    person: Person | None = None
    index: int = 0


@dataclasses.dataclass(frozen=True)
class _Answer:
    segment: ViewSegment | None  # None after the last
    problems: tuple[Damage, ...]
    absent: str = ""  # what the segment lacks


@dataclasses.dataclass
class _Reading:
    """The file that a worker reads."""

    number: int
    streams: dict[str, Iterator[tuple[int, ViewSegment]]]
    problems: list[Damage]
    absent: dict[str, list[str]]
    num_reported: int = 0


_reading: _Reading | None = None  # in the worker process


def _people(task: tuple[LiveViews, Path]) -> tuple[Person, ...]:
    """Return the people of a film; runs in the worker process."""
    live, path = task
    return live.people(path)


def _mouths_and_sound(task: tuple[LiveViews, Path, tuple[Person, ...]]) -> MouthsAndSound | None:
    """Return mouths and sound of a film; runs in the worker process."""
    live, path, people = task
    return live.mouths_and_sound(path, people)


def _read_noise(live: LiveViews) -> None:
    """Read a short sound once, which imports all that sounds need; runs in the worker process before its first call."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, _NOISE_RATE_HZ, 0, "NONE", ""))
            sound.writeframes(rng.integers(-3000, 3000, _NOISE_RATE_HZ // 2, dtype=np.int16).tobytes())
        streams, _ = live.open(path, {})
        for segments in streams.values():
            deque(segments, maxlen=0)


def _answer(request: _Request) -> _Answer:
    """Return the next segment; runs in the worker process."""
    global _reading
    if _reading is None or _reading.number != request.number:
        absent: dict[str, list[str]] = {}
        streams, problems = request.live.open(request.path, absent, request.person)
        _reading = _Reading(request.number, {name: enumerate(segments) for name, segments in streams.items()}, problems, absent)
    # A stream begins in the middle where another one has ended the process.
    segment = next((one for index, one in _reading.streams[request.stream] if index == request.index), None)
    problems = _reading.problems[_reading.num_reported :]
    _reading.num_reported = len(_reading.problems)
    return _Answer(segment, tuple(problems), _reading.absent[request.stream][request.index] if segment is not None else "")
