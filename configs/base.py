"""The default experiment as a ConfigDict, which `configs/<corpus>.py` and `configs/systems/<system>.py` change.

The fields, their defaults and their meaning are defined in `avemo_jax/config` (those of views in `data_prep/views`); --help lists them all.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from avemo_jax.config import ONNX_ENCODERS, EncoderSettings, Experiment, OnnxSettings, Stream
from avemo_jax.described import described_fields
from avemo_jax.models.encoders import ENCODERS
from data_prep.views import VIEWS
from data_prep.views.speech_cut import SpeechCut


def get_config() -> ConfigDict:
    """Return the default experiment with all fields except the streams, which a system adds."""
    config = to_config_dict(Experiment())
    config.views = views()
    config.encoders = encoders()
    return config


def stream(**fields: Any) -> ConfigDict:
    """Return a stream with these fields; the others have their defaults.

    Raises:
      AttributeError: a field that a stream does not have.
    """
    config = to_config_dict(Stream())
    with config.ignore_type():
        config.lock()
        for name, value in fields.items():
            config[name] = value
    return config.unlock()


def use(config: ConfigDict, variant: str, names: tuple[str, ...], **streams: ConfigDict) -> None:
    """Set the system's name to its variant and its streams to `names`, in the order in which the fusion takes them.

    Args:
      streams: name -> stream; those that are not in `names` are left out.
    """
    config.system.name = variant.replace(":", "_")
    config.system.streams = names
    config.streams = ConfigDict({name: streams[name] for name in names})


def train_on_frozen_features(config: ConfigDict) -> None:
    """Set the recipe by which a linear layer is trained on the features of a frozen encoder."""
    config.train.batch_size = 48
    config.train.num_epochs = 40
    config.train.warmup_epochs = 2
    config.train.schedule = "cosine"
    config.train.learning_rate = 1e-3
    config.train.clip_norm = 1.0
    config.train.weight_decay = 1e-2
    config.train.label_smoothing = 0.1
    config.train.dropout_rate = 0.25


def to_config_dict(value: Any) -> ConfigDict:
    """Return a dataclass as a ConfigDict, with None as a placeholder of the field's type."""
    hints = typing.get_type_hints(type(value))
    config = ConfigDict()
    for field in dataclasses.fields(value):
        content, hint = getattr(value, field.name), hints[field.name]
        if dataclasses.is_dataclass(content):
            config[field.name] = to_config_dict(content)
        elif content is None:
            assert typing.get_origin(hint) is types.UnionType, f"{field.name} is None and has the type {hint}"
            config[field.name] = placeholder(_type(hint))
        else:
            config[field.name] = ConfigDict(content) if isinstance(content, Mapping) else content
    return config


def views() -> ConfigDict:
    """Return the parameters of every view, with the defaults of its class in data_prep/views.

    Views that cut a clip by speech share the parameters of the cut, so that segment n of the sound and of the picture cover the same
    time: `--config.views.speech_segments.shift_frames=20` also sets it for `speech_faces`.
    """
    cut = {field.name: FieldReference(field.default) for field in dataclasses.fields(SpeechCut)}
    return ConfigDict({name: _parameters(view) | (cut if issubclass(view, SpeechCut) else {}) for name, view in VIEWS.items()})


def _parameters(view: type) -> dict[str, Any]:
    """Return parameter -> default of a view; None, and a parameter without a default, become placeholders of the parameter's type."""
    hints = typing.get_type_hints(view)
    return {
        name: placeholder(_type(hints[name])) if default in (None, dataclasses.MISSING) else default
        for name, default, _ in described_fields(view)
    }


def _type(hint: Any) -> type:
    """Return T for T and for `T | None`."""
    return next(kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None))


def encoders() -> ConfigDict:
    """Return the settings of every encoder, by name; a stream uses one by `streams.<name>.encoder`."""
    published = {name: to_config_dict(EncoderSettings()) for name in ENCODERS}
    return ConfigDict(published | {name: to_config_dict(OnnxSettings()) for name in ONNX_ENCODERS})
