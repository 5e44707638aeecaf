"""What each trial of a finished run has trained, read from its checkpoints; no corpus is needed."""

from __future__ import annotations

import dataclasses
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
from avemo_jax.experiment.segment_statistics import num_features_of, segment_predictor
from avemo_jax.experiment.stored_classifiers import read_classifiers
from avemo_jax.experiment.variation import variation_of
from avemo_jax.inference.predict import EnsembleMember, TrainedClassifier, TrainedNet, member_of
from avemo_jax.labels import label_set
from avemo_jax.runs.run_directory import ConfigMismatch, RunDirectory, compare_configs, read_config
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.stage import answering
from avemo_jax.training.state import TrialState
from avemo_jax.training.trials import Trial

_MOST_TRIALS = 100_000  # 50 folds of 20 seeds and 100 settings


@dataclasses.dataclass(frozen=True)
class TrainedMember:
    """What one trial of a run has trained, of several settings the selected one.

    Attributes:
      trial: its fold, seed and swept fields.
      stage: name of the last stage.
      nets: stage -> its network.
      rule: rule of late fusion that joins them, as late.json has it.
      classifier: of the classical system, which has no networks.
    """

    trial: Trial
    stage: str
    nets: Mapping[str, TrainedNet] = dataclasses.field(default_factory=dict)
    rule: Mapping[str, Any] | None = None
    classifier: FittedClassifier | None = None


def ensemble_members(experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> list[EnsembleMember]:
    """Return the members of the ensemble of a finished run; arguments and exceptions as `read_members` has them."""
    stage = stages_of(experiment)[-1]
    return [
        EnsembleMember([TrainedClassifier(segment_predictor(experiment, stage, one.classifier))])
        if one.classifier is not None
        else member_of(list(one.nets.values()), None if one.rule is None else rule_from_json(one.rule))
        for one in read_members(experiment, steps)
    ]


def read_members(experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> list[TrainedMember]:
    """Return what each fold and seed of a finished run has trained.

    Args:
      steps: as in `ensemble.load_ensemble`.

    Raises:
      FileNotFoundError, ConfigMismatch, DamagedCheckpoint, ValueError: as `ensemble.load_ensemble`.
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
    num_folds = _num_folds(facts["num_trials"], len(make_grid(experiment, variation, stages, 1).trials), workdir)
    grid = chosen_grid(experiment, variation, make_grid(experiment, variation, stages, num_folds), workdir)
    blueprint = Blueprint(experiment, variation, label_set(experiment.corpus.label_set), steps=steps, num_steps=facts["num_steps"])
    members = _classical_members(blueprint, grid, workdir) if stages[-1].is_classical else _members(blueprint, grid, workdir)
    if not members:
        raise FileNotFoundError(f"all trials of the run in {workdir} failed in their first epoch; see its metrics.jsonl, and {again}")
    return members


def _num_folds(num_trials: Any, num_per_fold: int, workdir: Path) -> int:
    """Return the number of folds of a run; a run.json that was changed may hold anything."""
    if type(num_trials) is not int or not 0 < num_trials <= _MOST_TRIALS or num_trials % num_per_fold:
        raise ValueError(
            f"{workdir / 'run.json'} has num_trials={num_trials!r}; expected a multiple of {num_per_fold}, its seeds times its settings, "
            f"of {_MOST_TRIALS:,} at most: the file was changed, or the run has more trials than one prediction can load"
        )
    return num_trials // num_per_fold


def _members(blueprint: Blueprint, grid: Grid, workdir: Path) -> list[TrainedMember]:
    """Return the networks of each fold and seed, without the trials that failed in their first epoch."""
    last = grid.stages[-1]
    rules = read_late(workdir) if last.part == "inner" else []
    stages = answering(grid.stages, fallback=blueprint.experiment.fusion.fallback)
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
        nets = {
            stage.name: TrainedNet(
                blueprint.net(stage, fields),
                state.best.variables,
                state.scaler,
                blueprint.recipe(stage, fields, num_clips=1).streams,
            )
            for stage, state in zip(stages, own, strict=True)
        }
        members.append(TrainedMember(grid.trials[position], last.name, nets, rules[position] if rules else None))
    return members


def _classical_members(blueprint: Blueprint, grid: Grid, workdir: Path) -> list[TrainedMember]:
    """Return the classifier of each fold; no seed changes it."""
    stage = grid.stages[-1]
    num_features = num_features_of(blueprint.experiment, stage, blueprint.steps)
    found = read_classifiers(workdir, stage, grid.trials, num_features=num_features, num_classes=blueprint.num_classes)
    own = zip(grid.trials, found, strict=True)
    return list({trial.fold: TrainedMember(trial, stage.name, classifier=one) for trial, one in own}.values())


def _with_stored_lengths(experiment: Experiment, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config as plain values with the training run's `segment_s`, because the network does not depend on it."""
    given = to_plain(experiment)
    for name, params in given["views"].items():
        if "segment_s" in params:
            params["segment_s"] = stored.get("views", {}).get(name, params).get("segment_s")
    return given
