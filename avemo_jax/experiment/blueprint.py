"""Networks and recipes of an experiment, derived from its config and the shapes of its features alone, without any clip.

Training, evaluation and prediction on new media build the same networks from the same blueprint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from avemo_jax.config import Experiment, Stream
from avemo_jax.config.overrides import Changes, for_stage, with_fields
from avemo_jax.experiment import networks
from avemo_jax.experiment.variation import Variation
from avemo_jax.labels import LabelSet
from avemo_jax.models.emotion_net import EmotionNet
from avemo_jax.training.dimensions import Ratings
from avemo_jax.training.lengths import Limits
from avemo_jax.training.stage import NO_WARM_START, Stage
from avemo_jax.training.state import Recipe, StreamRecipe, TrialState
from avemo_jax.training.steps import trial_shape
from avemo_jax.training.trials import Trial, make_inputs


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """Everything that determines the networks and recipes of a run.

    Attributes:
      experiment: the config.
      variation: swept or searched values, in which the trials differ.
      labels: label set.
      steps: stream -> shape and type of one step of its features.
      num_steps: stream -> steps that every example is padded to.
    """

    experiment: Experiment
    variation: Variation
    labels: LabelSet
    steps: Mapping[str, tuple[tuple[int, ...], str]]
    num_steps: Mapping[str, int]
    _experiments: dict[tuple[str, Changes], Experiment] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def num_classes(self) -> int:
        return len(self.labels.classes)

    @property
    def num_dimensions(self) -> int:
        return len(self.experiment.corpus.dimensions)

    def experiment_of(self, stage: Stage, fields: Changes = ()) -> Experiment:
        """Return the config of one stage, with its `train.overrides` and the swept fields applied."""
        key = (stage.name, fields)
        if key not in self._experiments:
            self._experiments[key] = with_fields(for_stage(self.experiment, stage.name), fields)
        return self._experiments[key]

    def net(self, stage: Stage, fields: Changes = ()) -> EmotionNet:
        """Return the network of a stage."""
        return networks.make_net(self.experiment_of(stage, fields), stage, self.num_classes)

    def recipe(self, stage: Stage, fields: Changes = (), *, num_clips: int, length_limits: Limits = ()) -> Recipe:
        """Return the recipe of a stage.

        Args:
          num_clips: number of clips of the corpus, into which the probabilities of segments are averaged.
          length_limits: length classes of the batches, see `training.lengths`.
        """
        experiment = self.experiment_of(stage, fields)
        train = experiment.train
        shared = {field.name for field in dataclasses.fields(Recipe)} & {field.name for field in dataclasses.fields(train)}
        order = list(self.experiment.system.streams)
        return Recipe(
            **{name: getattr(train, name) for name in shared},
            num_classes=self.num_classes,
            num_clips=num_clips,
            metric=experiment.protocol.metric,
            keeps_last=experiment.protocol.select == "last",
            segment_rule=experiment.system.segment_rule,
            streams=tuple(_stream_recipe(name, experiment.streams[name], order.index(name)) for name in stage.streams),
            frozen=(*stage.frozen, *self._frozen_modules(stage, experiment)),
            use_mixup=self._is_used("mixup_alpha", train.mixup_alpha),
            use_stream_dropout=len(stage.streams) > 1 and self._is_used("stream_dropout_rate", train.stream_dropout_rate),
            length_limits=length_limits,
            num_dimensions=self.num_dimensions,
        )

    def _is_used(self, name: str, value: float) -> bool:
        """Return whether a hyper-parameter that is off at 0 is above it in any trial."""
        values = self.variation.numbers.get(name) or (value,)
        return any(one > 0 for one in values) or any(axis.name == name for axis in self.variation.axes)

    def state_shape(self, stage: Stage, trial: Trial) -> TrialState:
        """Return the shapes and types of a trial's state, as in its checkpoints."""
        no_rows, each = np.zeros(1, np.int32), np.zeros(self.num_dimensions, np.float32)
        ratings = [Ratings(each[None], each, each)] if self.num_dimensions else None
        (inputs,) = make_inputs([trial], [(no_rows, no_rows)], ratings)
        rows: dict[str, Any] = {}
        for name in stage.streams:
            shape, dtype = self.steps[name]
            rows[name] = jax.ShapeDtypeStruct((self.num_steps[name], *shape), np.dtype(dtype))
            rows[f"{name}_mask"] = jax.ShapeDtypeStruct((self.num_steps[name],), np.bool_)
        return trial_shape(self.net(stage, trial.fields), self.recipe(stage, trial.fields, num_clips=1), rows, inputs, NO_WARM_START)

    def _frozen_modules(self, stage: Stage, experiment: Experiment) -> list[tuple[str, ...]]:
        """Return the paths of the frozen modules of encoders that are trained with the network."""
        paths: list[tuple[str, ...]] = []
        for name in stage.streams:
            paths += networks.held_parameters(experiment, name, *self.steps[name])
        return paths


def _stream_recipe(name: str, stream: Stream, key_index: int) -> StreamRecipe:
    return StreamRecipe(
        name=name,
        standardize=networks.standardization(name, stream),
        num_cepstra=stream.num_cepstra,
        augmentation=stream.augmentation,
        key_index=key_index,
    )
