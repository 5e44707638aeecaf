"""Cutting long clips: where segments begin and end, the same for every view of either modality."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

# A last piece shorter than this says too little to be judged by itself; the segments before it stand for the clip.
SHORTEST_TAIL_S = 1.0


def keeps_segment(index: int, duration_s: float, segment_s: float) -> bool:
    """Whether the segment of that index and duration is used, of clips cut every `segment_s`.

    All are but a last piece, not the only one, that is under SHORTEST_TAIL_S, or under half a segment where segments are shorter than
    twice that. Only a last piece can be shorter than the others, so a reader that streams needs no more than this.
    """
    return index == 0 or duration_s >= min(SHORTEST_TAIL_S, segment_s / 2)


def kept_pieces(audio: Iterator[np.ndarray], sample_rate_hz: int, segment_s: float) -> Iterator[tuple[int, np.ndarray]]:
    """Number the pieces of segment_s that a clip's sound comes in, and leave out a last one that is too short to be judged by itself."""
    for index, samples in enumerate(audio):
        if keeps_segment(index, len(samples) / sample_rate_hz, segment_s):
            yield index, samples


@dataclasses.dataclass(frozen=True)
class ViewSegment:
    """What a view makes of one segment of a clip.

    Attributes:
      values: (T,) + step_shape of the view, its dtype.
      mask: (T,) bool, True where a step is real.
      times_s: (T,) float32, time of each step from the start of the clip in s.
      num_seen: frames looked at.
      num_with_face: those of them in which a face was found, or None where the view looks for none.
      has_speech: whether speech was found around it, or None where the view looks for none.
    """

    values: np.ndarray
    mask: np.ndarray
    times_s: np.ndarray
    num_seen: int
    num_with_face: int | None = None
    has_speech: bool | None = None


def kept_segments(segments: Iterable[ViewSegment | None]) -> Iterator[ViewSegment]:
    """The segments that are used, one at a time; None stands for a tail that is too short."""
    return (segment for segment in segments if segment is not None)


def check_same_cut(views: Mapping[str, Any]) -> None:
    """Check that streams joined segment by segment are cut at the same places.

    Views with a `cut` (those of speech) lay their segments where the sound says; beside them only views of equal cut make sense.

    Args:
      views: stream -> view.

    Raises:
      ValueError: they differ, with where.
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
