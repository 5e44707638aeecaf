"""The film with what was predicted drawn into it: faces boxed, the label and a bar for each class, the sound kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.recording import PersonPrediction, RecordingPrediction
from avemo_jax.timelines.colours import NOTHING, style_of
from avemo_jax.timelines.media import CannotShow, Hop, Media, SeenPerson


def write_overlay(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write the film as MP4.

    Raises:
      CannotShow: the recording has no picture, or it cannot be written.
    """
    colours = {name: style_of(index).colour for index, name in enumerate(prediction.classes)}
    people = [_seen(one, prediction.classes) for one in prediction.people]
    hops = _hops(prediction.segments, prediction.classes)
    if reason := media.write_overlay(str(prediction.path), path, hops, colours, NOTHING.colour, people):
        raise CannotShow(reason)


def _seen(one: PersonPrediction, classes: Sequence[str]) -> SeenPerson:
    speech: list[Hop] = [(segment.start_s, segment.end_s, says, []) for segment, says in zip(one.segments, one.speech, strict=False)]
    return one.name, one.times_s, one.boxes, _hops(one.segments, classes), speech


def _hops(segments: Sequence[SegmentPrediction], classes: Sequence[str]) -> list[Hop]:
    return [(one.start_s, one.end_s, one.label(classes), [] if one.nothing else one.probabilities.tolist()) for one in segments]
