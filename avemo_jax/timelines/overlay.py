"""The film with what was predicted drawn into it: faces boxed, the label and a bar for each class, the sound kept."""

from __future__ import annotations

from pathlib import Path

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.timelines.colours import NOTHING, style_of
from avemo_jax.timelines.media import CannotShow, Media


def write_overlay(prediction: RecordingPrediction, path: Path, media: Media) -> None:
    """Write the film as MP4.

    Raises:
      CannotShow: the recording has no picture, or it cannot be written.
    """
    colours = {name: style_of(index).colour for index, name in enumerate(prediction.classes)}
    hops = [
        (one.start_s, one.end_s, one.label(prediction.classes), [] if one.nothing else one.probabilities.tolist())
        for one in prediction.segments
    ]
    if reason := media.write_overlay(str(prediction.path), path, hops, colours, NOTHING.colour):
        raise CannotShow(reason)
