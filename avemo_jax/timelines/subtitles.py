"""Spans as subtitles: WebVTT and SRT."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.inference.recording import SPEAKS, PersonPrediction, RecordingPrediction
from avemo_jax.inference.timeline import Span, joined_spans, without_gaps
from avemo_jax.timelines.media import Media


def write_vtt(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write WebVTT, which players of web pages and VLC show."""
    _subtitles(prediction, is_vtt=True).save(str(path))


def write_srt(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write SRT, which most players and film editors read."""
    _subtitles(prediction, is_vtt=False).save_as_srt(str(path))


def _subtitles(prediction: RecordingPrediction, *, is_vtt: bool) -> Any:
    """Return one caption a span: "happy 0.71", or "silence"; in WebVTT, "<" and "&" are escaped.

    Of a film with several people it is "person 1: happy 0.71" for each of them, "person 1 speaks: happy 0.71" where they speak, and none
    for the whole picture.
    """
    from webvtt import Caption, WebVTT

    subtitles = WebVTT()
    named = [part for one in prediction.people for part in _of_person(one, prediction.classes)] or [("", one) for one in prediction.spans]
    for name, span in sorted(named, key=lambda one: one[1].start_s):
        start, end = _clock(span.start_s), _clock(span.end_s)
        if start == end:
            continue
        text = span.label if span.probability is None else f"{span.label} {span.probability:.2f}"
        text = f"{name}: {text}" if name else text
        subtitles.captions.append(Caption(start, end, html.escape(text, quote=False) if is_vtt else text))
    return subtitles


def _of_person(person: PersonPrediction, classes: Sequence[str]) -> Iterator[tuple[str, Span]]:
    """Yield name and span of a person, "person 1 speaks" where they speak; a span is divided where that changes."""
    said = [f"{person.name} speaks" if one.label == SPEAKS else person.name for one in person.speech_spans]
    told = [dataclasses.replace(one, label=name) for one, name in zip(person.speech_spans, said, strict=True)]
    parts = [span for part in without_gaps(told) for span in joined_spans(part)]
    for span in person.spans(classes):
        for part in parts or [dataclasses.replace(span, label=person.name)]:
            start_s, end_s = max(span.start_s, part.start_s), min(span.end_s, part.end_s)
            if start_s < end_s:
                yield part.label, dataclasses.replace(span, start_s=start_s, end_s=end_s)


def _clock(time_s: float) -> str:
    """Return seconds as hh:mm:ss.ttt."""
    seconds, thousandths = divmod(round(1000 * time_s), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"
