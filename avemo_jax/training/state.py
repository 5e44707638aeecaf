"""The recipe that the trials of one program share, and a trial's inputs and state."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from avemo_jax.evaluation.metrics import SEGMENT_RULES, selectable_names
from avemo_jax.training.augment import Augmentation
from avemo_jax.training.optimizers import Hyper, Plateau

STANDARDIZATIONS = ("features", "steps", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamRecipe:
    """How one stream is fed to the network; fields and defaults are those of `config.streams.<name>` but for `key_index`.

    Attributes:
      name: of the stream.
      key_index: position of the stream among all streams of the system, by which its augmentation gets a random key of its own: the same
        key in a stage that trains the stream alone and in one that trains all of them.
      standardize: z-scoring with statistics of the training part: "features", one mean and deviation a feature; "steps", one a feature and
        step, for views with steps that are no points in time; "none".
      num_cepstra: coefficients of the cosine transform that the step takes of log-mel frames; 0 uses the view as it is.
      augmentation: of training examples.
    """

    name: str
    key_index: int
    standardize: str = "features"
    num_cepstra: int = 0
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

    def __post_init__(self):
        if self.standardize not in STANDARDIZATIONS:
            raise ValueError(f"streams.{self.name}.standardize must be one of {STANDARDIZATIONS}, got {self.standardize!r}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What trials of one compiled program share; anything here that changes starts another program.

    The fields are those of `config.train` and `config.protocol` by the same names, but for:
      num_classes: K.
      num_clips: clips in the corpus; probabilities of segments are averaged into this many rows.
      streams: those of the network, in order.
      frozen: paths in the parameter tree; the leaves below them are not trained.
      segment_rule: how probabilities of a clip's segments become those of the clip, see `evaluation.metrics.segment_share`.
      use_mixup: whether any trial mixes examples; False leaves the code out.
      ema_decay: decay per step of the moving average of weights that is validated and kept; 0 keeps the weights themselves.
      length_limits: classes of length that batches are made of, see `lengths`; () makes no difference between long and short.
    """

    num_classes: int
    num_clips: int
    num_epochs: int
    batch_size: int
    optimizer: str
    clip_norm: float
    schedule: str
    warmup_epochs: int
    plateau_patience_epochs: int
    plateau_factor: float
    early_stop_patience_epochs: int
    metric: str
    streams: tuple[StreamRecipe, ...]
    frozen: tuple[tuple[str, ...], ...] = ()
    segment_rule: str = "mean"
    use_mixup: bool = False
    ema_decay: float = 0.0
    length_limits: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __post_init__(self):
        for field in ("name", "key_index"):
            values = [getattr(stream, field) for stream in self.streams]
            if len(set(values)) != len(values) or not values:
                raise ValueError(f"expected one stream or more, each with a {field} of its own, got {values}")
        if self.metric not in selectable_names():
            raise ValueError(f"protocol.metric must be one of {selectable_names()}, got {self.metric!r}")
        if self.segment_rule not in SEGMENT_RULES:
            raise ValueError(f"system.segment_rule must be one of {SEGMENT_RULES}, got {self.segment_rule!r}")
        for name in ("num_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} must be at least 1, got {getattr(self, name)}")


@flax.struct.dataclass
class TrialInputs:
    """What differs between trials of one program; the engine stacks them along a leading trial axis.

    Attributes:
      hyper: hyper-parameters.
      train_index: (M,) int32, examples of the training part; entries from `train_count` on are padding.
      train_count: () int32.
      select_index: (V,) int32, examples of the part that selects epochs; entries from `select_count` on are padding.
      select_count: () int32.
      fold: () int32, unused in training; it labels what is written.
    """

    hyper: Hyper
    train_index: jax.Array
    train_count: jax.Array
    select_index: jax.Array
    select_count: jax.Array
    fold: jax.Array


@flax.struct.dataclass
class Learner:
    """What a training step changes.

    Attributes:
      step: () int32, updates made.
      params, batch_stats, optimizer: variables of the network and of the optimiser.
      average: moving average of `params` where the recipe keeps one, else an empty dict.
      failed: () bool, a loss or gradient was not finite; the trial is not trained any further.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    optimizer: Any
    average: Any
    failed: jax.Array


@flax.struct.dataclass
class Best:
    """Weights and selection metrics of the best epoch."""

    metric: jax.Array
    loss: jax.Array
    epoch: jax.Array
    params: Any
    batch_stats: Any


@flax.struct.dataclass
class TrialState:
    """A trial between two epochs: the content of a checkpoint.

    Attributes:
      epoch: () int32, epochs finished.
      learner: see Learner.
      best: see Best.
      plateau: state of the plateau schedule.
      scaler: stream -> {"mean", "deviation"}, fitted on the training part.
      active: () bool, False once the trial has stopped early or failed.
    """

    epoch: jax.Array
    learner: Learner
    best: Best
    plateau: Plateau
    scaler: Any
    active: jax.Array


@flax.struct.dataclass
class EpochMetrics:
    """Metrics of one epoch of one trial, a row of metrics.jsonl."""

    train_loss: jax.Array
    val_loss: jax.Array
    val_war: jax.Array
    val_uar: jax.Array
    learning_rate: jax.Array
    active: jax.Array
    failed: jax.Array


def trial_key(seed: jax.Array, purpose: str) -> jax.Array:
    """Random key of a trial for one purpose: "init", "order", "step" or "batches"."""
    return jax.random.fold_in(jax.random.key(seed), jnp.uint32(("init", "order", "step", "batches").index(purpose)))
