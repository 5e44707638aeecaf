"""The config of training: the recipe, late fusion, sweeps and adaptive search."""

from __future__ import annotations

import dataclasses

# Hyper-parameters that are arrays over trials: sweeping them never recompiles.
SWEPT = ("learning_rate", "momentum", "weight_decay", "dropout_rate", "label_smoothing", "mixup_alpha")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """The training recipe.

    Attributes:
      stages: in order. The name of a stream trains it alone; "fused" trains all streams, from where the stages before it ended; several
        names, "image+video", train these streams together in the same way; "stacked" trains on clips that the stages before it have not
        seen; "late" joins their predictions by a rule; "svm" is the classical system, alone.
      freeze_earlier: "fused" leaves the weights that it takes over as they are.
      overrides: what one stage does differently, e.g. ("audio:train.num_epochs=100", "audio:train.batch_size=512").
      seeds: of weights, order and dropout; each is a run of the whole cross-validation.
      num_epochs: epochs of each stage.
      batch_size: examples a step.
      optimizer: "adam" (decoupled weight decay), "adamax" or "sgd".
      learning_rate: at its highest.
      momentum: momentum of SGD, first decay of Adam.
      weight_decay: decoupled.
      dropout_rate: in [0, 1).
      label_smoothing: share of the target that is spread over all classes.
      mixup_alpha: of mixup's beta distribution; 0 turns mixup off.
      clip_norm: largest global norm of a gradient; recurrent networks need one.
      schedule: "constant", "cosine" or "plateau".
      warmup_epochs: epochs over which the learning rate rises from 0.
      plateau_patience_epochs: "plateau": epochs without a better validation loss before the rate falls.
      plateau_factor: "plateau": what the rate is multiplied by.
      early_stop_patience_epochs: epochs without a better selection metric before a trial stops; 0 trains all epochs.
      ema_decay: decay a step of the moving average of weights that is validated and stored; 0 uses the weights themselves.
      length_buckets: classes of length that batches are made of, see docs/performance.md; 1 mixes all lengths, as published.
      tensorboard: write curves through clu, where TensorFlow is installed.
      checkpoint_every_epochs: epochs between checkpoints.
      keep_checkpoints: number of newest checkpoints that stay on disk.
    """

    stages: tuple[str, ...] = ()
    freeze_earlier: bool = False
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    num_epochs: int = 60
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    dropout_rate: float = 0.3
    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    clip_norm: float = 5.0
    schedule: str = "constant"
    warmup_epochs: int = 0
    plateau_patience_epochs: int = 5
    plateau_factor: float = 0.5
    early_stop_patience_epochs: int = 0
    ema_decay: float = 0.0
    length_buckets: int = 1
    tensorboard: bool = True
    checkpoint_every_epochs: int = 10
    keep_checkpoints: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Late:
    """Late fusion, the stage "late".

    Attributes:
      rule: "weighted_product" (system A1) or "logistic" (stacking without held-out clips, beside system D's).
      num_inner_folds: parts of the training part; each is predicted by networks that have not seen it, and the rule is fitted on that.
    """

    rule: str = "weighted_product"
    num_inner_folds: int = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Values to try, e.g. learning_rate=(1e-3, 3e-3); () takes the single value of `train`.

    Attributes:
      learning_rate: values to try.
      momentum: values to try.
      weight_decay: values to try.
      dropout_rate: values to try.
      label_smoothing: values to try.
      mixup_alpha: values to try.
      fields: fields that change the compiled program, e.g. ("streams.audio.context_units=(512,)|(256,256,256)",
        "streams.audio.pooling=attention|last").
    """

    learning_rate: tuple[float, ...] = ()
    momentum: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()
    dropout_rate: tuple[float, ...] = ()
    label_smoothing: tuple[float, ...] = ()
    mixup_alpha: tuple[float, ...] = ()
    fields: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """Adaptive search in place of a sweep, see docs/sweeps.md.

    Attributes:
      space: what is searched, e.g. ("learning_rate=1e-4..1e-2 log", "dropout_rate=0.1..0.6", "streams.audio.pooling=attention|last"); ()
        searches nothing.
      num_settings: settings of each fold. A fold has a search of its own, judged by its own validation part alone.
      batch: settings of each fold that are proposed and trained together; larger batches learn less from each other.
      sampler: "tpe" (Optuna's; random until 10 settings are finished) or "random".
      seed: of the sampler.
      storage: "" is search.db in the work directory; for many processes a server, postgresql+psycopg://user@host/database.
      name: of the search in its storage; "" is <corpus>-<system>-<protocol>.
      lease_s: a process without a heartbeat for so many seconds loses its settings to others.
    """

    space: tuple[str, ...] = ()
    num_settings: int = 32
    batch: int = 8
    sampler: str = "tpe"
    seed: int = 0
    storage: str = ""
    name: str = ""
    lease_s: float = 60.0
