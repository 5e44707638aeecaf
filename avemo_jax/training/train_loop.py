"""The training loop of a trial group, with checkpoints, rows of metrics and stops.

Resuming comes before a warm start, and a warm start before a start from scratch: a stage continues from its newest intact checkpoint;
without one it starts from the weights of earlier stages (`stage.warm_start`); without those from random weights.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.preemption import Preempted, Stop
from avemo_jax.runs.profiling import Profiler, no_profile
from avemo_jax.runs.time_spent import phase
from avemo_jax.training.programs import Program
from avemo_jax.training.stage import Stage
from avemo_jax.training.state import EpochMetrics, TrialInputs, TrialState
from avemo_jax.training.trials import Trial

LOG = logging.getLogger(__name__)


def train_group(
    *,
    stage: Stage,
    trials: Sequence[Trial],
    inputs: Sequence[TrialInputs],
    warm: Sequence[Any],
    program: Program,
    num_epochs: int,
    checkpoints: Checkpoints,
    checkpoint_every_epochs: int,
    write_rows: Callable[[list[dict[str, Any]]], None],
    resume_rows: Callable[[int], None],
    stop: Stop,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    profiler: Profiler | None = None,
) -> list[TrialState]:
    """Train a group of trials of one compiled program to the end of a stage; return their states.

    Args:
      warm: weights of earlier stages for each trial, in the form of `steps.init_trial`.
      write_rows: called with new rows of metrics.jsonl.
      resume_rows: called once with the number of epochs in the restored checkpoint, to delete later rows.
      stop: stop request, read between epochs; once it is set, the state is saved and Preempted raised.
      progress: called with the number of finished epochs, the number of all epochs, and a line of text.
      profiler: profiles some of the epochs that are trained now.

    Returns:
      One state a trial, as numpy arrays, with its best and last weights.

    Raises:
      Preempted: the process was asked to stop; the state is saved.
      ValueError: checkpoint_every_epochs is below 1.
    """
    profiler = profiler or no_profile()
    if checkpoint_every_epochs < 1:
        raise ValueError(f"train.checkpoint_every_epochs must be at least 1, got {checkpoint_every_epochs}")
    with phase("restore"):
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
        """Write the rows of an epoch; return whether any trial is still trained."""
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
                    "weights so far, and the others continue. Reduce --config.train.learning_rate or --config.train.clip_norm.",
                    *(stage.name, trial.number, trial.fold, trial.seed, epoch),
                )
        if rows:
            named = "UAR" if rows[0]["val_uar"] is not None else "CCC"
            # The CCC of a failed trial may be no number.
            found = [value for row in rows if (value := row[f"val_{named.lower()}"]) is not None]
            mean = f"{np.mean(found):.3f}" if found else "-"
            progress(epoch + 1, num_epochs, f"{len(rows)} of {len(trials)} trials, validation {named} {mean}")
        return any(one.active for one in records)

    # The metrics of an epoch are read after the next epoch is dispatched, so that the devices never wait for the host.
    pending: tuple[int, Any] | None = None
    for epoch in range(done, num_epochs):
        profiler.before(epoch - done, num_epochs - done)
        states, metrics = program.epoch(lanes, states)
        profiler.after(program.num_steps, metrics)
        learning = pending is None or record(*pending)
        pending = (epoch, metrics)
        last = epoch + 1 == num_epochs or not learning
        stopped_by = stop.signal_number  # read only once: a signal that arrives while the state is saved counts for the next epoch
        if last or stopped_by is not None or (epoch + 1) % checkpoint_every_epochs == 0:
            learning = record(*pending) and learning
            pending = None
            with phase("save"):  # the metrics have been read, so nothing is left to compute
                checkpoints.save(num_epochs if last else epoch + 1, program.trials(states, len(trials)))
        if stopped_by is not None:
            raise Preempted(stopped_by)
        if last:
            break
    return program.trials(states, len(trials))


def _row(stage: Stage, trial: Trial, epoch: int, metrics: EpochMetrics, seconds: float) -> dict[str, Any]:
    values = {name: float(value) for name, value in dataclasses.asdict(metrics).items() if value is not None}

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
        **{name: finite(name) for name in values if name not in ("active", "failed")},
        "failed": bool(metrics.failed),
        "seconds": round(seconds, 4),
    }
