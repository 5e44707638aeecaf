"""Segments that overlap: windows of a fixed length at a fixed distance, for a view of media that are read once."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.decoding.frame_times import CLOCK_S
from data_prep.views.segments import ViewSegment, is_long_enough

if TYPE_CHECKING:
    from data_prep.decoding.media import Frame


def why_not_sliding(view: Any) -> str:
    """Return why a view cannot be made of windows of any length, as a clause; "" where it can."""
    if hasattr(view, "cut"):
        return f"the view {view.name} places its segments by the speech in them"
    if fixed_s := getattr(view, "fixed_s", 0.0):
        return f"its network takes segments of {fixed_s:g} s of the view {view.name}"
    if view.modality == "video" and not hasattr(view, "steps"):
        return f"the view {view.name} chooses single pictures of a whole segment"
    return ""


@dataclasses.dataclass(frozen=True)
class SlidingView:
    """A view of windows: segment n is made of window_s seconds from n * hop_s on, by itself, as if the recording began there.

    The last window is the first that reaches the end of the recording, and may be shorter; so there are no gaps, and a recording shorter
    than a window is one window. Sound is held for one window. Of a film the view's steps are held (a face, a reduced picture), which are
    made once, and what depends on neighbouring steps is made anew in each window. So memory does not grow with the recording.

    Attributes:
      view: the view, with segment_s = window_s.
      hop_s: distance between the starts of two windows, at most window_s.
    """

    view: Any
    hop_s: float

    @property
    def window_s(self) -> float:
        return self.view.segment_s

    @property
    def segment_s(self) -> float:
        """Length of the pieces in which sound is read."""
        return self.hop_s

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def modality(self) -> str:
        return self.view.modality

    @property
    def dtype(self) -> str:
        return self.view.dtype

    @property
    def step_shape(self) -> tuple[int, ...]:
        return self.view.step_shape

    @property
    def sample_rate_hz(self) -> int:
        return self.view.sample_rate_hz

    def segments(self, media: Iterator[Any]) -> Iterator[ViewSegment]:
        """Yield one segment a window; times are from the start of the recording."""
        return self._of_sound(media) if self.view.modality == "audio" else self._of_film(media)

    def _of_sound(self, pieces: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        window, hop = (round(length_s * self.sample_rate_hz) for length_s in (self.window_s, self.hop_s))
        held, number = np.zeros(0, np.float32), 0
        for piece in pieces:
            held = np.concatenate([held, piece])
            while len(held) >= window:
                yield self._sound_window(number, held[:window])
                held, number = held[hop:], number + 1
        is_covered = number > 0 and len(held) <= window - hop
        if len(held) and not is_covered and is_long_enough(number, len(held) / self.sample_rate_hz, self.window_s):
            yield self._sound_window(number, held)

    def _sound_window(self, number: int, samples: np.ndarray) -> ViewSegment:
        segment = next(iter(self.view.segments(iter([samples]))))
        return dataclasses.replace(segment, times_s=(segment.times_s + number * self.hop_s).astype(np.float32))

    def _of_film(self, frames: Iterator[Frame]) -> Iterator[ViewSegment]:
        held: deque[tuple[float, Any]] = deque()
        number, end_s = 0, 0.0
        for step_s, step in self.view.steps(frames):
            while step_s >= number * self.hop_s + self.window_s - CLOCK_S:
                yield self._film_window(number, held)
                number, end_s = number + 1, number * self.hop_s + self.window_s
                while held and held[0][0] < number * self.hop_s - CLOCK_S:
                    held.popleft()
            held.append((step_s, step))
        if not held or held[-1][0] < end_s - CLOCK_S:
            return
        if is_long_enough(number, held[-1][0] - number * self.hop_s, self.window_s):
            yield self._film_window(number, held)

    def _film_window(self, number: int, held: deque[tuple[float, Any]]) -> ViewSegment:
        if held:
            segment = self.view.segment_of(0, [step for _, step in held])
            assert segment is not None, "the first segment is never left out"
            return segment
        # No frame has come for longer than a window.
        start_s = np.array([number * self.hop_s], np.float32)
        return ViewSegment(np.zeros((1, *self.step_shape), self.dtype), np.zeros(1, bool), start_s, 0)
