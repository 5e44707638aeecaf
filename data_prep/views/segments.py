"""Segments of long clips: where they begin and end, the same for every view of either modality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

# A last piece shorter than this is too short to be classified by itself; the segments before it stand for the clip.
SHORTEST_TAIL_S = 1.0


def is_long_enough(index: int, duration_s: float, segment_s: float) -> bool:
    """Whether a segment is used, given its index and its duration in s, of a clip cut every segment_s.

    The first one always is. A later one is left out where it is shorter than SHORTEST_TAIL_S, or than half a segment where segments are
    shorter than twice that. Only a last piece can be shorter than the others, so a reader that streams needs no more than this.
    """
    return index == 0 or duration_s >= min(SHORTEST_TAIL_S, segment_s / 2)


def usable_pieces(audio: Iterator[np.ndarray], sample_rate_hz: int, segment_s: float) -> Iterator[tuple[int, np.ndarray]]:
    """Number the pieces of segment_s of a clip's sound, without a last one that is too short (`is_long_enough`)."""
    for index, samples in enumerate(audio):
        if is_long_enough(index, len(samples) / sample_rate_hz, segment_s):
            yield index, samples


@dataclasses.dataclass(frozen=True)
class ViewSegment:
    """A view of one segment of a clip.

    Attributes:
      values: (T,) + step_shape of the view, its dtype.
      mask: (T,) bool, True where a step is real.
      times_s: (T,) float32, time of each step from the start of the clip in s.
      num_seen: frames that the view has searched or shown.
      num_with_face: those in which a face was found; None where the view detects no faces.
      has_speech: whether speech was found around it; None where the view detects no speech.
    """

    values: np.ndarray
    mask: np.ndarray
    times_s: np.ndarray
    num_seen: int
    num_with_face: int | None = None
    has_speech: bool | None = None


def usable_segments(segments: Iterable[ViewSegment | None]) -> Iterator[ViewSegment]:
    """Yield the segments that are used, one at a time; None stands for a tail that is too short."""
    return (segment for segment in segments if segment is not None)


def check_same_cut(views: Mapping[str, Any]) -> None:
    """Check that streams joined segment by segment are cut at the same places.

    Views with a `cut` (those of speech) place their segments by the sound; they can be joined only with views of equal cut.

    Args:
      views: stream -> view.

    Raises:
      ValueError: they differ, with the parameters that do.
    """
    cuts = {stream: getattr(view, "cut", None) for stream, view in views.items()}
    (first, cut), *others = cuts.items()
    for stream, other in others:
        if cut == other:
            continue
        if cut is None or other is None:
            names = " and ".join(f"{name} ({views[name].name})" for name in (first, stream))
            raise ValueError(f"one of the streams {names} is cut by speech and the other is not, so their segments do not belong together")
        differences = [f"{name} {cut[name]} and {other[name]}" for name in cut if cut[name] != other[name]]
        raise ValueError(
            f"the streams {first} and {stream} must be cut alike, but config.views.{views[first].name} and "
            f"config.views.{views[stream].name} differ: {'; '.join(differences)}"
        )


def media_of(view: Any) -> tuple[str, ...]:
    """Return the media of a view in the order in which its `segments` takes them: its modality, then "audio" where it `needs_audio`."""
    return (view.modality, "audio") if getattr(view, "needs_audio", False) else (view.modality,)
