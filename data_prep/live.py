"""New media for a trained system: the views of one file as streams of segments, and its damage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.data.prepared import NO_FACE, NO_SPEECH, SILENCE, Damage
from data_prep.decoding.media import MediaError
from data_prep.decoding.sound import resampled_pieces
from data_prep.people import Person, PersonView, find_people
from data_prep.sets.staging import OUT_OF_MEMORY, SILENT_BELOW, QualityMonitor, StageTask, media_of, view_segments
from data_prep.views import make_view
from data_prep.views.segments import ViewSegment, check_same_cut
from data_prep.views.sliding import SlidingView, why_not_sliding
from data_prep.views.speech_activity import SpeechActivity


class LiveViews:
    """The views of a system for media files outside any corpus.

    Args:
      views: stream -> (view name, its parameters).
      window: length of the windows and distance of their starts in s; None: segments as in training.

    Attributes:
      views: stream -> (step_shape, dtype).
      media: stream -> ("audio",), ("video",) or both, as its view takes them.
      segment_s: distance of the starts of two segments.
      window_s: length of a segment where segments are windows, else None: they follow each other.
      step_s: None where segments follow each other; length of a step in s where segments are placed by the sound and overlap (system B),
        with times_s at the middle of each step.

    Raises:
      ValueError: a view is impossible or cannot be made from media, or the streams are cut into segments at different places.
    """

    def __init__(self, views: Mapping[str, tuple[str, Mapping[str, Any]]], window: tuple[float, float] | None = None):
        if window is not None:
            if reason := why_no_windows(views):
                raise ValueError(f"this system cannot predict windows, because {reason}; leave --window_s and --hop_s out")
            views = {stream: (name, {**params, "segment_s": window[0]}) for stream, (name, params) in views.items()}
        self._views = {stream: make_view(name, **params) for stream, (name, params) in views.items()}
        for stream, view in self._views.items():
            if not hasattr(view, "segments"):
                raise ValueError(
                    f"the {stream} stream of this system is read from a table of its corpus (view {view.name}), which has no row of new "
                    "media; predict with a system whose views are made from media"
                )
        lengths = {stream: view.segment_s for stream, view in self._views.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"the streams must be cut into segments of one length, got segment_s {lengths}; set views.<view>.segment_s")
        check_same_cut(self._views)
        self.segment_s = next(iter(lengths.values()))
        self.window_s: float | None = None
        if window is not None:
            self.window_s, self.segment_s = window
            if not 0 < self.segment_s <= self.window_s:
                raise ValueError(
                    f"expected 0 < --hop_s <= --window_s, got {self.segment_s:g} and {self.window_s:g}: parts would be left out"
                )
            self._views = {stream: SlidingView(view, self.segment_s) for stream, view in self._views.items()}
        self.step_s: float | None = getattr(next(iter(self._views.values())), "step_s", None)
        self.views = {stream: (tuple(view.step_shape), view.dtype) for stream, view in self._views.items()}
        self.media = {stream: media_of(getattr(view, "view", view)) for stream, view in self._views.items()}

    def open(
        self, path: Path, absent: dict[str, list[str]] | None = None, person: Person | None = None
    ) -> tuple[dict[str, Iterator[ViewSegment]], list[Damage]]:
        """Return the streams of a file, decoded while they are read with one segment in memory at a time, and a list of its damage.

        The list fills while the streams are read. A file that cannot be decoded to its end gives the segments before the damage.

        Args:
          path: the file.
          absent: filled too: stream -> for each of its segments SILENCE, NO_SPEECH or NO_FACE, or "" where none of them holds.
          person: seen alone in the pictures; None: the pictures as they are.
        """
        problems: list[Damage] = []
        absent = {} if absent is None else absent
        absent |= {stream: [] for stream in self._views}
        views = self._views
        if person is not None:
            views = {stream: PersonView(view, person) if view.modality == "video" else view for stream, view in views.items()}
        return {stream: _segments(Path(path), view, problems, absent[stream]) for stream, view in views.items()}, problems

    @property
    def detector(self) -> tuple[str, str | None] | None:
        """Name and file of the face detector of the first view that has one."""
        views = (getattr(view, "view", view) for view in self._views.values())
        return next(((view.detector, view.detector_path) for view in views if hasattr(view, "detector")), None)

    def people(self, path: Path) -> tuple[Person, ...]:
        """Return the people of a film, found with the face detector of the first view that has one; none where no view has one."""
        return () if self.detector is None else find_people(path, *self.detector)

    def chain(self, stream: str, absent: list[str]) -> Callable[[Iterator[Any]], Iterator[ViewSegment]]:
        """Return the function from the content of a recording, blocks (rate in Hz, (S,) float32 mono) or frames, to a stream's segments.

        Args:
          stream: made from sound or from pictures, not from both.
          absent: filled, as in `open`.
        """
        view = self._views[stream]

        def segments(content: Iterator[Any]) -> Iterator[ViewSegment]:
            monitor = _SegmentMonitor(view, absent)
            if view.modality == "audio":
                content = monitor.audio(resampled_pieces(content, view.sample_rate_hz, view.segment_s))
            return monitor.segments(view.segments(content))

        return segments


def why_no_windows(views: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Return why a system's views cannot be made of windows of any length, as a clause; "" where they can."""
    reasons = (why_not_sliding(make_view(name, **params)) for name, params in views.values())
    return next((reason for reason in reasons if reason), "")


class _SegmentMonitor(QualityMonitor):
    """Also notes of each segment whether it is silent, or without speech or a face."""

    def __init__(self, view: Any, absent: list[str]):
        super().__init__(keeps=True)
        self._view, self._absent = view, absent
        self._of_pieces: list[str] = []  # sound comes in pieces of segment_s
        self._activity = SpeechActivity()

    def audio(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for samples in super().audio(pieces):
            if np.abs(samples).max(initial=0.0) < SILENT_BELOW:
                self._of_pieces.append(SILENCE)
            else:
                self._of_pieces.append("" if self._activity.span(samples, self._view.sample_rate_hz) else NO_SPEECH)
            yield samples

    def segments(self, segments: Iterable[ViewSegment]) -> Iterator[ViewSegment]:
        for segment in super().segments(segments):
            found = NO_FACE if segment.num_with_face == 0 else ""
            if self._of_pieces and len(segment.times_s):
                found = found or self._of_sound(segment)
            self._absent.append(found)
            yield segment

    def _of_sound(self, segment: ViewSegment) -> str:
        """Return what the sound of the next segment lacks: all of a window, or the piece that a segment is made of."""
        if isinstance(self._view, SlidingView):
            number = len(self._absent)
            pieces = self._of_pieces[number : number + math.ceil(self._view.window_s / self._view.hop_s - 1e-6)]
            return "" if "" in pieces else NO_SPEECH if NO_SPEECH in pieces else SILENCE
        piece = int(float(np.mean(segment.times_s)) // self._view.segment_s)
        return self._of_pieces[min(max(piece, 0), len(self._of_pieces) - 1)]


def _segments(path: Path, view: Any, problems: list[Damage], absent: list[str]) -> Iterator[ViewSegment]:
    clip = Clip(clip_id=path.name, corpus="live", label="", speaker="", audio=path.name, video=path.name)
    monitor = _SegmentMonitor(view, absent)
    try:
        yield from view_segments(StageTask(clip, view, path.parent, path), monitor)
    except MediaError as error:
        problems.append(Damage(error.kind, error.detail))
    except MemoryError:
        problems.append(OUT_OF_MEMORY)
    except Exception as error:  # the other files of a call are still predicted
        problems.append(Damage("undecodable", f"{path.name}: its {view.name} fails with {type(error).__name__}: {error}"))
    else:
        if damage := monitor.damage():
            problems.append(damage)
