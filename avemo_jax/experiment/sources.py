"""What the streams of a system are made of: views, and encoders with weights of their own. No JAX is imported, for a fast start."""

from __future__ import annotations

import dataclasses

from avemo_jax.config import ONNX_ENCODERS, Experiment, Stream
from avemo_jax.models.encoders import ENCODERS

RANDOM = "random"  # in place of weights


@dataclasses.dataclass(frozen=True)
class Source:
    """One view of a stream, and the encoder that it goes through, if any."""

    view: str
    encoder: str | None


def is_frozen(stream: Stream) -> bool:
    """Return whether the stream has an encoder with weights of its own that runs once, outside the network."""
    is_trained = stream.encoder_trained_from or stream.encoder_lora_rank
    return stream.encoder in (*ENCODERS, *ONNX_ENCODERS) and not is_trained


def sources_of(experiment: Experiment, stream: str) -> tuple[Source, ...]:
    """Return the views of a stream, and the frozen encoder of each.

    Raises:
      ValueError: an encoder that is not in `config.encoders`, or an encoder_beside without a view_beside.
    """
    own = experiment.streams[stream]
    sources = [Source(own.view, own.encoder if is_frozen(own) else None)]
    if own.view_beside:
        sources.append(Source(own.view_beside, None if own.encoder_beside == "none" else _checked(experiment, own.encoder_beside)))
    elif own.encoder_beside != "none":
        raise ValueError(
            f"streams.{stream}.encoder_beside={own.encoder_beside!r} needs a second view; set --config.streams.{stream}.view_beside"
        )
    return tuple(sources)


def needs_making(experiment: Experiment, stream: str) -> bool:
    """Return whether a stream's features differ from its view, because it has an encoder or a second view."""
    sources = sources_of(experiment, stream)
    return len(sources) > 1 or sources[0].encoder is not None


def _checked(experiment: Experiment, encoder: str) -> str:
    from avemo_jax.experiment.networks import frozen_spec  # late: brings JAX

    return frozen_spec(experiment, encoder).name


def used_encoders(experiment: Experiment) -> dict[str, str]:
    """Return encoder -> its view, for the encoders with weights of their own that the system's streams use, frozen or trained."""
    used = {}
    for stream in experiment.streams_in_use.values():
        for encoder, view in ((stream.encoder, stream.view), (stream.encoder_beside, stream.view_beside)):
            if encoder in (*ENCODERS, *ONNX_ENCODERS):
                used[encoder] = view
    return used
