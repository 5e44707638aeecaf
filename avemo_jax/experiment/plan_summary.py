"""The plan of a run as people read it before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.memory_plan import spread
from avemo_jax.experiment.trial_groups import Layout, is_network, shares_of, stage_groups
from avemo_jax.training import memory
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import groups_of


def describe(
    plan: GridPlan, layout: Layout, needs: Mapping[str, Sequence[memory.Need]], rows: Sequence[Mapping[str, Any]], *, num_processes: int
) -> str:
    """The plan as people read it before it starts: for each stage its trials, batches, programs, memory, and the time that is left.

    Args:
      rows: of metrics.jsonl, as far as there are any; a run that is resumed knows by them what an epoch takes.
      num_processes: that are at hand now.
    """
    limit = memory.device_bytes(plan.experiment.devices.memory_gib)
    folds, seeds = (len({getattr(trial, name) for trial in plan.trials}) for name in ("fold", "seed"))
    settings = len({trial.setting for trial in plan.trials})
    lines = [f"plan: {len(plan.trials)} trials ({folds} folds x {seeds} seeds x {settings} settings)"]
    if layout.num_shares > 1 or num_processes > 1:
        sizes = np.bincount(list(_shares(plan.trials, layout.num_shares).values())).tolist()
        idle = "" if num_processes <= layout.num_shares else f"; {num_processes - layout.num_shares} of them have nothing to train"
        lines[0] += f" in {layout.num_shares} shares of {_range(sizes)} over {num_processes} processes{idle}"
    for stage in plan.stages:
        if not is_network(stage):
            lines.append(f"  {stage.name}: fitted, no network")
            continue
        batches = stage_groups(plan, stage, layout)
        num_programs = len({(batch.group, batch.share, batch.size) for batch in batches})
        bytes_ = max(
            need.of_batch(batch.size, **_spread(plan, stage))
            for need, group in zip(needs[stage.name], groups_of(plan.grid.trials_of(stage)), strict=True)
            for batch in batches
            if batch.group == tuple(group)
        )
        over = "" if bytes_ <= limit else " (MORE than that; smaller batches of examples or more devices would help)"
        lines.append(
            f"  {stage.name}: {len(plan.grid.trials_of(stage))} trials in {len(batches)} batches of {_range([one.size for one in batches])}, "
            f"{num_programs} to compile; about {bytes_ / 2**30:.2g} of {limit / 2**30:.2g} GiB a device{over}; "
            + _time_left(plan, stage, rows, min(num_processes, layout.num_shares))
        )
    return "\n".join(lines)


def _time_left(plan: GridPlan, stage: Stage, rows: Sequence[Mapping[str, Any]], num_busy: int) -> str:
    own = [row for row in rows if row["stage"] == stage.name]
    if not own:
        return "how long is not known before the first epoch"
    trials = plan.grid.trials_of(stage)
    num_epochs = plan.recipe(stage, trials[0]).num_epochs
    left = len(trials) * num_epochs - len({(row["trial"], row["epoch"]) for row in own})
    if left <= 0:
        return "trained"
    return f"at most {spoken(left * float(np.median([row['seconds'] for row in own])) / num_busy)} by the epochs that are done"


def spoken(seconds: float) -> str:
    """A time for people, such as 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _range(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low}" if low == high else f"{low} to {high}"


