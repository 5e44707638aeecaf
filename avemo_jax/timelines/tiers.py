"""Spans as tiers of annotation tools: ELAN (.eaf) and Praat (.TextGrid). One tier has the labels, the other their probabilities."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.timelines.media import Media

LABELS, PROBABILITIES = "emotion", "probability"


def write_eaf(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write an ELAN file that links to the recording, with times in whole ms."""
    from pympi.Elan import Eaf

    eaf = Eaf(author="avemo")
    eaf.remove_tier("default")
    mimetype = mimetypes.guess_type(prediction.file)[0] or "application/octet-stream"
    # A file that has only a name is looked for beside the annotations.
    address = f"./{quote(prediction.file)}" if prediction.place else Path(prediction.file).resolve().as_uri()
    eaf.add_linked_file(address, relpath=address if prediction.place else None, mimetype=mimetype)
    for tier in (LABELS, PROBABILITIES):
        eaf.add_tier(tier)
    for start_s, end_s, label, probability in _entries(prediction):
        times_ms = round(1000 * start_s), round(1000 * end_s)
        eaf.add_annotation(LABELS, *times_ms, label)
        if probability:
            eaf.add_annotation(PROBABILITIES, *times_ms, probability)
    eaf.to_file(str(path))


def write_textgrid(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write a TextGrid in Praat's long form; stretches without an entry have empty labels."""
    from praatio import textgrid

    entries = list(_entries(prediction))
    end_s = max((end_s for _, end_s, _, _ in entries), default=0.001)  # Praat knows no grid of length 0
    grid: Any = textgrid.Textgrid()
    labels = [(start_s, end_s, label) for start_s, end_s, label, _ in entries]
    probabilities = [(start_s, end_s, probability) for start_s, end_s, _, probability in entries if probability]
    for name, intervals in ((LABELS, labels), (PROBABILITIES, probabilities)):
        grid.addTier(textgrid.IntervalTier(name, intervals, 0, end_s))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def _entries(prediction: RecordingPrediction) -> Iterator[tuple[float, float, str, str]]:
    """Yield (start in s, end in s, label, probability as text or "") of the spans; those shorter than 1 ms are left out."""
    for span in prediction.spans:
        start_s, end_s = round(span.start_s, 3), round(span.end_s, 3)
        if end_s > start_s:
            yield start_s, end_s, span.label, "" if span.probability is None else f"{span.probability:.2f}"
