"""From the config to networks: the branches, their fusion, the encoders that are frozen and those that are trained along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.models.encoders import FAMILIES, EncoderSpec
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.training.stage import Stage

Config = Mapping[str, Any]
# Fields of config.model.<stream> that say what the network is given, and are none of its own.
OUTSIDE = ("standardize", "encoder_trained_from", "encoder_beside")


def encoder_spec(config: Config, name: str) -> EncoderSpec:
    """The encoder of that name with the end point that the config names.

    Raises:
      ValueError: no such encoder or end point.
    """
    if name not in config["encoders"]:
        raise ValueError(f"expected an encoder among {tuple(config['encoders'])}, got {name!r}")
    fields = config["encoders"][name]
    return EncoderSpec(name, end_point=fields["end_point"], resize_px=fields["resize_px"])


def is_frozen(config: Config, stream: str) -> bool:
    """Whether the stream has an encoder with published weights that runs once, outside the network."""
    branch = config["model"][stream]
    return branch["encoder"] in FAMILIES and not branch["encoder_trained_from"]


def trained_encoder(config: Config, stream: str) -> EncoderSpec | None:
    """The encoder with published weights that is trained inside the network, or None.

    Raises:
      ValueError: encoder_trained_from where there is no such encoder, or not one of its end points up to the one that is used.
    """
    branch = config["model"][stream]
    start = branch["encoder_trained_from"]
    if branch["encoder"] not in FAMILIES:
        if start:
            raise ValueError(
                f"model.{stream}.encoder_trained_from={start!r} is for encoders with published weights ({', '.join(FAMILIES)}); "
                f"model.{stream}.encoder is {branch['encoder']!r}"
            )
        return None
    if not start:
        return None
    spec = encoder_spec(config, branch["encoder"])
    points = spec.family.end_points
    points = points[: points.index(spec.features) + 1]  # what lies beyond has no weights
    if start != "all" and start not in points:
        raise ValueError(f"model.{stream}.encoder_trained_from must be 'all' or one of {points} of {spec.name}, got {start!r}")
    return spec


def held_parameters(config: Config, stream: str, step_shape: tuple[int, ...], dtype: str) -> tuple[tuple[str, ...], ...]:
    """Paths of the modules of a trained encoder that lie before `encoder_trained_from` and so stay as they are."""
    spec = trained_encoder(config, stream)
    start = config["model"][stream]["encoder_trained_from"]
    if spec is None or start == "all":
        return ()
    points = spec.family.end_points
    before = points[: points.index(start)]
    if not before:
        return ()
    shapes = spec.variable_shapes(step_shape, dtype, end_point=before[-1])
    modules = {path[:-1] for path in traverse_util.flatten_dict(shapes["params"])}
    return tuple((*encoder_path(stream, spec), *path) for path in sorted(modules))


def encoder_path(stream: str, spec: EncoderSpec) -> tuple[str, ...]:
    """Where a stream's network has its encoder."""
    return (stream, "context", "encoder", spec.name)


STANDARDIZATIONS = ("features", "steps", "none")


def is_standardized(config: Config, stream: str) -> bool:
    """Whether a stream is z-scored; an encoder inside the network expects its view as it is."""
    kind = config["model"][stream]["standardize"]
    if kind not in STANDARDIZATIONS:
        raise ValueError(f"model.{stream}.standardize must be one of {STANDARDIZATIONS}, got {kind!r}")
    return kind != "none" and trained_encoder(config, stream) is None


def make_net(config: Config, stage: Stage, num_classes: int) -> EmotionNet:
    """Build the network of a stage from the config's `model` part."""
    model = config["model"]

    def branch(stream: str) -> BranchSpec:
        fields = {name: value for name, value in _tuples(model[stream]).items() if name not in OUTSIDE}
        if is_frozen(config, stream):
            fields["encoder"] = "none"
        return BranchSpec(**fields, encoder_spec=trained_encoder(config, stream))

    held = tuple(stream for stream in stage.streams if (stream,) in stage.frozen)
    return EmotionNet(num_classes, {stream: branch(stream) for stream in stage.streams}, FusionSpec(**_tuples(model["fusion"])), held)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A config that was read back from JSON has lists where specs have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
