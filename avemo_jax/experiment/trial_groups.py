"""Trial groups: which trials are trained together, and by which process.

A run is divided into shares, one a process. A share has all stages of its trials, so that each process has the weights of earlier stages
that it starts from. A stage of a share is one trial group, or where that does not fit into memory several groups of equal size with one
compiled program. This layout is written to run.json when the run begins, so that any number of processes can resume it and a single one can
evaluate it; the layout changes no result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.experiment.grid import Grid
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial, trial_groups


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the trials of a run are divided into shares and trial groups.

    Attributes:
      num_shares: number of shares, each trained by one process.
      trials_per_group: stage -> largest number of trials in a group; a stage that is not named has no limit.
    """

    num_shares: int = 1
    trials_per_group: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"num_shares": self.num_shares, "trials_per_group": dict(self.trials_per_group)}


@dataclasses.dataclass(frozen=True)
class TrialGroup:
    """Trials of a stage that one compiled program trains together; each group has its own checkpoints.

    Attributes:
      positions: positions of its trials among the stage's trials.
      program: positions of all trials of the stage with the same program.
      share: number of the share that it belongs to.
      size: number of trials that the program is compiled for; the last of several groups may have fewer.
      name: name of its folder of checkpoints.
    """

    positions: tuple[int, ...]
    program: tuple[int, ...]
    share: int
    size: int
    name: str


def layout_of(facts: Mapping[str, Any]) -> Layout:
    """Return the layout in the content of run.json; the default layout where it has none."""
    stored = facts.get("layout", {})
    return Layout(stored.get("num_shares", 1), stored.get("trials_per_group", {}))


def is_network(stage: Stage) -> bool:
    """Return whether a stage trains a network; the other stages are fitted by the primary process, in seconds."""
    return stage.part != "inner" and not stage.is_classical


def stage_groups(grid: Grid, stage: Stage, layout: Layout) -> list[TrialGroup]:
    """Return the trial groups of a stage, ordered by program, then by share."""
    share_of = shares_of(grid.trials, layout.num_shares)
    pieces = []
    for program in trial_groups(grid.trials_of(stage)):
        for share in range(layout.num_shares):
            own = [position for position in program if share_of[grid.position_in_grid(position)] == share]
            cut = in_pieces(own, layout.trials_per_group.get(stage.name, len(own)))
            pieces += [(piece, program, share, len(cut[0])) for piece in cut]
    names = [stage.name] if len(pieces) == 1 else [f"{stage.name}-{number}" for number in range(len(pieces))]
    return [
        TrialGroup(tuple(own), tuple(program), share, size, name) for (own, program, share, size), name in zip(pieces, names, strict=True)
    ]


def in_pieces(positions: Sequence[int], most: int) -> list[Sequence[int]]:
    """Return the positions in the fewest pieces of at most `most`, of equal size except the last."""
    if not positions:
        return []
    size = -(-len(positions) // -(-len(positions) // most))
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def shares_of(trials: Sequence[Trial], num_shares: int) -> dict[int, int]:
    """Return position in the grid -> share: shares have nearly equal sizes, and trials of one program are in as few shares as possible."""
    order = [position for group in trial_groups(trials) for position in group]
    return {position: int(share) for share, own in enumerate(np.array_split(order, num_shares)) for position in own}


def rows_file(layout: Layout, share: int) -> Path:
    """Return the path, in the run directory, of a share's rows during training: each process writes its own file."""
    return Path("metrics.jsonl") if layout.num_shares == 1 else Path("rows") / f"{share}.jsonl"
