"""New media for a trained system: the views of one file as streams of segments, and its damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemo_jax.data.prepared import Damage
from data_prep.views import make_view
from data_prep.views.segments import ViewSegment, check_same_cut, media_of
from data_prep.views.sliding import SlidingView, why_not_sliding

if TYPE_CHECKING:
    from data_prep.mouth_motion import MouthsAndSound
    from data_prep.people import Person


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
        from data_prep.live_segments import read_segments  # late: brings decoders, which only the process that decodes needs

        views = self._views
        if person is not None:
            from data_prep.people import PersonView

            views = {stream: PersonView(view, person) if view.modality == "video" else view for stream, view in views.items()}
        return {stream: read_segments(Path(path), view, problems, absent[stream]) for stream, view in views.items()}, problems

    @property
    def detector(self) -> tuple[str, str | None] | None:
        """Name and file of the face detector of the first view that has one."""
        views = (getattr(view, "view", view) for view in self._views.values())
        return next(((view.detector, view.detector_path) for view in views if hasattr(view, "detector")), None)

    def people(self, path: Path) -> tuple[Person, ...]:
        """Return the people of a film, found with the face detector of the first view that has one; none where no view has one."""
        if self.detector is None:
            return ()
        from data_prep.people import find_people

        return find_people(path, *self.detector)

    def mouths_and_sound(self, path: Path, people: Sequence[Person]) -> MouthsAndSound | None:
        """Return how the mouths of P people move and how loud a film is; None where it has no sound."""
        from data_prep.mouth_motion import mouths_and_sound

        return mouths_and_sound(path, [one.track for one in people])

    def chain(self, stream: str, absent: list[str]) -> Callable[[Iterator[Any]], Iterator[ViewSegment]]:
        """Return the function from the content of a recording, blocks (rate in Hz, (S,) float32 mono) or frames, to a stream's segments.

        Args:
          stream: made from sound or from pictures, not from both.
          absent: filled, as in `open`.
        """
        from data_prep.decoding.sound import resampled_pieces
        from data_prep.live_segments import SegmentMonitor

        view = self._views[stream]

        def segments(content: Iterator[Any]) -> Iterator[ViewSegment]:
            monitor = SegmentMonitor(view, absent)
            if view.modality == "audio":
                content = monitor.audio(resampled_pieces(content, view.sample_rate_hz, view.segment_s))
            return monitor.segments(view.segments(content))

        return segments


def why_no_windows(views: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Return why a system's views cannot be made of windows of any length, as a clause; "" where they can."""
    reasons = (why_not_sliding(make_view(name, **params)) for name, params in views.values())
    return next((reason for reason in reasons if reason), "")
