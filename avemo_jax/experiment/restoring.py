"""Trained states of a run, read from its checkpoints; the blueprint defines the networks, so no corpus is needed."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.atomic import read_json
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.grid import Grid
from avemo_jax.experiment.trial_groups import TrialGroup, layout_of, stage_groups
from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.ownership import read_owned, read_owner, write_owned
from avemo_jax.runs.time_spent import phase
from avemo_jax.training.stage import Stage
from avemo_jax.training.state import TrialState
from avemo_jax.training.trials import Trial

LOG = logging.getLogger(__name__)
LATE_FILE = "late.json"


def restore_states(blueprint: Blueprint, grid: Grid, stage: Stage, workdir: Path, groups: Sequence[TrialGroup]) -> list[list[TrialState]]:
    """Return the states of each of these trial groups of a stage, one a trial, as numpy arrays.

    Raises:
      FileNotFoundError: training has not finished.
      DamagedCheckpoint: all checkpoints of the stage are damaged.
      ForeignCheckpoint: a checkpoint belongs to another run, stage, epoch or trials.
    """
    train = blueprint.experiment_of(stage).train
    trials = grid.trials_of(stage)
    found = []
    for group in groups:
        own = [trials[position] for position in group.positions]
        checkpoints = open_checkpoints(workdir, group.name, own, keep=train.keep_checkpoints)
        with phase("restore"):
            restored = checkpoints.restore([blueprint.state_shape(stage, own[0])] * len(own))
        if restored is None or restored[0] < train.num_epochs:
            done = "nothing" if restored is None else f"epoch {restored[0]} of {train.num_epochs}"
            raise FileNotFoundError(
                f"training in {workdir} has not finished (stage {stage.name}: {done}); run the same command with --mode=train"
            )
        found.append(restored[1])
    return found


def stored_groups(grid: Grid, stage: Stage, workdir: Path) -> list[TrialGroup]:
    """Return the trial groups of a stage, by the layout that was stored when the run began."""
    path = workdir / "run.json"
    return stage_groups(grid, stage, layout_of(read_json(path) if path.is_file() else {}))


def write_late(workdir: Path, rules: Sequence[Mapping[str, Any]]) -> None:
    """Write late.json: the fitted rule of each trial, and the run that it belongs to."""
    write_owned(workdir, LATE_FILE, {"trials": list(rules)})


def read_late(workdir: Path) -> list[Mapping[str, Any]]:
    """Return the fitted rule of each trial from late.json.

    Raises:
      FileNotFoundError: training has not finished.
      ForeignFile: the file is damaged or belongs to another run.
    """
    if not (workdir / LATE_FILE).is_file():
        raise FileNotFoundError(f"training in {workdir} has not finished (no {LATE_FILE}); run the same command with --mode=train")
    fix = f"remove {LATE_FILE} and run the same command with --mode=train: the rules are fitted again, and nothing is trained again"
    return read_owned(workdir, LATE_FILE, fix=fix)["trials"]


def open_checkpoints(workdir: Path, name: str, trials: Sequence[Trial], *, keep: int) -> Checkpoints:
    """Return the checkpoints of a trial group, which store the run and these trials as their owner.

    The owner needs no clips, because the run's fold hash covers the clips of each fold.
    """
    own = [dataclasses.asdict(trial) | {"hyper": {key: float(value) for key, value in trial.hyper.items()}} for trial in trials]
    return Checkpoints(workdir / "checkpoints" / name, keep=keep, warn=LOG.warning, owner=read_owner(workdir) | {"trials": own})
