"""The trained networks of a finished run as one ensemble; no corpus is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.config import Experiment, to_plain
from avemo_jax.evaluation.late_fusion import rule_from_json
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.grid import Grid, make_grid, stages_of
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.experiment.restoring import read_late, restore_states, stored_groups
from avemo_jax.experiment.searching import chosen_grid
from avemo_jax.experiment.variation import variation_of
from avemo_jax.inference.predict import Ensemble, EnsembleMember, TrainedNet
from avemo_jax.labels import label_set
from avemo_jax.runs.run_directory import ConfigMismatch, RunDirectory, compare_configs, read_config
from avemo_jax.training.state import TrialState

_MOST_TRIALS = 100_000  # 50 folds of 20 seeds and 100 settings


def load_ensemble(
    experiment: Experiment,
    steps: Mapping[str, tuple[tuple[int, ...], str]],
    segment_s: float,
    step_s: float | None,
    window_s: float | None = None,
) -> Ensemble:
    """Return the networks of a finished run; of several settings the one selected on validation for each fold and seed.

    Args:
      steps: stream -> (step_shape, dtype) of the networks' inputs.
      segment_s, step_s, window_s: as in Ensemble.

    Raises:
      FileNotFoundError: the directory has no finished training.
      ConfigMismatch: the directory holds a run of another config, or of an earlier version.
      DamagedCheckpoint: all checkpoints are damaged.
      ValueError: the run is of the classical system, which stores no SVMs, or run.json was changed.
    """
    workdir = experiment.run_directory
    again = f"train it first: python run.py --config=... --mode=train (looked in {workdir})"
    if not (workdir / "config.json").is_file() or not (workdir / "run.json").is_file():
        raise FileNotFoundError(f"no finished run; {again}")
    stored = read_config(workdir)
    if differences := compare_configs(stored, _with_stored_lengths(experiment, stored)):
        raise ConfigMismatch(f"{workdir} holds a run of another config:\n  " + "\n  ".join(differences))
    facts = RunDirectory(workdir).read_json("run.json")
    if "num_trials" not in facts or "num_steps" not in facts:
        raise FileNotFoundError(f"training has not started in {workdir}; {again}")
    variation, stages = variation_of(experiment), stages_of(experiment)
    if stages[-1].is_classical:
        raise ValueError(
            f"the classifiers of {experiment.system.name} are not stored with a run; predict with a system that trains a network"
        )
    num_folds = _num_folds(facts["num_trials"], len(make_grid(experiment, variation, stages, 1).trials), workdir)
    grid = chosen_grid(experiment, variation, make_grid(experiment, variation, stages, num_folds), workdir)
    labels = label_set(experiment.corpus.label_set)
    blueprint = Blueprint(experiment, variation, labels, steps=steps, num_steps=facts["num_steps"])
    members = _members(blueprint, grid, workdir)
    if not members:
        raise FileNotFoundError(f"all trials of the run in {workdir} failed in their first epoch; see its metrics.jsonl, and {again}")
    dimensions = experiment.corpus.dimensions
    lengths: dict[str, Any] = {"segment_s": segment_s, "step_s": step_s, "window_s": window_s}
    return Ensemble(members, classes=labels.classes, views=steps, dimensions=dimensions, **lengths)


def _num_folds(num_trials: Any, num_per_fold: int, workdir: Path) -> int:
    """Return the number of folds of a run; a run.json that was changed may hold anything."""
    if type(num_trials) is not int or not 0 < num_trials <= _MOST_TRIALS or num_trials % num_per_fold:
        raise ValueError(
            f"{workdir / 'run.json'} has num_trials={num_trials!r}; expected a multiple of {num_per_fold}, its seeds times its settings, "
            f"of {_MOST_TRIALS:,} at most: the file was changed, or the run has more trials than one prediction can load"
        )
    return num_trials // num_per_fold


def _members(blueprint: Blueprint, grid: Grid, workdir: Path) -> list[EnsembleMember]:
    """Return one ensemble member for each fold and seed, without the trials that failed in their first epoch."""
    last = grid.stages[-1]
    rules = read_late(workdir) if last.part == "inner" else []
    stages = [stage for stage in grid.stages if stage.name in last.takes_over] if rules else [last]
    states: list[dict[int, TrialState]] = []
    for stage in stages:
        groups = stored_groups(grid, stage, workdir)
        restored = restore_states(blueprint, grid, stage, workdir, groups)
        states.append(
            {at: state for group, own in zip(groups, restored, strict=True) for at, state in zip(group.positions, own, strict=True)}
        )

    def score(position: int) -> float:
        return float(rules[position]["score"]) if rules else float(states[0][position].best.metric)

    members = []
    for position in chosen_trials(grid.trials, score):
        own = [of_stage[position] for of_stage in states]
        if any(state.best.epoch < 0 for state in own):
            continue
        fields = grid.trials[position].fields
        networks = [
            TrainedNet(
                blueprint.net(stage, fields),
                state.best.variables,
                state.scaler,
                blueprint.recipe(stage, fields, num_clips=1).streams,
            )
            for stage, state in zip(stages, own, strict=True)
        ]
        members.append(EnsembleMember(networks, rule_from_json(rules[position]).join) if rules else EnsembleMember(networks))
    return members


def _with_stored_lengths(experiment: Experiment, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config as plain values with the training run's `segment_s`, because the network does not depend on it."""
    given = to_plain(experiment)
    for name, params in given["views"].items():
        if "segment_s" in params:
            params["segment_s"] = stored.get("views", {}).get(name, params).get("segment_s")
    return given
