"""The variables of an encoder: read from a published file or a user's file, or drawn at random."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from avemo_jax.config import ONNX_ENCODERS, Experiment
from avemo_jax.experiment.needed_packages import is_installed
from avemo_jax.experiment.networks import encoder_path, encoder_spec, frozen_spec, trained_encoder
from avemo_jax.experiment.sources import RANDOM, used_encoders
from avemo_jax.machine import pip_install
from avemo_jax.models.encoders import find_encoder
from avemo_jax.models.encoders.onnx import OnnxSpec, check_onnx
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.pretrained.assets import MissingAsset, fetch_asset, find_asset
from avemo_jax.pretrained.load import PUBLISHED, assets_needed, load_pretrained, weights_sha256
from avemo_jax.training.stage import Stage

LOG = logging.getLogger(__name__)


def encoder_variables(experiment: Experiment, name: str, step_shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Return the variables of an encoder up to its end point, as a tree of arrays.

    Args:
      name: key of `config.encoders`, where `weights` is "published", "random" (one fixed draw) or the path of a file.
      step_shape, dtype: of the view's steps.

    Raises:
      MissingAsset: the published file is not in `config.weights_dir` (`fetch_used` downloads it); the message names the file and its place.
      ValueError: a file that is damaged or does not fit.
      FileNotFoundError: there is no such file.
    """
    spec, source = encoder_spec(experiment, name), experiment.encoders[name].weights
    if source == RANDOM:
        return random_variables(spec, step_shape, dtype)
    shapes = spec.variable_shapes(step_shape, dtype)
    return load_pretrained(
        spec.record.weights,
        source,
        Path(experiment.weights_dir),
        shapes,
        leave_out=experiment.encoders[name].leave_out,
        leave_out_flag=f"--config.encoders.{name}.leave_out",
    )[0]


def weights_digest(experiment: Experiment, name: str, step_shape: tuple[int, ...], dtype: str) -> str:
    """Return an identifier of an encoder's weights: "random", or the SHA-256 of the files that they are read from.

    Raises:
      MissingAsset, FileNotFoundError: as `encoder_variables`.
      ValueError: an ONNX file that is another one than the config states.
    """
    spec = frozen_spec(experiment, name)
    if isinstance(spec, OnnxSpec):
        return spec.sha256()
    source = experiment.encoders[name].weights
    if source == RANDOM:
        return RANDOM
    shapes = spec.variable_shapes(step_shape, dtype)
    return weights_sha256(find_encoder(name).weights, source, Path(experiment.weights_dir), shapes)


def random_variables(spec: EncoderSpec, step_shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Return variables of an encoder drawn with a fixed seed: for tests, for the demo, and as a baseline of published weights.

    Kernels are normal with He's deviation, variances and scales are ones, all else is zero. The module's own `init` would compile the
    whole network first, which takes longer than encoding a small corpus.

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
    """Download the published files of an encoder that are missing.

    Raises:
      MissingAsset: there is no network; the message names the missing file and its place.
    """
    for asset in assets_needed(find_encoder(name).weights, shapes, weights_dir):
        try:
            find_asset(asset, weights_dir)
        except MissingAsset:
            fetch_asset(asset, weights_dir, say=LOG.info)


def check_view(experiment: Experiment, name: str, step_shape: tuple[int, ...], dtype: str) -> None:
    """Check that an encoder takes the steps of a view.

    Raises:
      ValueError, FileNotFoundError: it does not; see `EncoderSpec.leading` and `check_onnx`.
    """
    spec = frozen_spec(experiment, name)
    if isinstance(spec, OnnxSpec):
        check_onnx(spec, step_shape, dtype)
    else:
        spec.leading(step_shape)


def fetch_used(experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    """Download missing published weights of the system's encoders, and check ONNX files against their views, before the run begins.

    Args:
      steps: view -> (step_shape, dtype).

    Raises:
      MissingAsset: there is no network; the message names the missing file and its place.
      ValueError, FileNotFoundError: see `check_onnx`.
    """
    for name, view in used_encoders(experiment).items():
        if name in ONNX_ENCODERS:
            check_view(experiment, name, *steps[view])
        elif experiment.encoders[name].weights == PUBLISHED:
            fetch_missing(name, encoder_spec(experiment, name).variable_shapes(*steps[view]), Path(experiment.weights_dir))


def find_weights(experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, tuple[str, str | None]]:
    """Return name -> (state of the weights, how to fix it or None), for each encoder in use.

    Args:
      steps: view -> (step_shape, dtype).
    """
    found: dict[str, tuple[str, str | None]] = {}
    for name, view in used_encoders(experiment).items():
        source = experiment.encoders[name].weights
        try:
            digest = weights_digest(experiment, name, *steps[view])
            check_view(experiment, name, *steps[view])
            found[name] = (f"weights {source}" if source == RANDOM else f"weights {source}, SHA-256 {digest[:12]}...", None)
        except (MissingAsset, OSError, ValueError) as error:
            found[name] = (f"weights {source}: missing or damaged", str(error))
            continue
        if missing := _missing_packages(name, source):
            found[name] = (f"weights {source}: what reads them is not installed: {', '.join(missing)}", pip_install(*missing))
    return found


def absent_weights(experiment: Experiment) -> list[str]:
    """Return the encoders in use without any file of their published weights here.

    `find_weights` finds more, and traces the networks, which takes seconds each.
    """
    found, weights_dir = [], Path(experiment.weights_dir)
    for name in used_encoders(experiment):
        if name in ONNX_ENCODERS or experiment.encoders[name].weights != PUBLISHED:
            continue
        assets = [asset for layout in find_encoder(name).weights[:1] for asset in (*layout.assets, *layout.assets_without_optional)]
        if not any(all((weights_dir / file.name).is_file() for file in asset.files) for asset in assets):
            found.append(name)
    return found


def _missing_packages(name: str, source: str) -> list[str]:
    """Return the packages that the reading of an encoder's weights needs and that are not installed."""
    layouts = () if source == RANDOM or name in ONNX_ENCODERS else find_encoder(name).weights
    return list(dict.fromkeys(package for layout in layouts for package in layout.packages if not is_installed(package)))


def published_weights(experiment: Experiment, stage: Stage, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, Any]:
    """Return the initial weights of the encoders that a stage trains with its network, at their paths in its tree; see `warm_start`.

    Args:
      steps: stream -> (step_shape, dtype).
    """
    flat: dict[str, dict[tuple[str, ...], Any]] = {"params": {}, "batch_stats": {}}
    for stream in stage.streams:
        spec = trained_encoder(experiment, stream)
        if spec is None or stream in stage.takes_over:
            continue
        variables = encoder_variables(experiment, spec.name, *steps[stream])
        for kind, leaves in flat.items():
            found = traverse_util.flatten_dict(variables.get(kind, {}))
            leaves |= {(*encoder_path(stream, spec), *path): leaf for path, leaf in found.items()}
    return {kind: traverse_util.unflatten_dict(leaves) for kind, leaves in flat.items()}
