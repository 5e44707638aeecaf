"""The recipe of a program, and the inputs and state of a trial."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from avemo_jax.evaluation.metrics import SEGMENT_RULES, selectable_names
from avemo_jax.text import nearest
from avemo_jax.training.augment import Augmentation
from avemo_jax.training.dimensions import LOSSES, Ratings
from avemo_jax.training.optimizers import Hyper, Plateau, check_optimizer, check_schedule

STANDARDIZATIONS = ("features", "steps", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamRecipe:
    """The input of one stream to the network; fields and defaults are those of `config.streams.<name>`, except `key_index`.

    Attributes:
      name: name of the stream.
      key_index: position of the stream among all streams of the system. It selects the random key of the augmentation, which is so the same
        in stages that train the stream alone and together with others.
      standardize: z-scoring with statistics of the training part: "features", one mean and deviation a feature; "steps", one a feature and
        step, for views with steps that are no points in time; "none".
      num_cepstra: number of cepstral coefficients that the step computes from log-mel frames; 0 leaves the view unchanged.
      augmentation: augmentation of training examples.
    """

    name: str
    key_index: int
    standardize: str = "features"
    num_cepstra: int = 0
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

    def __post_init__(self):
        if self.standardize not in STANDARDIZATIONS:
            raise ValueError(f"streams.{self.name}.standardize must be one of {STANDARDIZATIONS}, got {self.standardize!r}")


def check_choices(
    *,
    optimizer: str,
    schedule: str,
    metric: str,
    segment_rule: str,
    dimension_loss: str = "ccc",
    num_classes: int = 2,
    num_dimensions: int = 0,
) -> None:
    """Check the words that a recipe is made of.

    Args:
      num_classes, num_dimensions: of the system, on which the metrics depend that it can be selected by; a single class has none.

    Raises:
      ValueError: one of them is unknown; the message lists the known ones.
    """
    check_optimizer(optimizer)
    check_schedule(schedule)
    for field, found, known in (
        ("protocol.metric", metric, selectable_names(of_classes=num_classes > 1, of_dimensions=num_dimensions > 0)),
        ("train.dimension_loss", dimension_loss, LOSSES),
        ("system.segment_rule", segment_rule, SEGMENT_RULES),
    ):
        if found not in known:
            raise ValueError(f"{field} must be one of {known}, got {found!r}{nearest(found, known)}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The values that trials of one compiled program share; another recipe needs another program.

    The fields are those of `config.train` and `config.protocol` with the same names, except:
      num_classes: K.
      num_clips: number of clips of the corpus, into which the probabilities of segments are averaged.
      streams: recipes of the network's streams, in order.
      frozen: paths in the parameter tree; the leaves below them are not trained.
      segment_rule: how the probabilities of a clip's segments are combined, see `evaluation.metrics.segment_share`.
      use_mixup: whether any trial uses mixup; with False it is not compiled.
      use_stream_dropout: whether any trial leaves out streams of training clips; with False it is not compiled.
      ema_decay: decay per step of the moving average of weights, which is then validated and stored; 0 uses the weights themselves.
      length_limits: length classes of the batches, see `lengths`; () has no length classes.
      num_dimensions: D, dimensions that are predicted beside the classes.
      keeps_last: keep the weights of the last epoch, whatever its metrics, so that no trial stops early.
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
    use_stream_dropout: bool = False
    ema_decay: float = 0.0
    length_limits: tuple[tuple[str, tuple[int, ...]], ...] = ()
    num_dimensions: int = 0
    dimension_loss: str = "ccc"
    dimension_weight: float = 1.0
    keeps_last: bool = False

    def __post_init__(self):
        for field in ("name", "key_index"):
            values = [getattr(stream, field) for stream in self.streams]
            if len(set(values)) != len(values) or not values:
                raise ValueError(f"expected one stream or more, each with a {field} of its own, got {values}")
        check_choices(
            optimizer=self.optimizer,
            schedule=self.schedule,
            metric=self.metric,
            segment_rule=self.segment_rule,
            dimension_loss=self.dimension_loss,
            num_classes=self.num_classes,
            num_dimensions=self.num_dimensions,
        )


@flax.struct.dataclass
class TrialInputs:
    """The inputs in which trials of one program differ; they are stacked along a leading trial axis.

    Attributes:
      hyper: hyper-parameters.
      train_index: (M,) int32, examples of the training part; entries from `train_count` on are padding.
      train_count: () int32.
      select_index: (V,) int32, examples of the selection part; entries from `select_count` on are padding.
      select_count: () int32.
      ratings: of all clips, z-scored with the training part; None where no dimensions are predicted.
    """

    hyper: Hyper
    train_index: jax.Array
    train_count: jax.Array
    select_index: jax.Array
    select_count: jax.Array
    ratings: Ratings | None = None


@flax.struct.dataclass
class Learner:
    """The variables that a training step changes.

    Attributes:
      step: () int32, number of updates so far.
      params, batch_stats, optimizer: variables of the network and of the optimiser.
      average: moving average of `params` where the recipe has an `ema_decay`, else an empty dict.
      failed: () bool, a loss or gradient was not finite; the trial is not trained any further.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    optimizer: Any
    average: Any
    failed: jax.Array

    @property
    def validated_variables(self) -> dict[str, Any]:
        """Variables that are validated and stored: with the moving average of weights where there is one."""
        return {"params": self.average or self.params, "batch_stats": self.batch_stats}


@flax.struct.dataclass
class Best:
    """Weights and selection metrics of the best epoch."""

    metric: jax.Array
    loss: jax.Array
    epoch: jax.Array
    params: Any
    batch_stats: Any

    @property
    def variables(self) -> dict[str, Any]:
        """Variables of the network, as its `apply` takes them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


@flax.struct.dataclass
class TrialState:
    """A trial between two epochs: the content of a checkpoint.

    Attributes:
      epoch: () int32, number of finished epochs.
      learner: see Learner.
      best: see Best.
      plateau: state of the plateau schedule.
      scaler: stream -> {"mean", "deviation"}, fitted on the training part, and where there are dimensions "rating" -> that of ratings.
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
    """Metrics of one epoch of one trial, a row of metrics.jsonl; `val_ccc` is None where no dimensions are predicted.

    `train_war` and `train_uar` are of the predictions that the training steps make: with dropout and augmentation, of examples, by weights
    that change from step to step.
    """

    train_loss: jax.Array
    train_war: jax.Array
    train_uar: jax.Array
    val_loss: jax.Array
    val_war: jax.Array
    val_uar: jax.Array
    learning_rate: jax.Array
    active: jax.Array
    failed: jax.Array
    val_ccc: jax.Array | None = None


def trial_key(seed: jax.Array, purpose: str) -> jax.Array:
    """Return the random key of a trial for one purpose: "init", "order", "step", "batches" or "streams"."""
    return jax.random.fold_in(jax.random.key(seed), jnp.uint32(("init", "order", "step", "batches", "streams").index(purpose)))
