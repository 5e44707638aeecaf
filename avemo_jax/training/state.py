"""What a trial is made of while it trains: its inputs, its recipe, its state."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from avemo_jax.evaluation.metrics import SEGMENT_RULES, selectable_names
from avemo_jax.training.augment import Augmentation
from avemo_jax.training.optimizers import Hyper, Plateau


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What trials of one compiled program share; anything here that changes starts another program.

    The fields are those of `config.train` and `config.protocol` by the same names, but for:
      num_classes: K.
      num_clips: clips in the corpus; posteriors of segments are averaged into this many rows.
      standardized: streams that are z-scored with statistics of the training part.
      standardized_by_step: those of them whose steps have statistics of their own.
      frozen: paths in the parameter tree, what lies below which this stage leaves as it is.
      segment_rule: how what is said of a clip's segments becomes what is said of the clip, see `evaluation.metrics.segment_share`.
      use_mixup: whether any trial mixes examples; False leaves the code out.
      ema_decay: decay per step of the moving average of weights that is validated and kept; 0 keeps the weights themselves.
      length_limits: classes of length that batches are made of, see `lengths`; () makes no difference between long and short.
      num_cepstra: coefficients that the step takes of an audio view of log-mel frames; 0 uses the view as it is.
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
    standardized: tuple[str, ...]
    standardized_by_step: tuple[str, ...] = ()
    frozen: tuple[tuple[str, ...], ...] = ()
    segment_rule: str = "mean"
    use_mixup: bool = False
    ema_decay: float = 0.0
    length_limits: tuple[tuple[str, tuple[int, ...]], ...] = ()
    num_cepstra: int = 0
    audio_augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    video_augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

    def __post_init__(self):
        if self.metric not in selectable_names():
            raise ValueError(f"protocol.metric must be one of {selectable_names()}, got {self.metric!r}")
        if self.segment_rule not in SEGMENT_RULES:
            raise ValueError(f"system.segment_rule must be one of {SEGMENT_RULES}, got {self.segment_rule!r}")
        for name in ("num_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name} must be at least 1, got {getattr(self, name)}")


@flax.struct.dataclass
class TrialInputs:
    """What tells one trial from another; the engine stacks them along a leading trial axis.

    Attributes:
      hyper: hyper-parameters.
      train_index: (M,) int32, examples of the training part; entries from `train_count` on are padding.
      train_count: () int32.
      select_index: (V,) int32, examples of the part that selects epochs; entries from `select_count` on are padding.
      select_count: () int32.
      fold: () int32, for the record alone.
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
      failed: () bool, a loss or gradient was not finite; the trial stands still from there on.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    optimizer: Any
    average: Any
    failed: jax.Array


@flax.struct.dataclass
class Best:
    """Weights of the epoch that the selection part liked best, and what it said."""

    metric: jax.Array
    loss: jax.Array
    epoch: jax.Array
    params: Any
    batch_stats: Any


@flax.struct.dataclass
class TrialState:
    """A trial between two epochs; everything that a checkpoint has to hold.

    Attributes:
      epoch: () int32, epochs finished.
      learner: see Learner.
      best: see Best.
      plateau: where the plateau schedule stands.
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
    """What one epoch of one trial leaves in metrics.jsonl."""

    train_loss: jax.Array
    val_loss: jax.Array
    val_war: jax.Array
    val_uar: jax.Array
    learning_rate: jax.Array
    active: jax.Array
    failed: jax.Array


def stream_names(data: dict[str, jax.Array]) -> tuple[str, ...]:
    """Names of the streams that a batch or a resident set holds."""
    return tuple(name for name in ("audio", "video") if name in data)


def trial_key(seed: jax.Array, purpose: str) -> jax.Array:
    """Random key of a trial for one purpose: "init", "order", "step" or "batches"."""
    return jax.random.fold_in(jax.random.key(seed), jnp.uint32(("init", "order", "step", "batches").index(purpose)))
