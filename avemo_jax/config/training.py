"""The config of training: the recipe, late fusion, sweeps and adaptive search."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from avemo_jax.bounds import COUNT, COUNT_OR_NONE, SEED, Bounds, bounds_of

# A recipe and a sweep have the same bounds, and a search those of the recipe.
LEARNING_RATE = Bounds(above=0, most=1000)
MOMENTUM = Bounds(least=0, below=1)
WEIGHT_DECAY = Bounds(least=0, most=1000)
DROPOUT_RATE = Bounds(least=0, below=1)  # a rate of 1 would drop everything
LABEL_SMOOTHING = Bounds(least=0, below=1)  # at 1 the target does not depend on the label
MIXUP_ALPHA = Bounds(least=0, most=1000)
STREAM_DROPOUT_RATE = Bounds(least=0, below=1)

# Hyper-parameters that are arrays over trials: sweeping them never recompiles.
SWEPT = ("learning_rate", "momentum", "weight_decay", "dropout_rate", "label_smoothing", "mixup_alpha", "stream_dropout_rate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """The training recipe.

    Attributes:
      stages: stages of training, in order: the name of a stream trains that stream alone; "fused" trains all streams, starting from the
        weights of the earlier stages; several names, "image+video", train these streams together in the same way; "stacked" trains the
        fusion on clips that the earlier stages were not trained on; "late" joins the predictions of the earlier stages by a fitted rule;
        "svm", "linear" and "kernel" are the classical system, as the only stage: a support vector machine, or ridge regression of the
        classes without or with a kernel.
      copies: degraded copies of the training clips that are trained on beside them, such as ("speed:0.9", "speed:1.1"), of the kinds of
        robustness.conditions; for the stages "svm", "linear" and "kernel". Validation and test clips have none.
      freeze_earlier: freeze the weights that the stage "fused" takes over from earlier stages.
      overrides: fields that differ in one stage, e.g. ("audio:train.num_epochs=100", "audio:train.batch_size=512").
      seeds: random seeds of weights, order of examples and dropout; the whole cross-validation is run once for each.
      num_epochs: epochs of each stage.
      batch_size: examples in a training step.
      optimizer: "adam" (with decoupled weight decay), "adamax" or "sgd".
      learning_rate: learning rate after the warm-up, which is its highest value.
      momentum: momentum of SGD, or first decay rate of Adam and Adamax.
      weight_decay: decoupled weight decay.
      dropout_rate: share of the units that dropout zeroes, in [0, 1).
      label_smoothing: share of the target that is spread evenly over all classes.
      mixup_alpha: parameter of mixup's beta distribution; 0 turns mixup off.
      stream_dropout_rate: in stages of several streams, probability with which each stream of a training clip is left out as a whole, so
        that the system also predicts clips that lack a stream; at least one stream that the clip has always stays. 0 leaves none out.
      dimension_loss: loss of `corpus.dimensions`: "ccc", one minus the concordance correlation coefficient of a batch, or "mse", the mean
        squared error; of ratings that are z-scored with statistics of the fold's training part alone, averaged over the dimensions.
      dimension_weight: weight of the loss of `corpus.dimensions` beside that of the classes, which has 1.
      clip_norm: largest global norm of the gradient, above which it is scaled down.
      schedule: schedule of the learning rate after the warm-up: "constant", "cosine" or "plateau".
      warmup_epochs: epochs over which the learning rate rises linearly from 0.
      plateau_patience_epochs: epochs without a better validation loss before the schedule "plateau" lowers the learning rate.
      plateau_factor: factor by which the schedule "plateau" multiplies the learning rate.
      early_stop_patience_epochs: epochs without a better selection metric before a trial stops; 0 trains all epochs.
      ema_decay: decay per step of the moving average of weights, which is then validated and stored; 0 uses the weights themselves.
      length_buckets: number of length classes; each batch holds clips of one class, see docs/performance.md. 1 mixes all lengths, as
        published.
      tensorboard: write training curves for TensorBoard.
      trackers: services that get the training curves too, of "wandb" (Weights & Biases) and "mlflow"; both write into the run directory
        unless their own environment variables name a server.
      checkpoint_every_epochs: epochs between checkpoints.
      keep_checkpoints: number of newest checkpoints that stay on disk.
    """

    stages: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    freeze_earlier: bool = False
    overrides: tuple[str, ...] = ()
    seeds: Annotated[tuple[int, ...], SEED] = (0,)
    num_epochs: Annotated[int, COUNT] = 60
    batch_size: Annotated[int, Bounds(least=1, most=65536)] = 32
    optimizer: str = "adam"
    learning_rate: Annotated[float, LEARNING_RATE] = 1e-3
    momentum: Annotated[float, MOMENTUM] = 0.9
    weight_decay: Annotated[float, WEIGHT_DECAY] = 0.0
    dropout_rate: Annotated[float, DROPOUT_RATE] = 0.3
    label_smoothing: Annotated[float, LABEL_SMOOTHING] = 0.0
    mixup_alpha: Annotated[float, MIXUP_ALPHA] = 0.0
    stream_dropout_rate: Annotated[float, STREAM_DROPOUT_RATE] = 0.0
    dimension_loss: str = "ccc"
    dimension_weight: Annotated[float, Bounds(least=0, most=1e6)] = 1.0
    clip_norm: Annotated[float, Bounds(above=0, most=1e6)] = 5.0
    schedule: str = "constant"
    warmup_epochs: Annotated[int, COUNT_OR_NONE] = 0
    plateau_patience_epochs: Annotated[int, COUNT_OR_NONE] = 5
    plateau_factor: Annotated[float, Bounds(above=0, most=1)] = 0.5
    early_stop_patience_epochs: Annotated[int, COUNT_OR_NONE] = 0
    ema_decay: Annotated[float, Bounds(least=0, below=1)] = 0.0
    length_buckets: Annotated[int, Bounds(least=1, most=1000)] = 1
    tensorboard: bool = True
    trackers: tuple[str, ...] = ()
    checkpoint_every_epochs: Annotated[int, COUNT] = 10
    keep_checkpoints: Annotated[int, Bounds(least=1, most=1000)] = 2


def swept_bounds() -> dict[str, Bounds]:
    """Return hyper-parameter -> its bounds, which a sweep and a search have too."""
    return {name: bounds_of(Train)[name] for name in SWEPT}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Late:
    """Late fusion, the stage "late".

    Attributes:
      rule: rule that joins the predictions: "weighted_product" (system A1) or "logistic" (logistic regression, an alternative to system
        D's stacking that needs no held-out clips).
      num_inner_folds: number of inner folds of the training part; the rule is fitted on predictions of each by networks that were not
        trained on it.
    """

    rule: str = "weighted_product"
    num_inner_folds: Annotated[int, Bounds(least=2, most=1000)] = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Values that a sweep tries, e.g. learning_rate=(1e-3, 3e-3); with () a number has the single value of `train`.

    Attributes:
      learning_rate: values of train.learning_rate to try; () takes its single value.
      momentum: values of train.momentum to try; () takes its single value.
      weight_decay: values of train.weight_decay to try; () takes its single value.
      dropout_rate: values of train.dropout_rate to try; () takes its single value.
      label_smoothing: values of train.label_smoothing to try; () takes its single value.
      mixup_alpha: values of train.mixup_alpha to try; () takes its single value.
      stream_dropout_rate: values of train.stream_dropout_rate to try; () takes its single value.
      fields: other fields and their values to try, each value compiled as a program of its own, e.g.
        ("streams.audio.context_units=(512,)|(256,256,256)", "streams.audio.pooling=attention|last"). Fields joined by "+" have the same
        value in every setting: "streams.audio.batch_norm+streams.audio.context_batch_norm=False|True".
      one_at_a_time: in place of all combinations, the first of all values together, and each other value with the first ones of the rest:
        an ablation, in which every setting differs from the first in one thing.
    """

    learning_rate: Annotated[tuple[float, ...], LEARNING_RATE] = ()
    momentum: Annotated[tuple[float, ...], MOMENTUM] = ()
    weight_decay: Annotated[tuple[float, ...], WEIGHT_DECAY] = ()
    dropout_rate: Annotated[tuple[float, ...], DROPOUT_RATE] = ()
    label_smoothing: Annotated[tuple[float, ...], LABEL_SMOOTHING] = ()
    mixup_alpha: Annotated[tuple[float, ...], MIXUP_ALPHA] = ()
    stream_dropout_rate: Annotated[tuple[float, ...], STREAM_DROPOUT_RATE] = ()
    fields: tuple[str, ...] = ()
    one_at_a_time: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Adaptive search in place of a sweep, see docs/sweeps.md.

    Attributes:
      space: fields that are searched and their ranges, e.g. ("learning_rate=1e-4..1e-2 log", "dropout_rate=0.1..0.6",
        "streams.audio.pooling=attention|last"); () searches nothing.
      num_settings: number of settings that the search tries in each fold. Each fold is searched by itself, on its own selection part.
      batch: number of settings of each fold that are proposed and trained together; with larger batches fewer proposals can use earlier
        results.
      sampler: sampler of settings: "tpe" (Optuna's; random until 10 settings are finished) or "random".
      seed: random seed of the sampler.
      storage: database of the search: "" is search.db in the run directory; several processes need a server,
        postgresql+psycopg://user@host/database.
      name: name of the search in its storage; "" is <corpus>-<system>-<protocol>.
      lease_s: seconds without a heartbeat after which the settings of a process are given to other processes.
    """

    space: tuple[str, ...] = ()
    num_settings: Annotated[int, Bounds(least=1, most=100_000)] = 32
    batch: Annotated[int, Bounds(least=1, most=10_000)] = 8
    sampler: str = "tpe"
    seed: Annotated[int, SEED] = 0
    storage: str = ""
    name: str = ""
    lease_s: Annotated[float, Bounds(above=0, most=86400)] = 60.0
