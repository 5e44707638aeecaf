"""Prediction of a recording while it is made: samples and pictures are pushed, and each hop is predicted as soon as it is complete."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from avemo_jax.inference.predict import Ensemble, Row, Segment, SegmentPrediction
from avemo_jax.inference.smoothing import Smoother

_MOST_WAITING = 10  # windows of one view, while another one lags behind


class WindowView(Protocol):
    """A view of one window, and what the window lacks: "silence", "no speech", "no face" or ""."""

    @property
    def segment(self) -> Segment: ...
    @property
    def absent(self) -> str: ...


class PushedRecording(Protocol):
    """The views of what is pushed: `data_prep.live_stream.IsolatedPushedViews`."""

    @property
    def views(self) -> Sequence[str]:
        """Names of the views that come."""

    def faces(self) -> Sequence[tuple[float, float, float, float]]:
        """Return the faces in the last picture, as (x, y, width, height) in shares of it."""

    def push(self, samples: np.ndarray | None, pictures: Sequence[Any]) -> Mapping[str, Sequence[WindowView]]:
        """Return view -> the windows that are complete now."""

    @property
    def process_id(self) -> int | None:
        """The process that makes them."""

    def begin(self) -> Mapping[str, Sequence[WindowView]]:
        """Load what the views need; return made-up windows of each, which are not part of the recording."""

    def close(self) -> Mapping[str, Sequence[WindowView]]:
        """Return view -> the windows that are left."""

    def __exit__(self, *_: Any) -> None: ...


@dataclasses.dataclass(frozen=True)
class StreamedSystem:
    """What turns windows into predictions.

    Attributes:
      views: names of all views of its streams.
      row_of: number of a window, view -> its segment or None -> stream -> its features.
      first_view: stream -> the first of the views that it is made from, which says what a window lacks.
      ensemble: predicts the features.
      hop_s: distance of the starts of two windows.
    """

    views: tuple[str, ...]
    row_of: Callable[[int, Mapping[str, Segment | None]], Row]
    first_view: Mapping[str, str]
    ensemble: Ensemble
    hop_s: float


class PredictionStream:
    """Predicts what is pushed; a context manager that ends the process in which views are made. Memory does not grow with the recording.

    Windows and their smoothing are those of a prediction of the whole recording, so the hops are, too. A hop is returned with the last
    window that overlaps with it, which is the window that begins with the hop.

    Attributes:
      latest: prediction of the last complete window, of which the newest hops are not final yet; None before the first.
    """

    def __init__(self, system: StreamedSystem, recording: PushedRecording):
        self._system, self._recording = system, recording
        self._smoother = Smoother(system.hop_s)
        self._waiting: dict[str, deque[WindowView]] = {view: deque() for view in recording.views}
        self._ended = set(system.views) - set(recording.views)  # views that do not come, or no longer
        self._number = 0  # of the next window
        self._last_row: Row | None = None
        self.latest: SegmentPrediction | None = None

    def __enter__(self) -> PredictionStream:
        return self

    def __exit__(self, *_: Any) -> None:
        self._recording.__exit__()

    @property
    def process_id(self) -> int | None:
        """The process in which views are made, for measurements."""
        return self._recording.process_id

    def warm_up(self) -> None:
        """Import and compile before the first push what it would wait for."""
        made_up = self._recording.begin()
        for place in (0, -1):
            self._predicted({view: windows[place] if windows else None for view, windows in made_up.items()})

    def push(self, samples: np.ndarray | None = None, pictures: Sequence[Any] = ()) -> list[SegmentPrediction]:
        """Take what was recorded since the last call; return the hops that are complete now.

        A stream that is ten windows behind the others, such as a camera that was switched off, has ended.

        Args:
          samples: (S,) floating, mono, in [-1, 1], at most 60 s.
          pictures: `data_prep.live_stream.Picture`s, in order of time.

        Raises:
          ValueError: samples of another shape or not finite; sound or pictures that the stream was made without.
          StreamEnded: the process in which views are made has ended.
        """
        return self._hops(self._recording.push(samples, pictures))

    def faces(self) -> Sequence[tuple[float, float, float, float]]:
        """Return the faces in the last picture, largest first, as (x, y, width, height) in shares of it."""
        return self._recording.faces()

    def close(self) -> list[SegmentPrediction]:
        """Return the hops that are left at the end of the recording; nothing more can be pushed."""
        num_before = self._number
        hops = self._hops(self._recording.close(), is_last=True)
        end_s = None
        if self._last_row is not None and self._number == num_before:  # the last window was not known to be the last
            end_s = self._system.ensemble.span_s(self._last_row, self._number - 1, is_last=True)[1]
        return [*hops, *self._smoother.close(end_s)]

    def _hops(self, found: Mapping[str, Sequence[WindowView]], *, is_last: bool = False) -> list[SegmentPrediction]:
        for view in set(found) - self._ended:
            self._waiting[view].extend(found[view])
        if is_last:
            self._ended |= set(self._waiting)
        hops: list[SegmentPrediction] = []
        for windows in self._rows():
            self._last_row, self.latest = self._predicted(windows)
            if is_last and not any(self._waiting.values()):
                start_s, end_s = self._system.ensemble.span_s(self._last_row, self._number, is_last=True)
                self.latest = dataclasses.replace(self.latest, start_s=start_s, end_s=end_s)
            self._number += 1
            hops += self._smoother.push(self.latest)
        return hops

    def _rows(self) -> Iterator[dict[str, WindowView | None]]:
        """Yield view -> its next window, as long as all views that have not ended have one."""
        while any(self._waiting.values()):
            lagging = [view for view, waiting in self._waiting.items() if not waiting and view not in self._ended]
            if lagging and max(map(len, self._waiting.values())) <= _MOST_WAITING:
                return
            self._ended |= set(lagging)
            yield {view: waiting.popleft() if waiting else None for view, waiting in self._waiting.items()}

    def _predicted(self, windows: Mapping[str, WindowView | None]) -> tuple[Row, SegmentPrediction]:
        """Return the features of the next window, and its prediction."""
        system = self._system
        of_views = {view: windows.get(view) for view in system.views}
        row = system.row_of(self._number, {view: None if one is None else one.segment for view, one in of_views.items()})
        absent = {stream: one.absent for stream, view in system.first_view.items() if (one := of_views[view]) is not None and one.absent}
        return row, dataclasses.replace(system.ensemble.predict_row(row, self._number), absent=absent)
