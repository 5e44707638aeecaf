"""Which trials are trained together and by which process: shared out once, fitted to memory, written down, and shown before it starts.

A run is cut into shares, one a process, each with all stages of its trials, so that a stage finds what it builds on where it is trained.
A stage's part of a share is trained in one batch, or where that does not fit into memory in several of equal size, one compiled program
for all of them. A batch is what has checkpoints of its own. How a run is cut is written into run.json when it begins, so that it can be
resumed by another number of processes and evaluated by one; neither changes any trial's numbers.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from avemo_jax import parallel
from avemo_jax.data.stream import StreamedSet
from avemo_jax.experiment import networks
from avemo_jax.experiment.plan import Plan
from avemo_jax.text import format_duration, format_range
from avemo_jax.training import memory, steps
from avemo_jax.training.execution import Execution, choose_execution
from avemo_jax.training.grid import NOT_WARM, Stage, Trial, batches_of
from avemo_jax.training.state import TrialState
from avemo_jax.training.stream_program import StreamProgram


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a run's trials are cut; the defaults are those of a run that says nothing of it.

    Attributes:
      num_shares: parts that are given to processes.
      trials_per_batch: stage -> trials that a batch holds at most; a stage that is not named has no limit.
    """

    num_shares: int = 1
    trials_per_batch: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"num_shares": self.num_shares, "trials_per_batch": dict(self.trials_per_batch)}


@dataclasses.dataclass(frozen=True)
class TrialBatch:
    """Trials of a stage that are trained together.

    Attributes:
      positions: among the stage's trials.
      group: positions of all trials of the stage that run the same program, as far as one process is concerned.
      share: the part of the run that they belong to.
      size: trials that the program is compiled for; the last batch of several may hold fewer.
      name: of its folder of checkpoints.
    """

    positions: tuple[int, ...]
    group: tuple[int, ...]
    share: int
    size: int
    name: str


def layout_of(facts: Mapping[str, Any]) -> Layout:
    """The layout that a run.json tells of."""
    return Layout(**facts["layout"]) if "layout" in facts else Layout()


def is_network(stage: Stage) -> bool:
    """Whether a stage trains a network; the others are fitted in seconds, by process 0."""
    return stage.part not in ("inner", "svm")


def make_layout(plan: Plan, needs: Mapping[str, Sequence[memory.Need]], *, num_processes: int) -> Layout:
    """Cut a run that begins.

    Args:
      needs: stage -> what a trial of each of its programs takes, from `estimate_needs`.
      num_processes: that share it; there are no more shares than trials.
    """
    num_shares = min(num_processes, len(plan.trials)) if any(map(is_network, plan.stages)) else 1
    unlimited = Layout(num_shares)
    trials_per_batch = {}
    for stage in plan.stages:
        if not is_network(stage):
            continue
        largest = max(batch.size for batch in stage_batches(plan, stage, unlimited))
        most = min(fitting(plan, stage, need, largest) for need in needs[stage.name])
        if most < largest:
            trials_per_batch[stage.name] = most
    return Layout(num_shares, trials_per_batch)


def stage_batches(plan: Plan, stage: Stage, layout: Layout) -> list[TrialBatch]:
    """The batches of a stage, program after program, and within a program share after share."""
    trials = plan.trials_of(stage)
    share_of = _shares(plan.trials, layout.num_shares)
    pieces = []
    for group in batches_of(trials):
        for share in range(layout.num_shares):
            own = [position for position in group if share_of[_grid_position(plan, position)] == share]
            cut = in_pieces(own, layout.trials_per_batch.get(stage.name, len(own)))
            pieces += [(piece, group, share, len(cut[0])) for piece in cut]
    names = [stage.name] if len(pieces) == 1 else [f"{stage.name}-{number}" for number in range(len(pieces))]
    return [TrialBatch(tuple(own), tuple(group), share, size, name) for (own, group, share, size), name in zip(pieces, names, strict=True)]


def in_pieces(positions: Sequence[int], most: int) -> list[Sequence[int]]:
    """Cut positions into as few pieces of at most `most` as there can be, of equal size but for the last."""
    if not positions:
        return []
    size = -(-len(positions) // -(-len(positions) // most))
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _shares(trials: Sequence[Trial], num_shares: int) -> dict[int, int]:
    """Share of each position of the grid: of nearly equal size, with trials of one program beside each other."""
    order = [position for group in batches_of(trials) for position in group]
    return {position: int(share) for share, own in enumerate(np.array_split(order, num_shares)) for position in own}


def _grid_position(plan: Plan, position: int) -> int:
    """Position in the grid of the trial that a stage's trial belongs to; those of inner folds follow the grid, see `with_inner_trials`."""
    own = len(plan.trials)
    return position if position < own else (position - own) // len(plan.inner[0])


# Memory.


def execution_of(plan: Plan, stage: Stage, trial: Trial) -> Execution:
    """How the trials of a program are executed."""
    convolves = any(networks.trained_encoder(plan.config_of(stage, trial), stream) for stream in stage.streams)
    return choose_execution(plan.config["devices"]["execution"], backend=jax.default_backend(), convolves=convolves)


def estimate_needs(plan: Plan) -> dict[str, list[memory.Need]]:
    """Stage -> what a trial of each of its programs takes; nothing is compiled and nothing put on a device."""
    needs: dict[str, list[memory.Need]] = {}
    for stage in plan.stages:
        if is_network(stage):
            trials = plan.trials_of(stage)
            needs[stage.name] = [estimate_need(plan, stage, trials[group[0]]) for group in batches_of(trials)]
    return needs


def fitting(plan: Plan, stage: Stage, need: memory.Need, num_trials: int) -> int:
    """How many of `num_trials` trials of one program fit into a device's memory together; at least one a device."""
    limit = memory.device_bytes(plan.config["devices"]["memory_gib"])
    return need.largest_batch(limit, num_trials, **_spread(plan, stage))


def estimate_need(plan: Plan, stage: Stage, trial: Trial) -> memory.Need:
    """What a trial of a stage takes."""
    net, recipe = plan.net(stage, trial), plan.recipe(stage, trial)
    data = plan.data.only(stage.streams)
    (inputs,) = plan.inputs(stage, [trial])
    data_shards = plan.config["devices"]["data_shards"]
    examples = {}
    for stream in stage.streams:
        shape, dtype = data.step_of(stream)
        examples[stream] = jax.ShapeDtypeStruct((data.num_steps(stream), *shape), np.dtype(dtype))
        examples[f"{stream}_mask"] = jax.ShapeDtypeStruct((data.num_steps(stream),), np.bool_)
    state: TrialState
    if isinstance(data, StreamedSet):
        mesh = parallel.make_mesh(data_shards=data_shards)
        state, data_shards = StreamProgram(net, recipe, data, mesh, 1).trial_shape(inputs, NOT_WARM), mesh.size
    else:
        arrays = {name: jax.ShapeDtypeStruct(one.shape, one.dtype) for name, one in data.arrays.items()}
        state = jax.eval_shape(lambda held, one: steps.init_trial(net, recipe, held, one, NOT_WARM), arrays, inputs)
    shared = memory.tree_bytes(dict(data.arrays))
    return memory.estimate(net, recipe, state, inputs, examples, shared_bytes=shared, data_shards=data_shards)


def _spread(plan: Plan, stage: Stage) -> dict[str, int]:
    """How many trials are in a step at the same time, and over how many devices trials are spread."""
    execution = execution_of(plan, stage, plan.trials[0])
    if isinstance(plan.data, StreamedSet):
        return {"at_once": 1}
    data_shards = plan.config["devices"]["data_shards"]
    if execution.trials == "loop":
        return {"at_once": os.cpu_count() or 1, "trial_shards": jax.local_device_count() if data_shards == 1 else 1}
    return {"at_once": len(plan.trials_of(stage)), "trial_shards": jax.local_device_count() // data_shards}


# What is shown.


def describe(
    plan: Plan, layout: Layout, needs: Mapping[str, Sequence[memory.Need]], rows: Sequence[Mapping[str, Any]], *, num_processes: int
) -> str:
    """The plan as people read it before it starts: for each stage its trials, batches, programs, memory, and the time that is left.

    Args:
      rows: of metrics.jsonl, as far as there are any; a run that is resumed knows by them what an epoch takes.
      num_processes: that are at hand now.
    """
    limit = memory.device_bytes(plan.config["devices"]["memory_gib"])
    folds, seeds = (len({getattr(trial, name) for trial in plan.trials}) for name in ("fold", "seed"))
    settings = len({trial.setting for trial in plan.trials})
    lines = [f"plan: {len(plan.trials)} trials ({folds} folds x {seeds} seeds x {settings} settings)"]
    if layout.num_shares > 1 or num_processes > 1:
        sizes = np.bincount(list(_shares(plan.trials, layout.num_shares).values())).tolist()
        idle = "" if num_processes <= layout.num_shares else f"; {num_processes - layout.num_shares} of them have nothing to train"
        lines[0] += f" in {layout.num_shares} shares of {format_range(sizes)} over {num_processes} processes{idle}"
    for stage in plan.stages:
        if not is_network(stage):
            lines.append(f"  {stage.name}: fitted, no network")
            continue
        batches = stage_batches(plan, stage, layout)
        num_programs = len({(batch.group, batch.share, batch.size) for batch in batches})
        bytes_ = max(
            need.of_batch(batch.size, **_spread(plan, stage))
            for need, group in zip(needs[stage.name], batches_of(plan.trials_of(stage)), strict=True)
            for batch in batches
            if batch.group == tuple(group)
        )
        over = "" if bytes_ <= limit else " (MORE than that; smaller batches of examples or more devices would help)"
        sizes = format_range([batch.size for batch in batches])
        lines.append(
            f"  {stage.name}: {len(plan.trials_of(stage))} trials in {len(batches)} batches of {sizes}, "
            f"{num_programs} to compile; about {bytes_ / 2**30:.2g} of {limit / 2**30:.2g} GiB a device{over}; "
            + _time_left(plan, stage, rows, min(num_processes, layout.num_shares))
        )
    return "\n".join(lines)


def _time_left(plan: Plan, stage: Stage, rows: Sequence[Mapping[str, Any]], num_busy: int) -> str:
    own = [row for row in rows if row["stage"] == stage.name]
    if not own:
        return "how long is not known before the first epoch"
    trials = plan.trials_of(stage)
    num_epochs = plan.recipe(stage, trials[0]).num_epochs
    left = len(trials) * num_epochs - len({(row["trial"], row["epoch"]) for row in own})
    if left <= 0:
        return "trained"
    return f"at most {format_duration(left * float(np.median([row['seconds'] for row in own])) / num_busy)} by the epochs that are done"


def rows_file(layout: Layout, share: int) -> Path:
    """Where the rows of a share are kept while it is trained, in the run directory: each process writes a file of its own."""
    return Path("metrics.jsonl") if layout.num_shares == 1 else Path("rows") / f"{share}.jsonl"
