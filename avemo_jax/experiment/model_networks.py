"""The networks of a model folder: their arrays, after they were compared with the networks of its config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from avemo_jax.config import SWEPT, Experiment
from avemo_jax.evaluation.late_fusion import rule_from_json
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.model_arrays import ANEW, Arrays
from avemo_jax.experiment.variation import variation_of
from avemo_jax.inference.predict import TrainedNet
from avemo_jax.labels import LabelSet
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial


class Networks:
    """The networks of a config, as `Blueprint` has them.

    Args:
      steps: stream -> (step_shape, dtype).
      num_steps: stream -> steps that the examples of the run were padded to.
    """

    def __init__(
        self, experiment: Experiment, labels: LabelSet, steps: Mapping[str, tuple[tuple[int, ...], str]], num_steps: Mapping[str, int]
    ):
        self._blueprint = Blueprint(experiment, variation_of(experiment), labels, steps=steps, num_steps=num_steps)

    def read(self, stage: Stage, trial: Trial, arrays: Arrays, prefix: str) -> TrainedNet:
        """Return a network with the arrays of the file, in float32, after names and shapes were compared with the config's network."""
        state = self._blueprint.state_shape(stage, self._with_hyper(trial))
        like = traverse_util.flatten_dict({**state.best.variables, "scaler": dict(state.scaler)}, sep="/", keep_empty_nodes=True)
        expected = {path: leaf for path, leaf in like.items() if hasattr(leaf, "shape")}
        empty: dict[str, Any] = {path: {} for path in like.keys() - expected.keys()}
        found = {name.removeprefix(prefix) for name in arrays.names if name.startswith(prefix)}
        if found != expected.keys():
            odd = sorted(found ^ expected.keys())
            raise ValueError(
                f"{arrays.path}: expected the arrays of the config's network, and {prefix}{odd[0]} is missing or unknown; {ANEW}"
            )
        read = {path: arrays.read(prefix + path, leaf.shape) for path, leaf in expected.items()}
        tree = traverse_util.unflatten_dict(empty | read, sep="/")
        variables = {kind: tree.get(kind, {}) for kind in state.best.variables}
        streams = self._blueprint.recipe(stage, trial.fields, num_clips=1).streams
        return TrainedNet(self._blueprint.net(stage, trial.fields), variables, tree.get("scaler", {}), streams)

    def _with_hyper(self, trial: Trial) -> Trial:
        """Return the trial with any values of the hyper-parameters, which change no shape."""
        train = self._blueprint.experiment.train
        return dataclasses.replace(trial, hyper={name: float(getattr(train, name)) for name in SWEPT})


def read_rule(content: Any, num_systems: int, num_classes: int, where: str) -> Any:
    """Return the rule of late fusion of a member.

    Raises:
      ValueError: it is damaged, or of other systems or classes; `where` begins the message.
    """
    try:
        rule = rule_from_json(content)
        uniform = np.full((1, num_classes), 1 / num_classes)
        is_right = np.asarray(rule.join([uniform] * num_systems)).shape == (1, num_classes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: expected a rule of late fusion, found one that fails with {error}; {ANEW}") from error
    if not is_right:
        raise ValueError(f"{where}: expected a rule of late fusion of {num_systems} systems and {num_classes} classes; {ANEW}")
    return rule
