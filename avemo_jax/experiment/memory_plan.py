"""How many trials fit into a device's memory together, and so how a run is cut into trial groups."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from avemo_jax import parallel
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.experiment.trial_groups import Layout, is_network, stage_groups
from avemo_jax.training import memory
from avemo_jax.training.execution import Execution, choose_execution
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial, groups_of


def make_layout(plan: GridPlan, needs: Mapping[str, Sequence[memory.Need]], *, num_processes: int) -> Layout:
    """Cut a run that begins.

    Args:
      needs: stage -> what a trial of each of its programs needs, from `estimate_needs`.
      num_processes: that share it; there are no more shares than trials.
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
    """Return how the trials of a program are executed."""
    experiment = plan.blueprint.experiment_of(stage, trial.fields)
    convolves = any(trained_encoder(experiment, stream) for stream in stage.streams)
    return choose_execution(plan.experiment.devices.execution, backend=jax.default_backend(), convolves=convolves)


def estimate_needs(plan: GridPlan) -> dict[str, list[memory.Need]]:
    """Return stage -> what a trial of each of its programs needs; nothing is compiled and nothing put on a device."""
    needs: dict[str, list[memory.Need]] = {}
    for stage in filter(is_network, plan.stages):
        trials = plan.grid.trials_of(stage)
        needs[stage.name] = [estimate_need(plan, stage, trials[group[0]]) for group in groups_of(trials)]
    return needs


def estimate_need(plan: GridPlan, stage: Stage, trial: Trial) -> memory.Need:
    """Return what a trial of a stage needs."""
    data = plan.data.only(stage.streams)
    examples = {}
    for stream in stage.streams:
        shape, dtype = data.step_of(stream)
        examples[stream] = jax.ShapeDtypeStruct((data.num_steps(stream), *shape), np.dtype(dtype))
        examples[f"{stream}_mask"] = jax.ShapeDtypeStruct((data.num_steps(stream),), np.bool_)
    (inputs,) = plan.inputs(stage, [trial])
    data_shards = plan.experiment.devices.data_shards
    return memory.estimate(
        plan.blueprint.net(stage, trial.fields),
        plan.recipe(stage, trial),
        plan.blueprint.state_shape(stage, trial),
        inputs,
        examples,
        shared_bytes=memory.tree_bytes(dict(data.arrays)),
        data_shards=data_shards if data.is_resident else parallel.make_mesh(data_shards=data_shards).size,
    )


def num_fitting(plan: GridPlan, stage: Stage, need: memory.Need, num_trials: int) -> int:
    """Return how many of `num_trials` trials of one program fit into a device's memory together; at least one a device."""
    limit = memory.device_bytes(plan.experiment.devices.memory_gib)
    return need.largest_batch(limit, num_trials, **spread(plan, stage))


def spread(plan: GridPlan, stage: Stage) -> dict[str, int]:
    """Return how many trials are in a step at the same time, and over how many devices trials are spread."""
    if not plan.data.is_resident:
        return {"at_once": 1}
    data_shards = plan.experiment.devices.data_shards
    if execution_of(plan, stage, plan.trials[0]).trials == "loop":
        return {"at_once": os.cpu_count() or 1, "trial_shards": jax.local_device_count() if data_shards == 1 else 1}
    return {"at_once": len(plan.grid.trials_of(stage)), "trial_shards": jax.local_device_count() // data_shards}
