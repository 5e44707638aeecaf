"""The plan of a run as text, which is logged before the run starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.memory_plan import spread
from avemo_jax.experiment.trial_groups import Layout, is_network, shares_of, stage_groups
from avemo_jax.text import count_of, format_duration, format_range
from avemo_jax.training import memory
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import trial_groups


def describe_plan(
    plan: GridPlan, layout: Layout, needs: Mapping[str, Sequence[memory.Need]], rows: Sequence[Mapping[str, Any]], *, num_processes: int
) -> str:
    """Return, for each stage, its trials, groups, programs, memory, and the time that is left, as text.

    Args:
      needs: stage -> memory of a trial of each of its programs.
      rows: existing rows of metrics.jsonl, from which a resumed run estimates the time of an epoch.
      num_processes: number of processes that share the run.
    """
    limit = memory.device_bytes(plan.experiment.devices.memory_gib)
    folds, seeds, settings = (len({getattr(trial, name) for trial in plan.trials}) for name in ("fold", "seed", "setting"))
    product = " x ".join((count_of(folds, "fold"), count_of(seeds, "seed"), count_of(settings, "setting")))
    lines = [f"plan: {count_of(len(plan.trials), 'trial')} ({product})"]
    if layout.num_shares > 1 or num_processes > 1:
        sizes = np.bincount(list(shares_of(plan.trials, layout.num_shares).values())).tolist()
        idle = "" if num_processes <= layout.num_shares else f"; {num_processes - layout.num_shares} of them idle"
        lines[0] += f" in {count_of(layout.num_shares, 'share')} of {format_range(sizes)} over {count_of(num_processes, 'process')}{idle}"
    for stage in plan.stages:
        if is_network(stage) and (given := plan.blueprint.experiment_of(stage).train.batch_size) > plan.largest_batch_size:
            lines.append(
                f"  {stage.name}: train.batch_size={given} is more than the corpus has examples, {len(plan.data.clip)}; batches of "
                f"{plan.largest_batch_size} are used"
            )
        if not is_network(stage):
            lines.append(f"  {stage.name}: fitted, no network")
            continue
        trials = plan.grid.trials_of(stage)
        groups = stage_groups(plan.grid, stage, layout)
        num_programs = len({(group.program, group.share, group.size) for group in groups})
        num_bytes = max(
            need.of_batch(group.size, **spread(plan, stage))
            for need, program in zip(needs[stage.name], trial_groups(trials), strict=True)
            for group in groups
            if group.program == tuple(program)
        )
        over = "" if num_bytes <= limit else " (MORE than available; reduce --config.train.batch_size or use more devices)"
        lines.append(
            f"  {stage.name}: {count_of(len(trials), 'trial')} in {count_of(len(groups), 'group')} of "
            f"{format_range([one.size for one in groups])} "
            f"({count_of(num_programs, 'program')} to compile); about {num_bytes / 2**30:.2g} of {limit / 2**30:.2g} GiB a device{over}; "
            + _time_left(plan, stage, rows, min(num_processes, layout.num_shares))
        )
    return "\n".join(lines)


def _time_left(plan: GridPlan, stage: Stage, rows: Sequence[Mapping[str, Any]], num_busy: int) -> str:
    own = [row for row in rows if row["stage"] == stage.name]
    if not own:
        return "time left is known after the first epoch"
    trials = plan.grid.trials_of(stage)
    num_epochs = plan.recipe(stage, trials[0]).num_epochs
    left = len(trials) * num_epochs - len({(row["trial"], row["epoch"]) for row in own})
    if left <= 0:
        return "trained"
    seconds = left * float(np.median([row["seconds"] for row in own])) / num_busy
    return f"at most {format_duration(seconds)} left, from the time of the finished epochs"
