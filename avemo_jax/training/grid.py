"""The grid: all trials of a run, and the loop that trains a batch of them.

Resume beats warm start beats scratch: a stage goes on from its newest whole checkpoint; where there is none it starts from the
weights of earlier stages; where there are none of those either, from random ones.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.preemption import Preempted, Stop
from avemo_jax.training.execution import TrialProgram
from avemo_jax.training.optimizers import Hyper
from avemo_jax.training.state import EpochMetrics, TrialInputs, TrialState
from avemo_jax.training.stream_program import StreamProgram

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One (fold, seed, hyper-parameters).

    Attributes:
      number: position in the grid.
      fold: index of the fold.
      seed: of weights, order, dropout.
      setting: index of the hyper-parameter setting, 0 where nothing is swept.
      hyper: hyper-parameter name -> value.
      fields: (config field, value) of what is swept and changes the program; trials of equal fields form a batch.
      inner: index of the inner fold, a part of the training part that this trial is to predict unseen; -1 trains on all of it.
    """

    number: int
    fold: int
    seed: int
    setting: int
    hyper: Mapping[str, float]
    fields: tuple[tuple[str, Any], ...] = ()
    inner: int = -1


@dataclasses.dataclass(frozen=True)
class Stage:
    """One round of training.

    Attributes:
      name: also the name of its checkpoints.
      streams: what it sees.
      takes_over: earlier stages, the stream of each of which this one starts from.
      frozen: paths in the parameter tree, what lies below which it leaves as it is.
      part: what it learns from: the "train" part of a fold; "stack", most of the validation part, which no earlier stage was trained on;
        "inner", predictions of the training part by trials that did not see it (no network); "svm", the train part (no network either).
    """

    name: str
    streams: tuple[str, ...]
    takes_over: tuple[str, ...] = ()
    frozen: tuple[tuple[str, ...], ...] = ()
    part: str = "train"


STAGES = ("audio", "video", "fused", "stacked", "late", "svm")
# What earlier stages hand over where there are none, see `warm_start`.
NOT_WARM: Mapping[str, Any] = {"params": {}, "batch_stats": {}}


def make_stages(names: Sequence[str], streams: Sequence[str], *, freeze_earlier: bool) -> tuple[Stage, ...]:
    """Turn `config.train.stages` into stages.

    A stage named as a stream trains it alone. "fused" trains all streams, from where the stages before it ended. "stacked" does so on
    clips that they have not been trained on, and leaves them as they are (document D). "late" joins the predictions of the stages before
    it by a rule that is fitted on their predictions of clips that they have not seen (system A1). "svm" stands alone: the classical system
    on the one stream there is.

    Raises:
      ValueError: a name that is none of these; a stream the system lacks; a joining stage with one stream, without the stages that it
        joins, or not in the last place.
    """
    stages: list[Stage] = []
    for name in names:
        if name in ("audio", "video"):
            if name not in streams:
                raise ValueError(f"train.stages names {name!r}, but system.streams is {tuple(streams)}")
            stages.append(Stage(name, (name,)))
        elif name == "svm":
            if len(streams) != 1 or len(names) != 1:
                raise ValueError(
                    f"the stage 'svm' stands alone, on one stream; got train.stages {tuple(names)} and streams {tuple(streams)}"
                )
            stages.append(Stage(name, tuple(streams), part="svm"))
        elif name in STAGES:
            if len(streams) < 2:
                raise ValueError(f"train.stages has {name!r}, but system.streams is {tuple(streams)}; give it two streams")
            earlier = tuple(stage.name for stage in stages)
            if name != "fused" and set(earlier) != set(streams):
                raise ValueError(f"train.stages has {name!r}, which joins a stage for each of {tuple(streams)}; before it are {earlier}")
            frozen = tuple((one,) for one in earlier) if freeze_earlier or name == "stacked" else ()
            stages.append(Stage(name, tuple(streams), earlier, frozen, {"stacked": "stack", "late": "inner"}.get(name, "train")))
        else:
            raise ValueError(f"train.stages holds {name!r}; expected one of {STAGES}")
    if len({stage.name for stage in stages}) != len(stages) or not stages:
        raise ValueError(f"train.stages must name at least one stage and none twice, got {tuple(names)}")
    if set(stages[-1].streams) != set(streams) or any(set(one.streams) == set(streams) for one in stages[:-1]):
        raise ValueError(f"the last of train.stages {tuple(names)}, and no other, uses all of system.streams {tuple(streams)}")
    return tuple(stages)


def make_trials(
    *,
    num_folds: int,
    seeds: Sequence[int],
    hyper: Mapping[str, float],
    sweep: Mapping[str, Sequence[float]],
    fields: Mapping[str, Sequence[Any]] | None = None,
) -> list[Trial]:
    """All combinations of folds, seeds and swept values; folds turn fastest, then seeds, then numbers, then fields.

    Args:
      hyper: value of each hyper-parameter where it is not swept.
      sweep: hyper-parameter -> values to try, none where it is not swept.
      fields: config field -> values to try; these change the program.

    Raises:
      ValueError: no seed, or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"train.seeds must name at least one seed and none twice, got {tuple(seeds)}")
    axes = {name: values for name, values in sweep.items() if values}
    numbers = [dict(hyper) | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    changed = [tuple(zip(fields or (), values, strict=True)) for values in itertools.product(*(fields or {}).values())]
    settings = enumerate(itertools.product(changed, numbers))
    return [
        Trial(number, fold, seed, setting, values, pairs)
        for number, ((setting, (pairs, values)), seed, fold) in enumerate(itertools.product(settings, seeds, range(num_folds)))
    ]


def with_inner_trials(trials: Sequence[Trial], num_inner: int) -> list[Trial]:
    """The trials, and after them for each of them one trial an inner fold."""
    inner = [dataclasses.replace(trial, inner=index) for trial in trials for index in range(num_inner)]
    return [*trials, *(dataclasses.replace(trial, number=len(trials) + offset) for offset, trial in enumerate(inner))]


def batches_of(trials: Sequence[Trial]) -> list[list[int]]:
    """Positions of the trials that one compiled program trains together: those of equal fields, in order."""
    batches: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for position, trial in enumerate(trials):
        batches.setdefault(trial.fields, []).append(position)
    return list(batches.values())


def make_inputs(trials: Sequence[Trial], parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[TrialInputs]:
    """Give each trial its hyper-parameters and its rows.

    Args:
      parts: (training rows, selection rows) of each trial; they are padded to equal length.
    """
    train_size, select_size = (max(len(part[which]) for part in parts) for which in (0, 1))

    def padded(rows, size):
        return np.pad(rows, (0, size - len(rows))).astype(np.int32)

    inputs = []
    for trial, (train, select) in zip(trials, parts, strict=True):
        values: dict[str, Any] = {name: np.float32(value) for name, value in trial.hyper.items()}
        inputs.append(
            TrialInputs(
                hyper=Hyper(**values, seed=np.int32(trial.seed)),  # type: ignore[arg-type]  # on the host until `lanes`
                train_index=padded(train, train_size),
                train_count=np.int32(len(train)),  # type: ignore[arg-type]
                select_index=padded(select, select_size),
                select_count=np.int32(len(select)),  # type: ignore[arg-type]
                fold=np.int32(trial.fold),  # type: ignore[arg-type]
            )
        )
    return inputs


def train_batch(
    *,
    stage: Stage,
    trials: Sequence[Trial],
    inputs: Sequence[TrialInputs],
    warm: Sequence[Any],
    program: TrialProgram | StreamProgram,
    num_epochs: int,
    checkpoints: Checkpoints,
    checkpoint_every_epochs: int,
    write_rows: Callable[[list[dict[str, Any]]], None],
    resume_rows: Callable[[int], None],
    stop: Stop,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[TrialState]:
    """Train a batch of trials to the end of a stage.

    Args:
      warm: a trial's weights from earlier stages, as `steps.init_trial` takes them.
      write_rows: takes rows of metrics.jsonl.
      resume_rows: called once with the number of epochs that a checkpoint holds; rows beyond them are to be forgotten.
      stop: read between epochs; once set, the state is saved and Preempted raised.
      progress: called with epochs done, epochs in all, and a line for people.

    Returns:
      One state a trial, as numpy arrays, with its best and last weights.

    Raises:
      Preempted: a stop was asked for; the state is saved.
      ValueError: checkpoint_every_epochs is below 1.
    """
    if checkpoint_every_epochs < 1:
        raise ValueError(f"train.checkpoint_every_epochs must be at least 1, got {checkpoint_every_epochs}")
    restored = checkpoints.restore([program.trial_shape(inputs[0], warm[0])] * len(trials))
    lanes = program.lanes(inputs)
    if restored is None:
        done, states = 0, program.init(lanes, program.lanes(warm))
    else:
        done, states = restored[0], program.lanes(restored[1])
        LOG.info("stage %s: resuming %d trials after epoch %d of %d", stage.name, len(trials), done, num_epochs)
    resume_rows(done)
    failed: set[int] = set()
    started = time.perf_counter()

    def record(epoch: int, metrics: Any) -> bool:
        """Write the rows of an epoch; return whether any trial still learns."""
        nonlocal started
        records = program.trials(metrics, len(trials))
        now = time.perf_counter()
        rows = [
            _row(stage, trial, epoch, one, (now - started) / len(trials)) for trial, one in zip(trials, records, strict=True) if one.active
        ]
        started = now
        write_rows(rows)
        for trial, one in zip(trials, records, strict=True):
            if one.failed and trial.number not in failed:
                failed.add(trial.number)
                LOG.warning(
                    "stage %s, trial %d (fold %d, seed %d): loss or gradient is not finite in epoch %d; the trial stops with its best "
                    "weights so far, the others go on. A smaller train.learning_rate or train.clip_norm helps.",
                    *(stage.name, trial.number, trial.fold, trial.seed, epoch),
                )
        if rows:
            uar = np.mean([row["val_uar"] for row in rows])
            progress(epoch + 1, num_epochs, f"{len(rows)} of {len(trials)} trials, validation UAR {uar:.3f}")
        return any(one.active for one in records)

    # Metrics of an epoch are read after the next one is dispatched, so that the devices never wait for the host.
    pending: tuple[int, Any] | None = None
    for epoch in range(done, num_epochs):
        states, metrics = program.epoch(lanes, states)
        learning = pending is None or record(*pending)
        pending = (epoch, metrics)
        last = epoch + 1 == num_epochs or not learning
        stopped_by = stop.signal_number  # read once: a signal that comes while the state is saved waits for the next epoch
        if last or stopped_by is not None or (epoch + 1) % checkpoint_every_epochs == 0:
            learning = record(*pending) and learning
            pending = None
            checkpoints.save(num_epochs if last else epoch + 1, program.trials(states, len(trials)))
        if stopped_by is not None:
            raise Preempted(stopped_by)
        if last:
            break
    return program.trials(states, len(trials))


def warm_start(
    stage: Stage, finished: Mapping[str, Sequence[TrialState]], num_trials: int, published: Mapping[str, Any] | None = None
) -> list[Any]:
    """What each trial of a stage takes over: the best weights of the same trial of the earlier stages.

    Args:
      published: {"params": ..., "batch_stats": ...}, weights of encoders that are trained with the network, at their paths in its tree;
        a stage that takes a stream over has them from there.
    """
    mine = {
        kind: {stream: tree for stream, tree in trees.items() if stream in stage.streams and stream not in stage.takes_over}
        for kind, trees in (published or {}).items()
    }
    return [
        {
            "params": {name: finished[name][i].best.params for name in stage.takes_over},
            "batch_stats": {name: finished[name][i].best.batch_stats for name in stage.takes_over},
            **({"published": mine} if any(mine.values()) else {}),
        }
        for i in range(num_trials)
    ]


def _row(stage: Stage, trial: Trial, epoch: int, metrics: EpochMetrics, seconds: float) -> dict[str, Any]:
    values = jax.tree.map(float, dataclasses.asdict(metrics))

    def finite(name):
        return values[name] if np.isfinite(values[name]) else None

    return {
        "stage": stage.name,
        "epoch": epoch,
        "trial": trial.number,
        "fold": trial.fold,
        "seed": trial.seed,
        "setting": trial.setting,
        "inner": trial.inner,
        **{name: finite(name) for name in ("train_loss", "val_loss", "val_war", "val_uar", "learning_rate")},
        "failed": bool(metrics.failed),
        "seconds": round(seconds, 4),
    }
