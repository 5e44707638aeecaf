"""Which trials are trained together, and by which process.

A run is cut into shares, one a process, each with all stages of its trials, so that a stage finds the weights of the stages before it where
it is trained. A stage's part of a share is one trial group, or where that does not fit into memory several of equal size, with one
compiled program for all of them. How a run is cut is written into run.json when it begins, so that another number of processes can resume
it and one can evaluate it; neither changes the numbers of any trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.experiment.grid import Grid
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial, groups_of


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the trials of a run are cut.

    Attributes:
      num_shares: parts that are given to processes.
      trials_per_group: stage -> trials that a group holds at most; a stage that is not named has no limit.
    """

    num_shares: int = 1
    trials_per_group: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"num_shares": self.num_shares, "trials_per_group": dict(self.trials_per_group)}


@dataclasses.dataclass(frozen=True)
class TrialGroup:
    """Trials of a stage that one compiled program trains together; a group has checkpoints of its own.

    Attributes:
      positions: among the stage's trials.
      program: positions of all trials of the stage that the same program could train.
      share: the part of the run that they belong to.
      size: trials that the program is compiled for; the last group of several may hold fewer.
      name: of its folder of checkpoints.
    """

    positions: tuple[int, ...]
    program: tuple[int, ...]
    share: int
    size: int
    name: str


def layout_of(facts: Mapping[str, Any]) -> Layout:
    """Return the layout that a run.json holds; the default where it holds none."""
    stored = facts.get("layout", {})
    return Layout(stored.get("num_shares", 1), stored.get("trials_per_group", {}))


def is_network(stage: Stage) -> bool:
    """Return whether a stage trains a network; the others are fitted in seconds, by the primary process."""
    return stage.part not in ("inner", "svm")


def stage_groups(grid: Grid, stage: Stage, layout: Layout) -> list[TrialGroup]:
    """Return the trial groups of a stage, program after program, and within a program share after share."""
    share_of = shares_of(grid.trials, layout.num_shares)
    pieces = []
    for program in groups_of(grid.trials_of(stage)):
        for share in range(layout.num_shares):
            own = [position for position in program if share_of[grid.position_in_grid(position)] == share]
            cut = in_pieces(own, layout.trials_per_group.get(stage.name, len(own)))
            pieces += [(piece, program, share, len(cut[0])) for piece in cut]
    names = [stage.name] if len(pieces) == 1 else [f"{stage.name}-{number}" for number in range(len(pieces))]
    return [
        TrialGroup(tuple(own), tuple(program), share, size, name)
        for (own, program, share, size), name in zip(pieces, names, strict=True)
    ]


def in_pieces(positions: Sequence[int], most: int) -> list[Sequence[int]]:
    """Cut positions into as few pieces of at most `most` as there can be, of equal size but for the last."""
    if not positions:
        return []
    size = -(-len(positions) // -(-len(positions) // most))
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def shares_of(trials: Sequence[Trial], num_shares: int) -> dict[int, int]:
    """Return the share of each position of the grid: shares of nearly equal size, trials of one program beside each other."""
    order = [position for group in groups_of(trials) for position in group]
    return {position: int(share) for share, own in enumerate(np.array_split(order, num_shares)) for position in own}


def rows_file(layout: Layout, share: int) -> Path:
    """Return the file of a share's rows while it is trained, in the run directory: each process writes a file of its own."""
    return Path("metrics.jsonl") if layout.num_shares == 1 else Path("rows") / f"{share}.jsonl"
