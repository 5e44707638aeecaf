"""The stages of a run, trained or restored: trial group after trial group, stage after stage."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from avemo_jax import parallel
from avemo_jax.atomic import atomic_file
from avemo_jax.experiment.classical_stage import ClassicalOutcome, fit_classical_stage, restore_classical_stage
from avemo_jax.experiment.encoder_weights import published_weights
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.memory_plan import estimate_needs, execution_of, make_layout
from avemo_jax.experiment.outcomes import NetworkOutcome, Outcome, TrainedGroup, fit_late, restore_late, with_fallback
from avemo_jax.experiment.plan_summary import describe_plan
from avemo_jax.experiment.restoring import open_checkpoints, read_late, restore_states, stored_groups, write_late
from avemo_jax.experiment.stored_classifiers import write_classifiers
from avemo_jax.experiment.trial_groups import Layout, TrialGroup, is_network, layout_of, rows_file, stage_groups
from avemo_jax.json_lines import read_rows
from avemo_jax.runs.preemption import listen
from avemo_jax.runs.processes import SINGLE_PROCESS, Processes
from avemo_jax.runs.profiling import Profiler
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.runs.writers import make_writer
from avemo_jax.training.programs import Program, make_program
from avemo_jax.training.stage import Stage, warm_start
from avemo_jax.training.state import TrialInputs
from avemo_jax.training.train_loop import train_group
from avemo_jax.training.trials import Trial, trial_groups

LOG = logging.getLogger(__name__)


def train_stages(plan: GridPlan, run: RunDirectory, processes: Processes = SINGLE_PROCESS) -> list[Outcome]:
    """Train all stages, or continue their training; return their outcomes, in order.

    With several processes, each trains its shares. The primary process then reads the checkpoints of the others and returns the outcomes of
    all trials; the others return none.
    """
    layout = _settle_layout(plan, run, processes)
    finished: dict[str, NetworkOutcome] = {}
    for stage in filter(is_network, plan.stages):
        with run.phase(f"train {stage.name}"):
            finished[stage.name] = _train_network(plan, stage, run, finished, layout, processes)
    processes.barrier("trained")
    if processes.is_primary:
        finished = {name: _completed(plan, outcome, run.path, layout) for name, outcome in finished.items()}
        if layout.num_shares > 1:
            _join_rows(plan, run, layout)
    processes.leave()
    if not processes.is_primary:
        return []
    outcomes: list[Outcome] = []
    for stage in plan.stages:
        with run.phase(f"train {stage.name}"):
            if stage.part == "inner":
                late = fit_late(plan, stage, [finished[name] for name in stage.takes_over])
                write_late(run.path, late.as_json(plan.trials))
                outcomes.append(late)
            else:
                outcomes.append(_fit_classifiers(plan, stage, run.path) if stage.is_classical else finished[stage.name])
    return [*outcomes[:-1], with_fallback(plan, outcomes)]


def _fit_classifiers(plan: GridPlan, stage: Stage, workdir: Path) -> ClassicalOutcome:
    """Return the fitted classical system, stored in the run directory for --mode=predict."""
    outcome = fit_classical_stage(plan, stage)
    write_classifiers(workdir, stage, plan.trials, outcome.classifiers)
    return outcome


def restore_stages(plan: GridPlan, workdir: Path) -> list[Outcome]:
    """Return the outcomes of all stages, restored from the run directory without training.

    Raises:
      FileNotFoundError, DamagedCheckpoint, ForeignCheckpoint: as `restore_last`.
    """
    earlier = [_restore_network(plan, stage, workdir) for stage in plan.stages[:-1]]
    return [*earlier, restore_last(plan, workdir, earlier)]


def restore_last(plan: GridPlan, workdir: Path, earlier: Sequence[NetworkOutcome] | None = None) -> Outcome:
    """Return the outcome of the last stage, restored from the run directory.

    Args:
      earlier: the stages before it, where they have been restored already.

    Raises:
      FileNotFoundError: training has not finished.
      DamagedCheckpoint: all checkpoints of a stage are damaged.
      ForeignCheckpoint: a checkpoint belongs to another run, stage, epoch or trials.
    """
    last = plan.stages[-1]
    if last.is_classical:
        return restore_classical_stage(plan, last, workdir)
    has_rules = last.part == "inner"
    rules = read_late(workdir) if has_rules else []
    if earlier is None and (has_rules or plan.experiment.fusion.fallback):
        # A stage whose streams no clip has, as in the robustness panel, answers none.
        wanted = [one for one in plan.stages[:-1] if has_rules or any(plan.data.lengths_of(stream).any() for stream in one.streams)]
        earlier = [_restore_network(plan, stage, workdir) for stage in wanted]
    if has_rules:
        return restore_late(last, earlier or (), rules)
    return with_fallback(plan, [*(earlier or ()), _restore_network(plan, last, workdir)])


class Programs:
    """The compiled programs of a stage; groups that differ only in their trials share one, which is compiled once.

    Args:
      trains: see `GridPlan.inputs`.
    """

    def __init__(self, plan: GridPlan, stage: Stage, *, trains: bool = True):
        self._plan, self._stage, self._trains = plan, stage, trains
        self._trials = plan.grid.trials_of(stage)
        self._made: dict[tuple[Any, ...], tuple[Program, dict[int, TrialInputs]]] = {}

    def of(self, group: TrialGroup) -> tuple[Program, list[TrialInputs]]:
        """Return the program of a group and the inputs of its trials."""
        key = (group.program, group.size)
        if key not in self._made:
            trials = [self._trials[position] for position in group.program]
            # all trials of the program, so that they are padded to one length
            inputs = self._plan.inputs(self._stage, trials, trains=self._trains)
            program = program_of(self._plan, self._stage, trials, inputs, num_lanes=group.size)
            self._made[key] = program, dict(zip(group.program, inputs, strict=True))
        program, inputs_of = self._made[key]
        return program, [inputs_of[position] for position in group.positions]


def program_of(plan: GridPlan, stage: Stage, trials: Sequence[Trial], inputs: Sequence[TrialInputs], *, num_lanes: int = 0) -> Program:
    """Return the program of these trials, which must have equal fields.

    Args:
      num_lanes: number of trials that it is compiled for, where they run side by side; fewer trials are padded to it.
    """
    recipe = plan.recipe(stage, trials[0])
    return make_program(
        plan.blueprint.net(stage, trials[0].fields),
        recipe,
        plan.data.only(stage.streams),
        execution_of(plan, stage, trials[0]),
        parallel.make_mesh(data_shards=plan.experiment.devices.data_shards),
        num_steps=-(-max(int(one.train_count) for one in inputs) // recipe.batch_size),
        num_lanes=num_lanes,
    )


def _settle_layout(plan: GridPlan, run: RunDirectory, processes: Processes) -> Layout:
    """Return the layout of the run, the stored one where it is resumed; log the plan."""
    if processes.is_primary:
        needs = estimate_needs(plan)
        facts = run.read_json("run.json") if run.has("run.json") else {}
        is_resumed = "layout" in facts
        layout = layout_of(facts) if is_resumed else make_layout(plan, needs, num_processes=processes.count)
        if not is_resumed:
            run.write_run_json(layout=layout.as_dict())
        LOG.info("%s", describe_plan(plan, layout, needs, _rows(run, layout), num_processes=processes.count))
    processes.barrier("planned")
    return layout_of(run.read_json("run.json"))


def _rows(run: RunDirectory, layout: Layout) -> list[dict[str, Any]]:
    paths = [run.path / rows_file(layout, share) for share in range(layout.num_shares)]
    return [row for path in paths if path.exists() for row in read_rows(path)]


def _join_rows(plan: GridPlan, run: RunDirectory, layout: Layout) -> None:
    """Write the rows of all shares into metrics.jsonl, in the order in which a single process with one group would write them."""
    order: dict[tuple[str, int], tuple[int, int]] = {}
    for place, stage in enumerate(filter(is_network, plan.stages)):
        trials = plan.grid.trials_of(stage)
        order |= {(stage.name, trials[i].number): (place, group) for group, own in enumerate(trial_groups(trials)) for i in own}
    rows = sorted(_rows(run, layout), key=lambda row: (order[row["stage"], row["trial"]], row["epoch"], row["trial"]))
    with atomic_file(run.path / "metrics.jsonl") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def _train_network(
    plan: GridPlan, stage: Stage, run: RunDirectory, finished: dict[str, NetworkOutcome], layout: Layout, processes: Processes
) -> NetworkOutcome:
    """Train this process's groups of a stage."""
    trials = plan.grid.trials_of(stage)
    states = {name: outcome.state_of for name, outcome in finished.items()}
    train = plan.blueprint.experiment_of(stage).train
    mine = [group for group in stage_groups(plan.grid, stage, layout) if group.share % processes.count == processes.number]
    programs = Programs(plan, stage)
    groups = []
    facts = run.read_json("config.json") if train.trackers else {}  # without passwords
    own_number = f" {processes.number + 1}/{processes.count}" if processes.count > 1 else ""
    total = train.num_epochs * len(mine)
    with listen() as own, tqdm(total=total, desc=f"{stage.name}{own_number}", unit="epoch") as bar, ExitStack() as locks:
        for share in sorted({group.share for group in mine}) if layout.num_shares > 1 else ():
            locks.enter_context(run.lock_share(share, timeout_s=2 * plan.experiment.devices.heartbeat_s + 30))
        for number, group in enumerate(mine):
            program, inputs = programs.of(group)
            group_trials = [trials[position] for position in group.positions]
            published = published_weights(plan.blueprint.experiment_of(stage, group_trials[0].fields), stage, plan.blueprint.steps)
            earlier = {name: [state_of[position] for position in group.positions] for name, state_of in states.items()}
            writer = make_writer(run.path, group.name, tensorboard=train.tensorboard, trackers=train.trackers, facts=facts)
            rows = rows_file(layout, group.share)

            def write_rows(new, writer=writer, rows=rows):
                run.append_rows(new, rows)
                writer.write(new)

            def resume_rows(epochs, rows=rows, numbers=frozenset(trial.number for trial in group_trials), number=number):
                run.keep_rows(stage.name, numbers, epochs, rows)
                bar.n = number * train.num_epochs + epochs
                bar.initial += epochs  # the time left is estimated from the epochs that are trained now

            with Profiler(run.path / "profile" / group.name, 0 if number else plan.experiment.devices.profile).open() as profiler:
                trained = train_group(
                    stage=stage,
                    trials=group_trials,
                    inputs=inputs,
                    warm=warm_start(stage, earlier, len(group_trials), published),
                    program=program,
                    num_epochs=train.num_epochs,
                    checkpoints=open_checkpoints(run.path, group.name, group_trials, keep=train.keep_checkpoints),
                    checkpoint_every_epochs=train.checkpoint_every_epochs,
                    write_rows=write_rows,
                    resume_rows=resume_rows,
                    stop=processes.shared(own),
                    progress=_onto(bar, number, len(mine)),
                    profiler=profiler,
                )
            writer.close()
            bar.n = (number + 1) * train.num_epochs
            groups.append(TrainedGroup(program, group.positions, trained))
    return NetworkOutcome(stage, groups)


def _completed(plan: GridPlan, outcome: NetworkOutcome, workdir: Path, layout: Layout) -> NetworkOutcome:
    """Return the outcome with the groups that other processes have trained."""
    trained = {tuple(group.positions): group for group in outcome.groups}
    wanted = stage_groups(plan.grid, outcome.stage, layout)
    missing = [one for one in wanted if one.positions not in trained]
    trained |= {tuple(group.positions): group for group in _restore_groups(plan, outcome.stage, workdir, missing)}
    return NetworkOutcome(outcome.stage, [trained[one.positions] for one in wanted])


def _restore_network(plan: GridPlan, stage: Stage, workdir: Path) -> NetworkOutcome:
    return NetworkOutcome(stage, _restore_groups(plan, stage, workdir, stored_groups(plan.grid, stage, workdir)))


def _restore_groups(plan: GridPlan, stage: Stage, workdir: Path, wanted: Sequence[TrialGroup]) -> list[TrainedGroup]:
    programs = Programs(plan, stage, trains=False)
    states = restore_states(plan.blueprint, plan.grid, stage, workdir, wanted)
    return [TrainedGroup(programs.of(group)[0], group.positions, own) for group, own in zip(wanted, states, strict=True)]


def _onto(bar: tqdm, number: int, num_groups: int) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, text: str) -> None:
        bar.n = number * total + done
        bar.set_postfix_str(text if num_groups == 1 else f"group {number + 1} of {num_groups}, {text}", refresh=True)

    return progress
