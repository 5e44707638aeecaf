"""Spans as tiers of annotation tools: ELAN (.eaf) and Praat (.TextGrid). One tier has the labels, the other their probabilities.

Each person of a film has tiers more, "emotion person 1", "probability person 1" and, of a film with sound, "speech person 1".
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.inference.timeline import Span
from avemo_jax.timelines.media import Media

LABELS, PROBABILITIES, SPEECH = "emotion", "probability", "speech"
_Entry = tuple[float, float, str, str]


def write_eaf(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write an ELAN file that links to the recording, with times in whole ms."""
    from pympi.Elan import Eaf

    eaf = Eaf(author="avemo")
    eaf.remove_tier("default")
    mimetype = mimetypes.guess_type(prediction.file)[0] or "application/octet-stream"
    # A file that has only a name is looked for beside the annotations.
    address = f"./{quote(prediction.file)}" if prediction.place else Path(prediction.file).resolve().as_uri()
    eaf.add_linked_file(address, relpath=address if prediction.place else None, mimetype=mimetype)
    for labels, probabilities, entries in _tiers(prediction):
        eaf.add_tier(labels)
        if probabilities:
            eaf.add_tier(probabilities)
        for start_s, end_s, label, probability in entries:
            times_ms = round(1000 * start_s), round(1000 * end_s)
            eaf.add_annotation(labels, *times_ms, label)
            if probability:
                eaf.add_annotation(probabilities, *times_ms, probability)
    eaf.to_file(str(path))


def write_textgrid(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write a TextGrid in Praat's long form; stretches without an entry have empty labels."""
    from praatio import textgrid

    tiers = _tiers(prediction)
    end_s = max((end_s for *_, entries in tiers for _, end_s, _, _ in entries), default=0.001)  # Praat knows no grid of length 0
    grid: Any = textgrid.Textgrid()
    for of_labels, of_probabilities, entries in tiers:
        labels = [(start_s, end_s, label) for start_s, end_s, label, _ in entries]
        probabilities = [(start_s, end_s, probability) for start_s, end_s, _, probability in entries if probability]
        for name, intervals in ((of_labels, labels), (of_probabilities, probabilities)):
            if name:
                grid.addTier(textgrid.IntervalTier(name, intervals, 0, end_s))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def _tiers(prediction: RecordingPrediction) -> list[tuple[str, str, list[_Entry]]]:
    """Return (tier of the labels, tier of the probabilities or "", their entries), of the whole picture and of each person."""
    return [
        *(
            (f"{LABELS} {name}".strip(), f"{PROBABILITIES} {name}".strip(), list(_entries(found)))
            for name, found in prediction.spans_of_all
        ),
        *((f"{SPEECH} {name}", "", list(_entries(found))) for name, found in prediction.speech_of_all),
    ]


def _entries(spans: Iterable[Span]) -> Iterator[_Entry]:
    """Yield (start in s, end in s, label, probability as text or "") of spans; those shorter than 1 ms are left out."""
    for span in spans:
        start_s, end_s = round(span.start_s, 3), round(span.end_s, 3)
        if end_s > start_s:
            yield start_s, end_s, span.label, "" if span.probability is None else f"{span.probability:.2f}"
