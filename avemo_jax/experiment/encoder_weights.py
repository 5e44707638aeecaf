"""Where the variables of an encoder come from: a published file, a file of one's own, or chance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from avemo_jax.data.feed import Feed
from avemo_jax.experiment.networks import encoder_path, encoder_spec, trained_encoder
from avemo_jax.models.encoders import FAMILIES, EncoderSpec
from avemo_jax.pretrained.assets import MissingAsset, fetch_asset, find_asset
from avemo_jax.pretrained.load import PUBLISHED, assets_needed, load_pretrained, weights_sha256
from avemo_jax.training.stage import Stage

Config = Mapping[str, Any]
RANDOM = "random"
LOG = logging.getLogger(__name__)


def encoder_variables(config: Config, name: str, step_shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Variables of an encoder up to its end point, as a tree of arrays.

    Args:
      name: key of `config.encoders`, whose `weights` says "published", "random" (one fixed draw) or names a file.
      step_shape, dtype: of the view.

    Raises:
      MissingAsset: the published file is not in `config.weights_dir` (`fetch_used` fetches it); the message says which to put where.
      ValueError: a file that is damaged or does not fit.
      FileNotFoundError: there is no such file.
    """
    spec, source = encoder_spec(config, name), config["encoders"][name]["weights"]
    if source == RANDOM:
        return random_variables(spec, step_shape, dtype)
    shapes = spec.variable_shapes(step_shape, dtype)
    return load_pretrained(name, source, Path(config["weights_dir"]), shapes)[0]


def weights_digest(config: Config, name: str, step_shape: tuple[int, ...], dtype: str) -> str:
    """What tells the weights of an encoder from others: "random", or the SHA-256 of what they are read from.

    Raises:
      MissingAsset, FileNotFoundError: as `encoder_variables`.
    """
    source = config["encoders"][name]["weights"]
    if source == RANDOM:
        return RANDOM
    shapes = encoder_spec(config, name).variable_shapes(step_shape, dtype)
    return weights_sha256(name, source, Path(config["weights_dir"]), shapes)


def random_variables(spec: EncoderSpec, step_shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """One fixed draw of an encoder's variables: for tests, for the demo, and to see what published weights are worth.

    Kernels are normal with He's deviation, variances and scales are ones, all else is zero. The module's own `init` would compile the
    whole network first, which takes longer than a small corpus takes to be encoded.

    Source: He et al. 2015, Delving deep into rectifiers, equation 10.
    """
    generator = np.random.default_rng(0)

    def draw(path: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        if path[-1] in ("var", "scale"):
            return np.ones(shape, np.float32)
        if len(shape) < 2:
            return np.zeros(shape, np.float32)
        return generator.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)

    shapes = traverse_util.flatten_dict(dict(spec.variable_shapes(step_shape, dtype)))
    return traverse_util.unflatten_dict({path: draw(path, shapes[path].shape) for path in sorted(shapes)})


def fetch_missing(name: str, shapes: Any, weights_dir: Path) -> None:
    """Fetch the published files of an encoder that are not there.

    Raises:
      MissingAsset: there is no network; the message says which file to put where.
    """
    for asset in assets_needed(name, shapes, weights_dir):
        try:
            find_asset(asset, weights_dir)
        except MissingAsset:
            fetch_asset(asset, weights_dir, say=LOG.info)


def used_encoders(config: Config) -> dict[str, str]:
    """Encoders with published weights that the system's streams go through, frozen or trained -> the view that each is for."""
    used = {}
    for stream in config["system"]["streams"]:
        branch, system = config["model"][stream], config["system"]
        if branch["encoder"] in FAMILIES:
            used[branch["encoder"]] = system[f"{stream}_view"]
        if branch["encoder_beside"] in FAMILIES:
            used[branch["encoder_beside"]] = system[f"{stream}_view_beside"]
    return used


def fetch_used(config: Config, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Fetch the published weights that the system's encoders lack, before anything runs for hours and then finds them missing.

    Args:
      steps: view -> (step_shape, dtype).

    Raises:
      MissingAsset: there is no network; the message says which file to put where.
    """
    for name, view in used_encoders(config).items():
        if config["encoders"][name]["weights"] == PUBLISHED:
            fetch_missing(name, encoder_spec(config, name).variable_shapes(*steps[view]), Path(config["weights_dir"]))


def find_weights(config: Config, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, tuple[str, str | None]]:
    """Where the weights of each encoder in use are: name -> (what is found, how to mend it where they are not there).

    Args:
      steps: view -> (step_shape, dtype).
    """
    found: dict[str, tuple[str, str | None]] = {}
    for name, view in used_encoders(config).items():
        source = config["encoders"][name]["weights"]
        try:
            digest = weights_digest(config, name, *steps[view])
            found[name] = (f"weights {source}" if source == RANDOM else f"weights {source}, SHA-256 {digest[:12]}...", None)
        except (MissingAsset, OSError, ValueError) as error:
            found[name] = (f"weights {source}: not there, or damaged", str(error))
    return found


def published_weights(config: Config, stage: Stage, data: Feed) -> dict[str, Any]:
    """Weights of the encoders that are trained with a stage's network, at their paths in its tree; see `stage.warm_start`."""
    flat: dict[str, dict[tuple[str, ...], Any]] = {"params": {}, "batch_stats": {}}
    for stream in stage.streams:
        spec = trained_encoder(config, stream)
        if spec is None or stream in stage.takes_over:
            continue
        variables = encoder_variables(config, spec.name, *data.step_of(stream))
        for kind, leaves in flat.items():
            found = traverse_util.flatten_dict(variables.get(kind, {}))
            leaves |= {(*encoder_path(stream, spec), *path): leaf for path, leaf in found.items()}
    return {kind: traverse_util.unflatten_dict(leaves) for kind, leaves in flat.items()}
