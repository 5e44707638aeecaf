"""Networks from the config: branches, fusion, frozen encoders, and encoders that are trained with the network."""

from __future__ import annotations

import dataclasses

from flax import traverse_util

from avemo_jax.config import ONNX_ENCODERS, Experiment, OnnxSettings, Stream
from avemo_jax.experiment.sources import is_frozen
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.models.encoders import ENCODERS
from avemo_jax.models.encoders.onnx import OnnxSpec
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training.stage import Stage

STANDARDIZATIONS = ("features", "steps", "none")


def encoder_spec(experiment: Experiment, name: str) -> EncoderSpec:
    """Return the encoder of that name with the end point that the config names.

    Raises:
      ValueError: no such encoder or end point.
    """
    if name not in experiment.encoders:
        raise ValueError(f"expected an encoder among {tuple(experiment.encoders)}, got {name!r}")
    settings = experiment.encoders[name]
    return EncoderSpec(
        name,
        end_point=settings.end_point,
        resize_px=settings.resize_px,
        layers=settings.layers,
        tokens=settings.tokens,
        overlap_s=settings.overlap_s,
    )


def frozen_spec(experiment: Experiment, name: str) -> EncoderSpec | OnnxSpec:
    """Return the frozen encoder of that name as the config uses it, one of this project's networks or an ONNX file.

    Raises:
      ValueError: no such encoder or end point, or settings of an ONNX file that contradict each other.
    """
    settings = experiment.encoders.get(name)
    return OnnxSpec(name, settings) if isinstance(settings, OnnxSettings) else encoder_spec(experiment, name)


def trained_encoder(experiment: Experiment, name: str) -> EncoderSpec | None:
    """Return the encoder with published weights that is trained inside the network of the stream `name`, or None.

    Raises:
      ValueError: encoder_trained_from or encoder_lora_rank is set for an encoder that does not have it, or encoder_trained_from names no
        end point up to the one that is used.
    """
    stream = experiment.streams[name]
    start, lora_rank = stream.encoder_trained_from, stream.encoder_lora_rank
    if (start or lora_rank) and stream.encoder in ONNX_ENCODERS:
        field, value = ("encoder_trained_from", start) if start else ("encoder_lora_rank", lora_rank)
        raise ValueError(
            f"streams.{name}.{field}={value!r}: an ONNX file is run as it is and cannot be trained; leave the field empty, or "
            "choose an encoder of this project for training"
        )
    if stream.encoder not in ENCODERS:
        for field, value in (("encoder_trained_from", start), ("encoder_lora_rank", lora_rank)):
            if value:
                raise ValueError(
                    f"streams.{name}.{field}={value!r} needs an encoder with published weights ({', '.join(ENCODERS)}), got "
                    f"streams.{name}.encoder={stream.encoder!r}"
                )
        return None
    if not start and not lora_rank:
        return None
    spec = dataclasses.replace(encoder_spec(experiment, stream.encoder), lora_rank=lora_rank)
    points = spec.record.end_points
    points = points[: points.index(spec.features) + 1]  # later layers are no part of the network
    if start not in ("", "all", *points):
        raise ValueError(f"streams.{name}.encoder_trained_from must be 'all' or one of {points} of {spec.name}, got {start!r}")
    return spec


def held_parameters(experiment: Experiment, name: str, step_shape: tuple[int, ...], dtype: str) -> tuple[tuple[str, ...], ...]:
    """Return the paths of what is held of a trained encoder: its own modules and arrays up to the end point before `encoder_trained_from`.

    What `encoder_lora_rank` adds is always trained.
    """
    spec = trained_encoder(experiment, name)
    start = experiment.streams[name].encoder_trained_from
    if spec is None or start == "all":
        return ()
    points = spec.record.end_points
    before = points[: points.index(start)] if start else points[: points.index(spec.features) + 1]
    if not before:
        return ()
    own = dataclasses.replace(spec, lora_rank=0)
    shapes = own.variable_shapes(step_shape, dtype, end_point=before[-1])
    # an array at the top of the tree has no module of its own
    paths = {path[:-1] or path for path in traverse_util.flatten_dict(shapes["params"])}
    return tuple((*encoder_path(name, spec), *path) for path in sorted(paths))


def encoder_path(stream: str, spec: EncoderSpec) -> tuple[str, ...]:
    """Return the path of a stream's encoder in the parameter tree of its network."""
    return (stream, "context", "encoder", spec.name)


def standardization(name: str, stream: Stream) -> str:
    """Return how a stream is z-scored; "none" for an encoder inside the network, which expects the values of its view.

    Raises:
      ValueError: an unknown kind.
    """
    if stream.standardize not in STANDARDIZATIONS:
        raise ValueError(f"streams.{name}.standardize must be one of {STANDARDIZATIONS}, got {stream.standardize!r}")
    return "none" if stream.encoder in ENCODERS and not is_frozen(stream) else stream.standardize


def make_net(experiment: Experiment, stage: Stage, num_classes: int) -> EmotionNet:
    """Return the network of a stage."""
    branches = {name: _branch(experiment, name) for name in stage.streams}
    frozen = tuple(name for name in stage.streams if (name,) in stage.frozen)
    num_dimensions = len(experiment.corpus.dimensions)
    fusion = FusionSpec.of(experiment.fusion)
    return EmotionNet(num_classes, streams=branches, fusion=fusion, frozen=frozen, num_dimensions=num_dimensions)


def _branch(experiment: Experiment, name: str) -> BranchSpec:
    stream = experiment.streams[name]
    encoder = "none" if is_frozen(stream) else stream.encoder
    return BranchSpec.of(stream, encoder=encoder, encoder_spec=trained_encoder(experiment, name))
