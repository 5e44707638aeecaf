"""The config of an experiment: frozen dataclasses, parsed once."""

from avemo_jax.config.experiment import (
    Adaptation,
    Corpus,
    Devices,
    EncoderSettings,
    Experiment,
    Protocol,
    Robustness,
    System,
)
from avemo_jax.config.onnx import ONNX_ENCODERS, OnnxSettings
from avemo_jax.config.parsing import ConfigError, parse, to_plain
from avemo_jax.config.stream import Augmentation, Branch, Fusion, Stream
from avemo_jax.config.training import SWEPT, Late, Search, Sweep, Train, swept_bounds

__all__ = [
    "ONNX_ENCODERS",
    "SWEPT",
    "Adaptation",
    "Augmentation",
    "Branch",
    "ConfigError",
    "Corpus",
    "Devices",
    "EncoderSettings",
    "Experiment",
    "Fusion",
    "Late",
    "OnnxSettings",
    "Protocol",
    "Robustness",
    "Search",
    "Stream",
    "Sweep",
    "System",
    "Train",
    "parse",
    "swept_bounds",
    "to_plain",
]
