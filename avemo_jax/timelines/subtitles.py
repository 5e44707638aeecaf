"""Spans as subtitles: WebVTT and SRT."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.timelines.media import Media


def write_vtt(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write WebVTT, which players of web pages and VLC show."""
    _subtitles(prediction, is_vtt=True).save(str(path))


def write_srt(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write SRT, which most players and film editors read."""
    _subtitles(prediction, is_vtt=False).save_as_srt(str(path))


def _subtitles(prediction: RecordingPrediction, *, is_vtt: bool) -> Any:
    """Return one caption a span: "happy 0.71", or "silence"; in WebVTT, "<" and "&" are escaped.

    Of a film with several people it is "person 1: happy 0.71" for each of them, and none for the whole picture.
    """
    from webvtt import Caption, WebVTT

    subtitles = WebVTT()
    timelines = prediction.spans_of_all[1:] or prediction.spans_of_all
    for name, span in sorted(((name, span) for name, found in timelines for span in found), key=lambda one: one[1].start_s):
        start, end = _clock(span.start_s), _clock(span.end_s)
        if start == end:
            continue
        text = span.label if span.probability is None else f"{span.label} {span.probability:.2f}"
        text = f"{name}: {text}" if name else text
        subtitles.captions.append(Caption(start, end, html.escape(text, quote=False) if is_vtt else text))
    return subtitles


def _clock(time_s: float) -> str:
    """Return seconds as hh:mm:ss.ttt."""
    seconds, thousandths = divmod(round(1000 * time_s), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"
