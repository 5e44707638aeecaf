"""The modes that need a trained grid: `train` makes one, `evaluate` restores one; both end with the same books."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from avemo_jax import parallel
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.data.stream import StreamedSet
from avemo_jax.evaluation.report import format_table, write_report
from avemo_jax.evaluation.results import summarise, write_predictions_csv
from avemo_jax.experiment.attention import write_attention_examples
from avemo_jax.experiment.audit import audit
from avemo_jax.experiment.baseline import baseline_predictions
from avemo_jax.experiment.plan import Config, Plan, make_plan
from avemo_jax.experiment.predictions import predict_tests
from avemo_jax.training.checkpoints import Checkpoints
from avemo_jax.training.execution import TrialProgram, choose_execution
from avemo_jax.training.grid import Stage, train_batch, warm_start
from avemo_jax.training.preemption import listen
from avemo_jax.training.run_directory import RunDirectory, default_workdir, open_run
from avemo_jax.training.state import TrialState
from avemo_jax.training.stream_program import StreamProgram
from avemo_jax.training.writers import make_writer

LOG = logging.getLogger(__name__)
Program = TrialProgram | StreamProgram


def train(config: Config, prepared: PreparedCorpus) -> dict[str, Any]:
    """Train the grid, or what is left of it, evaluate and report. Returns the content of results.json.

    Raises:
      Preempted: the run was asked to stop and has saved.
      ConfigMismatch, LeakError, ValueError: see `open_run` and `make_plan`.
    """
    set_up_backend(config)
    with open_run(default_workdir(config), config) as run:
        with run.phase("plan"):
            plan = make_plan(config, prepared)
            run.bind(**_hashes(plan, prepared))
            findings = audit(plan)
            run.write_json("audit.json", findings)
        try:
            finished: dict[str, list[TrialState]] = {}
            for stage in plan.stages:
                with run.phase(f"train {stage.name}"):
                    program, finished[stage.name] = _train_stage(plan, stage, run, finished)
        finally:
            run.write_run_json()
        return _finish(plan, run, prepared, program, finished[plan.stages[-1].name], findings)


def evaluate(config: Config, prepared: PreparedCorpus) -> dict[str, Any]:
    """Restore a trained grid from its checkpoints, predict again, and report. Trains nothing.

    Raises:
      FileNotFoundError: the run directory has no finished training.
    """
    set_up_backend(config)
    workdir = default_workdir(config)
    if not (workdir / "config.json").is_file():
        raise FileNotFoundError(f"no run in {workdir}; train it first: the same command with --mode=train")
    with open_run(workdir, config) as run:
        plan = make_plan(config, prepared)
        run.bind(**_hashes(plan, prepared))
        program, states = restore(plan, run.path)
        before = (run.path / "predictions.csv").read_bytes() if run.has("predictions.csv") else None
        results = _finish(plan, run, prepared, program, states, audit(plan))
        if before is not None:
            same = before == (run.path / "predictions.csv").read_bytes()
            LOG.info("predictions.csv is %s", "byte for byte what it was" if same else "NOT what it was before; devices or versions differ")
        return results


def audit_only(config: Config, prepared: PreparedCorpus) -> list[dict[str, Any]]:
    """Work out the experiment and print what the leak audit finds, without training."""
    plan = make_plan(config, prepared)
    findings = audit(plan)
    sizes = ", ".join(f"{fold.name} {len(fold.train)}/{len(fold.validation)}/{len(fold.test)}" for fold in plan.folds.folds)
    print(f"protocol {plan.folds.protocol} on {len(plan.clips)} clips (train/validation/test): {sizes}")
    print(f"{plan.folds.note}\nfold hash {plan.folds.content_hash}")
    for finding in findings:
        print(f"{finding['finding']}: {finding['detail']}")
    print(f"{len(findings)} findings" if findings else "no findings")
    return findings


def report(config: Config) -> None:
    """Write report.html anew from the files of the run directory, and print its table.

    Raises:
      FileNotFoundError: there is no finished run.
    """
    workdir = default_workdir(config)
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    write_report(workdir)
    print(format_table(RunDirectory(workdir).read_json("results.json")))
    print(f"report: {workdir / 'report.html'}")


def restore(plan: Plan, workdir: Path) -> tuple[Program, list[TrialState]]:
    """The last stage's program and its trained trials.

    Raises:
      FileNotFoundError: training has not finished.
    """
    stage = plan.stages[-1]
    program = make_program(plan, stage)
    inputs = plan.inputs(stage)
    nothing: dict[str, Any] = {"params": {}, "batch_stats": {}}
    restored = _checkpoints(plan, stage, workdir).restore([program.trial_shape(inputs[0], nothing)] * len(inputs))
    if restored is None or restored[0] < plan.config["train"]["num_epochs"]:
        found = "nothing" if restored is None else f"epoch {restored[0]} of {plan.config['train']['num_epochs']}"
        raise FileNotFoundError(
            f"training in {workdir} has not finished (stage {stage.name}: {found}); run the same command with --mode=train"
        )
    return program, restored[1]


def make_program(plan: Plan, stage: Stage) -> Program:
    """Compile-ready program of a stage."""
    devices = plan.config["devices"]
    net, recipe, inputs = plan.net(stage), plan.recipe(stage), plan.inputs(stage)
    data = plan.data.only(stage.streams)
    execution = choose_execution(devices["execution"], backend=jax.default_backend(), convolves=convolves(plan.config))
    num_steps = -(-max(int(one.train_count) for one in inputs) // recipe.batch_size)
    mesh = parallel.make_mesh(data_shards=devices["data_shards"])
    if isinstance(data, StreamedSet):
        return StreamProgram(net, recipe, data, mesh, num_steps)
    return TrialProgram(net, recipe, dict(data.arrays), execution, mesh, num_steps)


def set_up_backend(config: Config) -> None:
    """Choose how XLA compiles, before anything is; the same choice in every mode gives the same bits."""
    if config["devices"]["compilation_cache"]:
        jax.config.update("jax_compilation_cache_dir", str(Path(config["prepared_dir"]).resolve() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if not convolves(config):
        # On CPU trials run in threads of their own, and small products split over all cores take 1.5 times as long in all.
        flag = "--xla_cpu_multi_thread_eigen=false"
        if flag not in os.environ.get("XLA_FLAGS", ""):
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def convolves(config: Config) -> bool:
    """Whether a stream in use runs a large convolutional encoder inside the network."""
    return any(config["model"][stream]["encoder"] in ("vggish", "inception_v3") for stream in config["system"]["streams"])


def _train_stage(plan: Plan, stage: Stage, run: RunDirectory, finished: dict[str, list[TrialState]]) -> tuple[Program, list[TrialState]]:
    train = plan.config["train"]
    program = make_program(plan, stage)
    writer = make_writer(run.path / "tensorboard" / stage.name, wanted=train["tensorboard"])

    def write_rows(rows):
        run.append_rows(rows)
        writer.write(rows)

    with listen() as stop, tqdm(total=train["num_epochs"], desc=stage.name, unit="epoch") as bar:
        states = train_batch(
            stage=stage,
            trials=plan.trials,
            inputs=plan.inputs(stage),
            warm=warm_start(stage, finished, len(plan.trials)),
            program=program,
            num_epochs=train["num_epochs"],
            checkpoints=_checkpoints(plan, stage, run.path),
            checkpoint_every_epochs=train["checkpoint_every_epochs"],
            write_rows=write_rows,
            resume_rows=lambda epochs: run.keep_rows(stage.name, epochs),
            stop=stop,
            progress=_onto(bar),
        )
    writer.close()
    return program, states


def _onto(bar: tqdm) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, text: str) -> None:
        bar.n = done
        bar.set_postfix_str(text, refresh=True)

    return progress


def _checkpoints(plan: Plan, stage: Stage, workdir: Path) -> Checkpoints:
    return Checkpoints(workdir / "checkpoints" / stage.name, keep=plan.config["train"]["keep_checkpoints"], warn=LOG.warning)


def _finish(
    plan: Plan,
    run: RunDirectory,
    prepared: PreparedCorpus,
    program: Program,
    states: Sequence[TrialState],
    findings: list[dict[str, Any]],
) -> dict[str, Any]:
    """Predict the test parts, write predictions, results and report, and print the table."""
    with run.phase("evaluate"):
        predictions = predict_tests(plan, program, states)
        write_predictions_csv(run.path / "predictions.csv", predictions)
        if not write_attention_examples(plan, states, run.path / "attention.npz"):
            (run.path / "attention.npz").unlink(missing_ok=True)
    with run.phase("baseline"):
        baseline = _baseline(plan, prepared, findings)
    run.write_run_json()
    seconds = sum(run.read_json("run.json")["seconds"].values())
    num_params = sum(leaf.size for leaf in jax.tree.leaves(states[0].best.params))
    results = summarise(predictions, **_facts(plan, findings), num_params=num_params, seconds=seconds, baseline=baseline)
    run.write_json("results.json", results)
    with run.phase("report"):
        write_report(run.path)
    print(format_table(results))
    print(f"report: {run.path / 'report.html'}")
    return results


def _baseline(plan: Plan, prepared: PreparedCorpus, findings: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The classical baseline's results on the same folds; None where there is no sound, or a fold is too poor to fit it on."""
    if prepared.functionals is None:
        return None
    started = time.perf_counter()
    try:
        predictions = baseline_predictions(plan, prepared.functionals)
    except ValueError as error:
        LOG.warning("no row of the classical baseline: %s", error)
        return None
    facts = _facts(plan, findings) | {"system": "functionals_svm", "num_params": 0}
    return summarise(predictions, **facts, seconds=time.perf_counter() - started)


def _facts(plan: Plan, findings: list[dict[str, Any]]) -> dict[str, Any]:
    config = plan.config
    return {
        "corpus": config["corpus"]["name"],
        "system": config["system"]["name"],
        "protocol": plan.folds.protocol,
        "label_set": plan.labels.name,
        "label_target": config["corpus"]["label_target"],
        "fold_hash": plan.folds.content_hash,
        "select": config["protocol"]["select"],
        "num_undecodable": plan.num_undecodable,
        "num_without_face": plan.num_without_face,
        "leaks": [finding["finding"] for finding in findings],
        "speaker_independent": plan.folds.speaker_independent,
    }


def _hashes(plan: Plan, prepared: PreparedCorpus) -> dict[str, Any]:
    return {
        "prepared_sets": {stream: one.manifest.content_hash for stream, one in prepared.sets.items()},
        "prepared_keys": {stream: one.manifest.key for stream, one in prepared.sets.items()},
        "fold_hash": plan.folds.content_hash,
        "fold_note": plan.folds.note,
        "num_trials": len(plan.trials),
        "stages": [stage.name for stage in plan.stages],
    }
