"""A timeline as one HTML page: player, waveform, curves and spans, with a cursor that follows the player and seeks in it."""

from __future__ import annotations

import glob
import mimetypes
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from avemo_jax.inference.attention_curve import STEP_S, downsampled
from avemo_jax.inference.recording import SPEAKS, RecordingPrediction
from avemo_jax.inference.timeline import Span, clock
from avemo_jax.reporting import pages
from avemo_jax.timelines.colours import NOTHING, SPEAKING, Style, style_of
from avemo_jax.timelines.media import Media, Outline

_WIDTH, _HEIGHT, _ATTENTION_HEIGHT = 1000, 240, 80  # of the drawing in its own units, which are stretched to the page
_MOST_EMBEDDED_BYTES = 8 << 20  # a third more as text
_MOST_POINTS = 2000
_LEAST_ATTENTION_SHOWN = 2.0  # so that a network that attends to all alike has a line in the middle
# What all browsers play.
_FILMS = (".mp4", ".m4v", ".webm")
_SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".flac")


def write_page(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write the page; a recording of up to 8 MiB that browsers play is inside it, a larger one is linked.

    The page needs nothing from the network, and its scripts are named by their hash in its security policy.
    """
    outline = media.outline(str(prediction.path))
    duration_s = max([outline.duration_s, *(one.end_s for one in prediction.segments)]) or 1.0
    styles = {SPEAKS: SPEAKING} | {name: style_of(index) for index, name in enumerate(prediction.classes)}
    folder = Path(__file__).parent
    pages.write_page(
        path,
        "timeline.html.j2",
        folder,
        filters={"clock": clock},
        name=Path(prediction.file).name.encode(errors="replace").decode(),
        prediction=prediction,
        player=_player(prediction.path, path),
        is_there=prediction.place is None or prediction.place.is_file(),
        duration_s=duration_s,
        size=(_WIDTH, _HEIGHT),
        sound=_sound_path(outline, duration_s),
        curves=_curves(prediction, duration_s),
        attention=_attention(prediction, duration_s),
        attention_height=_ATTENTION_HEIGHT,
        styles=styles,
        nothing=NOTHING,
        timelines=[
            {"name": name, "bands": [_band(one, duration_s, styles.get(one.label, NOTHING)) for one in found]}
            for name, found in [*prediction.spans_of_all, *prediction.speech_of_all]
        ],
        data=_data(prediction, duration_s),
        **pages.inline_script(folder / "timeline.js"),
    )


def _band(span: Span, duration_s: float, style: Style) -> dict[str, Any]:
    """Return a span with its place in percent of the recording."""
    left, right = (100 * time_s / duration_s for time_s in (span.start_s, span.end_s))
    return {"span": span, "left": left, "width": right - left, "style": style}


def is_playable(file: Path) -> bool:
    """Return whether all browsers play a file, by its name."""
    return file.suffix.lower() in (*_FILMS, *_SOUNDS)


def _player(file: Path, page: Path) -> dict[str, Any] | None:
    """Return kind and address of what the page plays: the recording, or its overlay beside the page; None where browsers play neither."""
    beside = page.parent.glob(f"{glob.escape(file.stem)}*.overlay.mp4")
    for one in (file, *beside):
        suffix = one.suffix.lower()
        if not is_playable(one) or not one.is_file():
            continue
        kind = mimetypes.guess_type(one.name)[0] or f"{'video' if suffix in _FILMS else 'audio'}/{suffix[1:]}"
        if one.stat().st_size <= _MOST_EMBEDDED_BYTES:
            address = str(pages.data_address(one.read_bytes(), kind))
        else:
            address = quote(os.path.relpath(one.resolve(), page.parent.resolve()).replace(os.sep, "/"))
        return {"tag": "video" if suffix in _FILMS else "audio", "address": address, "is_overlay": one != file}
    return None


def _sound_path(outline: Outline, duration_s: float) -> str:
    """Return the outline as the path of an SVG of _WIDTH x 100, "" without sound."""
    if not len(outline.low):
        return ""
    x = (np.arange(len(outline.low)) + 0.5) * (_WIDTH * outline.duration_s / duration_s / len(outline.low))
    upper = [f"{a:.1f} {50 - 50 * min(b, 1):.1f}" for a, b in zip(x, outline.high, strict=True)]
    lower = [f"{a:.1f} {50 - 50 * max(b, -1):.1f}" for a, b in zip(x, outline.low, strict=True)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z"


def _curves(prediction: RecordingPrediction, duration_s: float) -> list[tuple[str, Style, str]]:
    """Return (class, look, path) of each curve in an SVG of _WIDTH x _HEIGHT; broken where nothing was predicted."""
    step = -(-len(prediction.segments) // _MOST_POINTS)
    found = []
    for index, name in enumerate(prediction.classes):
        parts, pen = [], "M"
        for one in prediction.segments[:: max(step, 1)]:
            if one.nothing:
                pen = "M"
                continue
            y = _HEIGHT * (1 - float(one.probabilities[index]))
            parts.append(f"{pen}{_WIDTH * one.start_s / duration_s:.1f} {y:.1f}H{_WIDTH * one.end_s / duration_s:.1f}")
            pen = "L"
        found.append((name, style_of(index), "".join(parts)))
    return found


def _attention(prediction: RecordingPrediction, duration_s: float) -> list[dict[str, Any]]:
    """Return of each stream with attention its name, look, path in an SVG of _WIDTH x _ATTENTION_HEIGHT, and largest value shown."""
    found = []
    for number, stream in enumerate(prediction.attended):
        curves = [(one.start_s, one.end_s, one.attention.get(stream)) for one in prediction.segments]
        most = max(_LEAST_ATTENTION_SHOWN, max(float(values.max()) for *_, values in curves if values is not None))
        parts, pen = [], "M"
        for start_s, end_s, values in curves:
            if values is None:
                pen = "M"
                continue
            points = downsampled(values, max(1, _MOST_POINTS // len(curves)))
            times_s = start_s + (np.arange(len(points)) + 0.5) * (end_s - start_s) / len(points)
            for time_s, value in zip(times_s, points, strict=True):
                parts.append(f"{pen}{_WIDTH * time_s / duration_s:.1f} {_ATTENTION_HEIGHT * (1 - value / most):.1f}")
                pen = "L"
        even = _ATTENTION_HEIGHT * (1 - 1 / most)
        found.append({"stream": stream, "style": style_of(number), "path": "".join(parts), "most": most, "even": even})
    return found


def _data(prediction: RecordingPrediction, duration_s: float) -> dict[str, Any]:
    """Return what the script reads: the probabilities of every segment, in whole percent."""
    return {
        "duration_s": round(duration_s, 3),
        "starts_s": [round(one.start_s, 3) for one in prediction.segments],
        "nothing": [one.nothing for one in prediction.segments],
        "percent": [[round(100 * value) for value in one.probabilities.tolist()] for one in prediction.segments],
        "classes": list(prediction.classes),
        "attention": [
            [
                [round(value, 2) for value in one.attention[stream].tolist()] if stream in one.attention else []
                for one in prediction.segments
            ]
            for stream in prediction.attended
        ],
        "attention_step_s": STEP_S,
    }
