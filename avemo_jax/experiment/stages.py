"""The stages of a run, trained or restored: batch of trials after batch, stage after stage."""

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
from avemo_jax.experiment.batches import (
    Layout,
    TrialBatch,
    describe,
    estimate_needs,
    execution_of,
    is_network,
    layout_of,
    make_layout,
    rows_file,
    stage_batches,
)
from avemo_jax.experiment.encoder_weights import published_weights
from avemo_jax.experiment.fields import for_stage
from avemo_jax.experiment.outcomes import (
    Batch,
    NetworkOutcome,
    Outcome,
    Program,
    fit_late,
    fit_machines,
    restore_late,
)
from avemo_jax.experiment.plan import Config, Plan
from avemo_jax.json_lines import read_rows
from avemo_jax.runs.checkpoints import Checkpoints
from avemo_jax.runs.preemption import listen
from avemo_jax.runs.processes import ALONE, Processes
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.runs.writers import make_writer
from avemo_jax.training import programs
from avemo_jax.training.stage import NO_WARM_START, Stage, warm_start
from avemo_jax.training.state import TrialInputs
from avemo_jax.training.train_loop import train_group
from avemo_jax.training.trials import Trial, trial_groups

LOG = logging.getLogger(__name__)
LATE_FILE = "late.json"


def train_stages(plan: Plan, run: RunDirectory, processes: Processes = ALONE) -> list[Outcome]:
    """Train all stages, or what is left of them; returns their outcomes, in order.

    Of several processes each trains its shares. Process 0 then reads what the others have left and gets the outcomes of all trials; the
    others get none.
    """
    layout = _settle_layout(plan, run, processes)
    finished: dict[str, NetworkOutcome] = {}
    for stage in filter(is_network, plan.stages):
        with run.phase(f"train {stage.name}"):
            finished[stage.name] = _train_network(plan, stage, run, finished, layout, processes)
    processes.meet("trained")
    if processes.leads:
        finished = {name: _completed(plan, outcome, run.path, layout) for name, outcome in finished.items()}
        if layout.num_shares > 1:
            _join_rows(plan, run, layout)
    processes.leave()
    if not processes.leads:
        return []
    outcomes: list[Outcome] = []
    for stage in plan.stages:
        with run.phase(f"train {stage.name}"):
            if stage.part == "inner":
                late = fit_late(plan, stage, [finished[name] for name in stage.takes_over])
                run.write_json(LATE_FILE, late.as_json(plan.trials))
                outcomes.append(late)
            else:
                outcomes.append(fit_machines(plan, stage) if stage.part == "svm" else finished[stage.name])
    return outcomes


def restore_stages(plan: Plan, workdir: Path) -> list[Outcome]:
    """Restore all stages from the run directory; trains nothing.

    Raises:
      FileNotFoundError, DamagedCheckpoint: as `restore_last`.
    """
    earlier = [_restore_network(plan, stage, workdir) for stage in plan.stages[:-1]]
    return [*earlier, restore_last(plan, workdir, earlier)]


def restore_last(plan: Plan, workdir: Path, earlier: Sequence[NetworkOutcome] | None = None) -> Outcome:
    """Restore what the last stage needs to judge.

    Args:
      earlier: the stages before it where they are restored already.

    Raises:
      FileNotFoundError: training has not finished.
      DamagedCheckpoint: no checkpoint of a stage is whole.
    """
    last = plan.stages[-1]
    if last.part == "svm":
        return fit_machines(plan, last)  # seconds, and the same machines
    if last.part != "inner":
        return _restore_network(plan, last, workdir)
    path = workdir / LATE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"training in {workdir} has not finished (no {LATE_FILE}); run the same command with --mode=train")
    if earlier is None:
        earlier = [_restore_network(plan, stage, workdir) for stage in plan.stages[:-1]]
    return restore_late(last, earlier, json.loads(path.read_text()))


def make_program(plan: Plan, stage: Stage, trials: Sequence[Trial], inputs: Sequence[TrialInputs], *, num_lanes: int = 0) -> Program:
    """Compile-ready program of a batch of trials, which share all that changes a program.

    Args:
      num_lanes: trials that it is compiled for, where they run side by side; fewer are filled up.
    """
    net, recipe = plan.net(stage, trials[0]), plan.recipe(stage, trials[0])
    num_steps = -(-max(int(one.train_count) for one in inputs) // recipe.batch_size)
    mesh = parallel.make_mesh(data_shards=plan.config["devices"]["data_shards"])
    feed, execution = plan.data.only(stage.streams), execution_of(plan, stage, trials[0])
    return programs.make_program(net, recipe, feed, execution, mesh, num_steps=num_steps, num_lanes=num_lanes)


def _settle_layout(plan: Plan, run: RunDirectory, processes: Processes) -> Layout:
    """How the run is cut, as it was when it began; says what is to be done."""
    if processes.leads:
        needs = estimate_needs(plan)
        facts = run.read_json("run.json") if run.has("run.json") else {}
        begun = "layout" in facts or (run.path / "checkpoints").exists()  # by a version that did not write it down
        layout = layout_of(facts) if begun else make_layout(plan, needs, num_processes=processes.count)
        if "layout" not in facts:
            run.write_run_json(layout=layout.as_dict())
        LOG.info("%s", describe(plan, layout, needs, _rows(run, layout), num_processes=processes.count))
    processes.meet("planned")
    return layout_of(run.read_json("run.json"))


def _rows(run: RunDirectory, layout: Layout) -> list[dict[str, Any]]:
    paths = [run.path / rows_file(layout, share) for share in range(layout.num_shares)]
    return [row for path in paths if path.exists() for row in read_rows(path)]


def _join_rows(plan: Plan, run: RunDirectory, layout: Layout) -> None:
    """Put the rows of all shares into metrics.jsonl, in the order that one process with all trials in one batch writes."""
    order: dict[tuple[str, int], tuple[int, int]] = {}
    for place, stage in enumerate(filter(is_network, plan.stages)):
        trials = plan.trials_of(stage)
        order |= {(stage.name, trials[i].number): (place, group) for group, own in enumerate(trial_groups(trials)) for i in own}
    rows = sorted(_rows(run, layout), key=lambda row: (order[row["stage"], row["trial"]], row["epoch"], row["trial"]))
    with atomic_file(run.path / "metrics.jsonl") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


class _Programs:
    """The programs of a stage: batches that differ in their trials alone share one, so that it is compiled once."""

    def __init__(self, plan: Plan, stage: Stage):
        self._plan, self._stage = plan, stage
        self._trials = plan.trials_of(stage)
        self._made: dict[tuple[Any, ...], tuple[Program, dict[int, TrialInputs]]] = {}

    def of(self, batch: TrialBatch) -> tuple[Program, list[TrialInputs]]:
        key = (batch.group, batch.size)
        if key not in self._made:
            group = [self._trials[position] for position in batch.group]
            inputs = self._plan.inputs(self._stage, group)  # of the whole group, which are padded to one length
            program = make_program(self._plan, self._stage, group, inputs, num_lanes=batch.size)
            self._made[key] = program, dict(zip(batch.group, inputs, strict=True))
        program, inputs_of = self._made[key]
        return program, [inputs_of[position] for position in batch.positions]


def _train_network(
    plan: Plan, stage: Stage, run: RunDirectory, finished: dict[str, NetworkOutcome], layout: Layout, processes: Processes
) -> NetworkOutcome:
    """Train the batches of a stage that are this process's."""
    trials = plan.trials_of(stage)
    states = {name: outcome.state_of for name, outcome in finished.items()}
    config = for_stage(plan.config, stage.name)
    num_epochs = config["train"]["num_epochs"]
    mine = [batch for batch in stage_batches(plan, stage, layout) if batch.share % processes.count == processes.number]
    programs = _Programs(plan, stage)
    batches = []
    whose = f" {processes.number + 1}/{processes.count}" if processes.count > 1 else ""
    with listen() as own, tqdm(total=num_epochs * len(mine), desc=f"{stage.name}{whose}", unit="epoch") as bar, ExitStack() as locks:
        for share in sorted({batch.share for batch in mine}) if layout.num_shares > 1 else ():
            locks.enter_context(run.lock_share(share, timeout_s=2 * config["devices"]["heartbeat_s"] + 30))
        for number, batch in enumerate(mine):
            program, inputs = programs.of(batch)
            batch_trials = [trials[position] for position in batch.positions]
            published = published_weights(plan.config_of(stage, batch_trials[0]), stage, plan.data)
            earlier = {name: [state_of[position] for position in batch.positions] for name, state_of in states.items()}
            writer = make_writer(run.path / "tensorboard" / batch.name, wanted=config["train"]["tensorboard"])
            rows = rows_file(layout, batch.share)

            def write_rows(new, writer=writer, rows=rows):
                run.append_rows(new, rows)
                writer.write(new)

            def resume_rows(epochs, rows=rows, numbers=frozenset(trial.number for trial in batch_trials), number=number):
                run.keep_rows(stage.name, numbers, epochs, rows)
                bar.n = number * num_epochs + epochs
                bar.initial += epochs  # so that the time left is that of what is trained now

            trained = train_group(
                stage=stage,
                trials=batch_trials,
                inputs=inputs,
                warm=warm_start(stage, earlier, len(batch_trials), published),
                program=program,
                num_epochs=num_epochs,
                checkpoints=_checkpoints(config, run.path / "checkpoints" / batch.name),
                checkpoint_every_epochs=config["train"]["checkpoint_every_epochs"],
                write_rows=write_rows,
                resume_rows=resume_rows,
                stop=processes.shared(own),
                progress=_onto(bar, number, len(mine)),
            )
            writer.close()
            bar.n = (number + 1) * num_epochs
            batches.append(Batch(program, batch.positions, trained))
    return NetworkOutcome(stage, batches)


def _completed(plan: Plan, outcome: NetworkOutcome, workdir: Path, layout: Layout) -> NetworkOutcome:
    """The outcome with the batches that other processes have trained."""
    there = {tuple(batch.positions): batch for batch in outcome.batches}
    missing = [one for one in stage_batches(plan, outcome.stage, layout) if one.positions not in there]
    restored = {tuple(batch.positions): batch for batch in _restore_batches(plan, outcome.stage, workdir, missing)}
    both = there | restored
    return NetworkOutcome(outcome.stage, [both[one.positions] for one in stage_batches(plan, outcome.stage, layout)])


def _restore_network(plan: Plan, stage: Stage, workdir: Path) -> NetworkOutcome:
    path = workdir / "run.json"
    layout = layout_of(json.loads(path.read_text()) if path.is_file() else {})
    return NetworkOutcome(stage, _restore_batches(plan, stage, workdir, stage_batches(plan, stage, layout)))


def _restore_batches(plan: Plan, stage: Stage, workdir: Path, wanted: Sequence[TrialBatch]) -> list[Batch]:
    config = for_stage(plan.config, stage.name)
    programs = _Programs(plan, stage)
    batches = []
    for batch in wanted:
        program, inputs = programs.of(batch)
        checkpoints = _checkpoints(config, workdir / "checkpoints" / batch.name)
        restored = checkpoints.restore([program.trial_shape(inputs[0], NO_WARM_START)] * len(inputs))
        if restored is None or restored[0] < config["train"]["num_epochs"]:
            found = "nothing" if restored is None else f"epoch {restored[0]} of {config['train']['num_epochs']}"
            raise FileNotFoundError(
                f"training in {workdir} has not finished (stage {stage.name}: {found}); run the same command with --mode=train"
            )
        batches.append(Batch(program, batch.positions, restored[1]))
    return batches


def _onto(bar: tqdm, number: int, num_batches: int) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, text: str) -> None:
        bar.n = number * total + done
        bar.set_postfix_str(text if num_batches == 1 else f"batch {number + 1} of {num_batches}, {text}", refresh=True)

    return progress


def _checkpoints(config: Config, directory: Path) -> Checkpoints:
    return Checkpoints(directory, keep=config["train"]["keep_checkpoints"], warn=LOG.warning)
