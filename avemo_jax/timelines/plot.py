"""A plot of the probabilities over time, with the waveform above and the spans below: PNG or SVG by the suffix of the path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.inference.recording import SPEAKS, RecordingPrediction
from avemo_jax.inference.timeline import Span, clock
from avemo_jax.terminal import as_plain
from avemo_jax.timelines.colours import NOTHING, SPEAKING, style_of
from avemo_jax.timelines.media import Media

_SIZE_INCHES = (9.0, 4.8)
_PERSON_INCHES = 0.5
_LEAST_NAMED = 0.04  # share of the recording from which a span has room for its name


def write_plot(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Draw a prediction; a recording without segments gives axes without curves."""
    import matplotlib as mpl  # late: it is slow
    from matplotlib.figure import Figure

    outline = media.outline(str(prediction.path))
    end_s = max([outline.duration_s, *(one.end_s for one in prediction.segments)]) or 1.0
    # Names of files and classes are no formulas; text stays text in SVG.
    with mpl.rc_context({"text.parse_math": False, "svg.fonttype": "none", "font.size": 9}):
        timelines = [*prediction.spans_of_all, *prediction.speech_of_all]
        width, height = _SIZE_INCHES
        figure = Figure(figsize=(width, height + _PERSON_INCHES * (len(timelines) - 1)), layout="constrained")
        sound, curves, *rows = figure.subplots(2 + len(timelines), sharex=True, height_ratios=(2, 6, *[1] * len(timelines)))
        _draw_sound(sound, outline.low, outline.high, outline.duration_s)
        sound.set_title(as_plain(Path(prediction.file).name), loc="left")
        _draw_curves(curves, prediction)
        for axes, (name, found) in zip(rows, timelines, strict=True):
            _draw_spans(axes, found, prediction.classes, end_s)
            axes.set_ylabel(name, rotation="horizontal", ha="right", va="center")
        rows[-1].set_xlim(0, end_s)
        rows[-1].set_xlabel("time")
        rows[-1].xaxis.set_major_formatter(lambda time_s, _: clock(time_s))
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_sound(axes: Any, low: np.ndarray, high: np.ndarray, duration_s: float) -> None:
    axes.set_yticks([])
    if len(low):
        times_s = (np.arange(len(low)) + 0.5) * duration_s / len(low)
        axes.fill_between(times_s, low, high, color=NOTHING.colour, linewidth=0)
        axes.set_ylabel("sound")
    else:
        axes.text(0.5, 0.5, "no sound", ha="center", va="center", transform=axes.transAxes)


def _draw_curves(axes: Any, prediction: RecordingPrediction) -> None:
    times_s = [time_s for one in prediction.segments for time_s in (one.start_s, one.end_s)]
    for index, name in enumerate(prediction.classes):
        style = style_of(index)
        values = np.repeat([np.nan if one.nothing else one.probabilities[index] for one in prediction.segments], 2)
        dash = (0, style.dash) if style.dash else "-"
        axes.plot(times_s, values, color=style.colour, linestyle=dash, linewidth=1.6, label=name)
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability")
    axes.grid(axis="y", alpha=0.3)
    if prediction.classes:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _draw_spans(axes: Any, spans: Sequence[Span], classes: Sequence[str], end_s: float) -> None:
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    for span in spans:
        other = SPEAKING if span.label == SPEAKS else NOTHING
        style = style_of(classes.index(span.label)) if span.label in classes else other
        axes.axvspan(span.start_s, span.end_s, color=style.colour, alpha=0.35, linewidth=0)
        if span.end_s - span.start_s > _LEAST_NAMED * end_s:
            axes.text((span.start_s + span.end_s) / 2, 0.5, span.label, ha="center", va="center", clip_on=True, fontsize=8)
