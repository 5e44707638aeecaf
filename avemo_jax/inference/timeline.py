"""Emotions over time: the segments of a recording joined into spans of equal label, and their table as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from avemo_jax.inference.predict import SegmentPrediction

_BAR_WIDTH = 20
_CLOCK_S = 1e-3


@dataclasses.dataclass(frozen=True)
class Span:
    """A span of time with one label.

    Attributes:
      start_s, end_s: start and end in the recording.
      label: class name, or "silence", "no speech", "no face" where no stream holds more than that.
      probability: of the class, the mean over its segments, weighted by their length; None where the label is no class.
    """

    start_s: float
    end_s: float
    label: str
    probability: float | None


Timed = TypeVar("Timed", SegmentPrediction, Span)


def spans(segments: Sequence[SegmentPrediction], classes: Sequence[str]) -> list[Span]:
    """Return the spans of a recording: neighbouring segments of equal label joined, with overlaps divided in the middle."""
    return joined_spans(
        Span(one.start_s, one.end_s, one.label(classes), None if one.nothing else float(one.probabilities.max())) for one in segments
    )


def joined_spans(given: Iterable[Span]) -> list[Span]:
    """Return spans in order of time, neighbours of equal label joined, with overlaps divided in the middle."""
    found: list[Span] = []
    for span in given:
        if found and span.start_s < found[-1].end_s:
            span = dataclasses.replace(span, start_s=(span.start_s + found[-1].end_s) / 2)
            found[-1] = dataclasses.replace(found[-1], end_s=span.start_s)
        if found and found[-1].label == span.label:
            span = _joined(found.pop(), span)
        found.append(span)
    return found


def spans_with_gaps(segments: Sequence[SegmentPrediction], classes: Sequence[str]) -> list[Span]:
    """Return `spans` of segments between which there may be gaps, over which no span reaches."""
    return [span for part in without_gaps(segments) for span in spans(part, classes)]


def without_gaps(given: Sequence[Timed]) -> Iterator[Sequence[Timed]]:
    """Yield the parts of a sequence between which there are gaps in time."""
    begin = 0
    for end in range(1, len(given) + 1):
        if end == len(given) or given[end].start_s > given[end - 1].end_s + _CLOCK_S:
            yield given[begin:end]
            begin = end


def _joined(before: Span, after: Span) -> Span:
    lengths = (before.end_s - before.start_s, after.end_s - after.start_s)
    # A last segment of a single step has no length, and so no weight.
    share = lengths[0] / sum(lengths) if sum(lengths) > 0 else 0.5
    if before.probability is None or after.probability is None:
        return Span(before.start_s, after.end_s, before.label, None)
    return Span(before.start_s, after.end_s, before.label, share * before.probability + (1 - share) * after.probability)


def format_timeline(found: Iterable[Span]) -> str:
    """Return one line a span: start, end, label, probability, and the probability as a bar."""
    rows = [(f"{clock(span.start_s)} - {clock(span.end_s)}", span) for span in found]
    width = max((len(span.label) for _, span in rows), default=0)
    return "\n".join(
        f"{times:>21}  {span.label}"
        if span.probability is None
        else f"{times:>21}  {span.label:{width}}  {span.probability:5.2f}  {'#' * round(_BAR_WIDTH * span.probability)}"
        for times, span in rows
    )


def clock(time_s: float) -> str:
    """Return seconds as m:ss.s or h:mm:ss.s."""
    tenths = round(time_s * 10)
    hours, minutes, seconds = tenths // 36000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"
