"""The models that are shipped in `models/`, for `predict` and `serve` without a run: the best one that this machine can use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.config import Experiment
from avemo_jax.experiment.encoder_table import encoder_table
from avemo_jax.experiment.model_folder import is_model_folder, read_description
from avemo_jax.experiment.sources import RANDOM, used_encoders
from avemo_jax.modes.stored import stored_experiment
from avemo_jax.pretrained.assets import PUBLISHED
from avemo_jax.text import format_interval


@dataclasses.dataclass(frozen=True)
class ShippedModel:
    """A shipped model.

    Attributes:
      folder: model folder.
      experiment: its config, with paths of this machine.
      described: content of its model.json.
      missing: encoders whose weights are not on this machine.
    """

    folder: Path
    experiment: Experiment
    described: Mapping[str, Any]
    missing: tuple[str, ...]

    @property
    def uar(self) -> float:
        """UAR on speakers that no model has heard, pooled over all clips."""
        return float(self.described["results"]["uar"]["pooled"])

    @property
    def summary(self) -> str:
        """What it was trained on, and its UAR with the interval."""
        found = self.described["results"]
        uar = format_interval(found["uar"]["pooled"], found["uar"]["ci95"])
        return f"trained on {found['corpus']}, UAR {uar} % on speakers that it had not heard (protocol {found['protocol']})"


def shipped_models(folder: Path, overrides: Mapping[str, str]) -> list[ShippedModel]:
    """Return the shipped models, the one with the best UAR first.

    Args:
      folder: `models/`.
      overrides: config field -> text, as `stored_experiment` has them; those of encoders tell where weights are.
    """
    found = []
    for path in sorted(folder.glob("*/")) if folder.is_dir() else ():
        if is_model_folder(path):
            experiment = stored_experiment(str(path), overrides)
            found.append(ShippedModel(path, experiment, read_description(path), _missing(experiment)))
    return sorted(found, key=lambda one: -one.uar)


def _missing(experiment: Experiment) -> tuple[str, ...]:
    """Return the encoders of a system whose weights are not on this machine."""
    used, folder = used_encoders(experiment), Path(experiment.weights_dir)
    if all(experiment.encoders[name].weights == PUBLISHED for name in used) and not (folder.is_dir() and any(folder.iterdir())):
        return tuple(used)  # without the encoders' records, which bring JAX: the model that is chosen then may need none
    return tuple(one.name for one in encoder_table(experiment) if one.weights != RANDOM and not one.sha256)


def choose_shipped(folder: Path, overrides: Mapping[str, str]) -> ShippedModel:
    """Return the best shipped model that this machine has all weights of, and print which it is and what it cannot know.

    Raises:
      FileNotFoundError: there is none.
    """
    models = shipped_models(folder, overrides)
    usable = [one for one in models if not one.missing]
    if not usable:
        raise FileNotFoundError(f"no shipped model in {folder} can be used; name a run or model folder with --run=FOLDER")
    chosen = usable[0]
    print(f"model: {chosen.folder} ({chosen.experiment.system.name}), as neither --run nor --config is given; {chosen.summary}")
    for better in models[: models.index(chosen)]:
        flags = " ".join(f"--config.encoders.{name}.weights=FOLDER" for name in better.missing)
        print(f"  better: {better.folder}, {better.summary}; it needs the weights of {', '.join(better.missing)}: {flags}")
    print(
        "  it names the class whose examples a recording is most like; it cannot know what a person feels. Training data, licence and "
        f"limits: {chosen.folder / 'README.md'}"
    )
    return chosen
