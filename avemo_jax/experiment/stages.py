"""The stages of a run, trained or restored: batch of trials after batch, stage after stage."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from avemo_jax import parallel
from avemo_jax.data.stream import StreamedSet
from avemo_jax.experiment import networks
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
from avemo_jax.training.checkpoints import Checkpoints
from avemo_jax.training.execution import TrialProgram, choose_execution
from avemo_jax.training.grid import Stage, Trial, batches_of, train_batch, warm_start
from avemo_jax.training.preemption import listen
from avemo_jax.training.run_directory import RunDirectory
from avemo_jax.training.state import TrialInputs
from avemo_jax.training.stream_program import StreamProgram
from avemo_jax.training.writers import make_writer

LOG = logging.getLogger(__name__)
LATE_FILE = "late.json"


def train_stages(plan: Plan, run: RunDirectory) -> list[Outcome]:
    """Train all stages, or what is left of them; returns their outcomes, in order."""
    finished: dict[str, NetworkOutcome] = {}
    outcomes: list[Outcome] = []
    for stage in plan.stages:
        with run.phase(f"train {stage.name}"):
            if stage.part == "inner":
                late = fit_late(plan, stage, [finished[name] for name in stage.takes_over])
                run.write_json(LATE_FILE, late.as_json(plan.trials))
                outcomes.append(late)
            elif stage.part == "svm":
                outcomes.append(fit_machines(plan, stage))
            else:
                finished[stage.name] = _train_network(plan, stage, run, finished)
                outcomes.append(finished[stage.name])
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


def checkpoint_directories(workdir: Path, stage: Stage, num_batches: int) -> list[Path]:
    """Where the batches of a stage keep their checkpoints: one folder, or where a sweep changes the program one a batch."""
    if num_batches == 1:
        return [workdir / "checkpoints" / stage.name]
    return [workdir / "checkpoints" / f"{stage.name}-{number}" for number in range(num_batches)]


def make_program(plan: Plan, stage: Stage, trials: Sequence[Trial], inputs: Sequence[TrialInputs]) -> Program:
    """Compile-ready program of a batch of trials, which share all that changes a program."""
    devices = plan.config["devices"]
    net, recipe = plan.net(stage, trials[0]), plan.recipe(stage, trials[0])
    data = plan.data.only(stage.streams)
    convolves = any(networks.trained_encoder(plan.config_of(stage, trials[0]), stream) for stream in stage.streams)
    execution = choose_execution(devices["execution"], backend=jax.default_backend(), convolves=convolves)
    num_steps = -(-max(int(one.train_count) for one in inputs) // recipe.batch_size)
    mesh = parallel.make_mesh(data_shards=devices["data_shards"])
    if isinstance(data, StreamedSet):
        return StreamProgram(net, recipe, data, mesh, num_steps)
    return TrialProgram(net, recipe, dict(data.arrays), execution, mesh, num_steps)


def _train_network(plan: Plan, stage: Stage, run: RunDirectory, finished: dict[str, NetworkOutcome]) -> NetworkOutcome:
    trials = plan.trials_of(stage)
    groups = batches_of(trials)
    states = {name: outcome.states for name, outcome in finished.items()}
    directories = checkpoint_directories(run.path, stage, len(groups))
    config = for_stage(plan.config, stage.name)
    batches = []
    for number, (positions, directory) in enumerate(zip(groups, directories, strict=True)):
        mine = [trials[position] for position in positions]
        inputs = plan.inputs(stage, mine)
        program = make_program(plan, stage, mine, inputs)
        published = published_weights(plan.config_of(stage, mine[0]), stage, plan.data)
        warm = warm_start(stage, states, len(trials), published)
        name = stage.name if len(groups) == 1 else f"{stage.name} {number + 1} of {len(groups)}"
        writer = make_writer(run.path / "tensorboard" / directory.name, wanted=config["train"]["tensorboard"])

        def write_rows(rows, writer=writer):
            run.append_rows(rows)
            writer.write(rows)

        def resume_rows(epochs, numbers=frozenset(trial.number for trial in mine)):
            run.keep_rows(stage.name, numbers, epochs)

        with listen() as stop, tqdm(total=config["train"]["num_epochs"], desc=name, unit="epoch") as bar:
            trained = train_batch(
                stage=stage,
                trials=mine,
                inputs=inputs,
                warm=[warm[position] for position in positions],
                program=program,
                num_epochs=config["train"]["num_epochs"],
                checkpoints=_checkpoints(config, directory),
                checkpoint_every_epochs=config["train"]["checkpoint_every_epochs"],
                write_rows=write_rows,
                resume_rows=resume_rows,
                stop=stop,
                progress=_onto(bar),
            )
        writer.close()
        batches.append(Batch(program, positions, trained))
    return NetworkOutcome(stage, batches)


def _restore_network(plan: Plan, stage: Stage, workdir: Path) -> NetworkOutcome:
    trials = plan.trials_of(stage)
    groups = batches_of(trials)
    config = for_stage(plan.config, stage.name)
    nothing: dict[str, Any] = {"params": {}, "batch_stats": {}}
    batches = []
    for positions, directory in zip(groups, checkpoint_directories(workdir, stage, len(groups)), strict=True):
        mine = [trials[position] for position in positions]
        inputs = plan.inputs(stage, mine)
        program = make_program(plan, stage, mine, inputs)
        restored = _checkpoints(config, directory).restore([program.trial_shape(inputs[0], nothing)] * len(mine))
        if restored is None or restored[0] < config["train"]["num_epochs"]:
            found = "nothing" if restored is None else f"epoch {restored[0]} of {config['train']['num_epochs']}"
            raise FileNotFoundError(
                f"training in {workdir} has not finished (stage {stage.name}: {found}); run the same command with --mode=train"
            )
        batches.append(Batch(program, positions, restored[1]))
    return NetworkOutcome(stage, batches)


def _onto(bar: tqdm) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, text: str) -> None:
        bar.n = done
        bar.set_postfix_str(text, refresh=True)

    return progress


def _checkpoints(config: Config, directory: Path) -> Checkpoints:
    return Checkpoints(directory, keep=config["train"]["keep_checkpoints"], warn=LOG.warning)
