"""The size of trial groups: as many trials as fit into a device's memory together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.experiment.trial_groups import Layout, is_network, stage_groups
from avemo_jax.training import memory, programs
from avemo_jax.training.execution import Execution, choose_execution
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial, trial_groups


def make_layout(plan: GridPlan, needs: Mapping[str, Sequence[memory.Need]], *, num_processes: int) -> Layout:
    """Return the layout of a new run.

    Args:
      needs: stage -> memory of a trial of each of its programs, from `estimate_needs`.
      num_processes: number of processes that share the run; there are at most as many shares as trials.
    """
    num_shares = min(num_processes, len(plan.trials)) if any(map(is_network, plan.stages)) else 1
    unlimited = Layout(num_shares)
    trials_per_group = {}
    for stage in filter(is_network, plan.stages):
        largest = max(group.size for group in stage_groups(plan.grid, stage, unlimited))
        most = min(num_fitting(plan, stage, need, largest) for need in needs[stage.name])
        if most < largest:
            trials_per_group[stage.name] = most
    return Layout(num_shares, trials_per_group)


def execution_of(plan: GridPlan, stage: Stage, trial: Trial) -> Execution:
    """Return the execution of a program's trials."""
    experiment = plan.blueprint.experiment_of(stage, trial.fields)
    convolves = any(trained_encoder(experiment, stream) for stream in stage.streams)
    return choose_execution(plan.experiment.devices.execution, backend=jax.default_backend(), convolves=convolves)


def estimate_needs(plan: GridPlan) -> dict[str, list[memory.Need]]:
    """Return stage -> memory of a trial of each of its programs, without compiling or using a device."""
    needs: dict[str, list[memory.Need]] = {}
    for stage in filter(is_network, plan.stages):
        trials = plan.grid.trials_of(stage)
        needs[stage.name] = [estimate_need(plan, stage, trials[group[0]]) for group in trial_groups(trials)]
    return needs


def estimate_need(plan: GridPlan, stage: Stage, trial: Trial) -> memory.Need:
    """Return the memory of a trial of a stage."""
    (inputs,) = plan.inputs(stage, [trial])
    net, recipe = plan.blueprint.net(stage, trial.fields), plan.recipe(stage, trial)
    return programs.estimate_memory(net, recipe, plan.data.only(stage.streams), inputs, data_shards=plan.experiment.devices.data_shards)


def num_fitting(plan: GridPlan, stage: Stage, need: memory.Need, num_trials: int) -> int:
    """Return how many of `num_trials` trials of one program fit into a device's memory together; at least one a device."""
    limit = memory.device_bytes(plan.experiment.devices.memory_gib)
    return need.largest_batch(limit, num_trials, **spread(plan, stage))


def spread(plan: GridPlan, stage: Stage) -> dict[str, int]:
    """Return how many trials compute a step at the same time, and over how many devices trials are spread."""
    trials = plan.grid.trials_of(stage)
    return programs.spread(
        plan.data, execution_of(plan, stage, trials[0]), num_trials=len(trials), data_shards=plan.experiment.devices.data_shards
    )
