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

from avemo_jax.training.checkpoints import Checkpoints
from avemo_jax.training.execution import TrialProgram
from avemo_jax.training.optimizers import Hyper
from avemo_jax.training.preemption import Preempted, StopRequest
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
    """

    number: int
    fold: int
    seed: int
    setting: int
    hyper: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One round of training.

    Attributes:
      name: also the name of its checkpoints.
      streams: what its network sees.
      takes_over: earlier stages, the stream of each of which this one starts from.
      frozen: top-level parameter keys that it leaves as they are.
    """

    name: str
    streams: tuple[str, ...]
    takes_over: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


def make_stages(names: Sequence[str], streams: Sequence[str], *, freeze_earlier: bool) -> tuple[Stage, ...]:
    """Turn `config.train.stages` into stages: a stage named as a stream trains it alone, "fused" trains all streams.

    Raises:
      ValueError: a name that is neither; a stream the system lacks; "fused" with one stream or not in the last place.
    """
    stages: list[Stage] = []
    for name in names:
        if name in ("audio", "video"):
            if name not in streams:
                raise ValueError(f"train.stages names {name!r}, but system.streams is {tuple(streams)}")
            stages.append(Stage(name, (name,)))
        elif name == "fused":
            if len(streams) < 2:
                raise ValueError(f"train.stages has 'fused', but system.streams is {tuple(streams)}; give it two streams")
            earlier = tuple(stage.name for stage in stages)
            stages.append(Stage(name, tuple(streams), earlier, earlier if freeze_earlier else ()))
        else:
            raise ValueError(f"train.stages holds {name!r}; expected 'audio', 'video' or 'fused'")
    if len({stage.name for stage in stages}) != len(stages) or not stages:
        raise ValueError(f"train.stages must name at least one stage and none twice, got {tuple(names)}")
    if set(stages[-1].streams) != set(streams):
        raise ValueError(f"the last of train.stages, {stages[-1].name!r}, does not use all of system.streams {tuple(streams)}")
    return tuple(stages)


def make_trials(*, num_folds: int, seeds: Sequence[int], hyper: Mapping[str, float], sweep: Mapping[str, Sequence[float]]) -> list[Trial]:
    """All combinations of folds, seeds and swept values; folds turn fastest.

    Raises:
      ValueError: no seed, or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"train.seeds must name at least one seed and none twice, got {tuple(seeds)}")
    axes = {name: values for name, values in sweep.items() if values}
    settings = [dict(hyper) | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    combinations = itertools.product(enumerate(settings), seeds, range(num_folds))
    return [Trial(number, fold, seed, setting, values) for number, ((setting, values), seed, fold) in enumerate(combinations)]


def make_inputs(trials: Sequence[Trial], parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[TrialInputs]:
    """Give each trial its hyper-parameters and the rows of its fold.

    Args:
      parts: (training rows, selection rows) of each fold; they are padded to equal length over the folds.
    """
    train_size, select_size = (max(len(part[which]) for part in parts) for which in (0, 1))

    def padded(rows, size):
        return np.pad(rows, (0, size - len(rows))).astype(np.int32)

    inputs = []
    for trial in trials:
        train, select = parts[trial.fold]
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
    stop: StopRequest,
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
            progress(epoch + 1, num_epochs, f"{stage.name}: {len(rows)} of {len(trials)} trials, validation UAR {uar:.3f}")
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


def warm_start(stage: Stage, finished: Mapping[str, Sequence[TrialState]], num_trials: int) -> list[Any]:
    """What each trial of a stage takes over: the best weights of the same trial of the earlier stages."""
    return [
        {
            "params": {name: finished[name][i].best.params for name in stage.takes_over},
            "batch_stats": {name: finished[name][i].best.batch_stats for name in stage.takes_over},
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
        **{name: finite(name) for name in ("train_loss", "val_loss", "val_war", "val_uar", "learning_rate")},
        "failed": bool(metrics.failed),
        "seconds": round(seconds, 4),
    }
