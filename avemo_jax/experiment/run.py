"""The modes that need a trained grid: `train` makes one, `evaluate` restores one; both end with the same books."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from avemo_jax.allocator import keep_freed_memory
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.gaps import protocol_gaps
from avemo_jax.evaluation.predictions import read_predictions_csv, write_predictions_csv
from avemo_jax.evaluation.results import ProtocolResult, RunFacts, RunResults
from avemo_jax.evaluation.summary import summarise
from avemo_jax.experiment.attention import write_attention_examples
from avemo_jax.experiment.audit import audit, audit_results
from avemo_jax.experiment.baseline import baseline_predictions
from avemo_jax.experiment.features import compiler_flags
from avemo_jax.experiment.fit_probes import late_fits
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.experiment.outcomes import LateOutcome, Outcome
from avemo_jax.experiment.plan import Config, Plan, make_plan
from avemo_jax.experiment.predictions import predict_tests_and_validation
from avemo_jax.experiment.searching import add_to_search, search, summarise_search, with_chosen
from avemo_jax.experiment.settings import summarise_settings, summarise_stages
from avemo_jax.experiment.stages import restore_stages, train_stages
from avemo_jax.protocols.audit.findings import Finding, format_findings, refuse, worst_first
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.reporting.report import format_table, write_report
from avemo_jax.runs.processes import ALONE, Processes
from avemo_jax.runs.run_directory import RunDirectory, default_workdir, follow_run, open_run

LOG = logging.getLogger(__name__)
# `config.devices.product_precision` -> JAX's name. JAX's own "bfloat16" is no more than "the fastest", which a GPU takes for tensorfloat32.
PRECISIONS = {"default": None, "bfloat16": "BF16_BF16_F32", "tensorfloat32": "tensorfloat32", "float32": "float32"}


def train(config: Config, prepared: PreparedCorpus, processes: Processes = ALONE) -> dict[str, Any]:
    """Train the grid, or what is left of it, evaluate and report. Returns the content of results.json.

    Of several processes, 0 does what is to be done once; the others train their shares and return an empty dict.

    Raises:
      Preempted: the run was asked to stop and has saved.
      ConfigMismatch, LeakError, ValueError: see `open_run` and `make_plan`.
    """
    set_up_backend(config)
    if not processes.leads:
        _follow(config, prepared, processes)
        return {}
    with open_run(default_workdir(config), config) as run:
        with run.phase("plan"):
            plan = make_plan(config, prepared)
            run.bind(**run_hashes(plan, prepared))
            findings = audit(plan, prepared)
            write_audit(run, findings)
            refuse(findings)
        processes.meet("opened")
        try:
            plan = search(plan, run, run_hashes(plan, prepared))
            outcomes = train_stages(plan, run, processes)
        finally:
            run.write_run_json()
        return _finish(plan, run, prepared, outcomes, findings)


def _follow(config: Config, prepared: PreparedCorpus, processes: Processes) -> None:
    """Train the shares of a process that does not lead, of the same experiment as process 0."""
    processes.meet("opened")
    run = follow_run(default_workdir(config), config)
    plan = make_plan(config, prepared)
    run.check(**run_hashes(plan, prepared))
    train_stages(search(plan, run, run_hashes(plan, prepared)), run, processes)


def join_search(config: Config, prepared: PreparedCorpus) -> None:
    """Work on the search of a run that another process begins or has begun, on the storage that both reach; needs no run directory.

    Raises:
      Preempted: the process was asked to stop; others take over what it had begun.
      ValueError: nothing is searched, its storage serves one process, or it has another experiment's search of that name.
    """
    set_up_backend(config)
    plan = make_plan(config, prepared)
    refuse(audit(plan, prepared))
    add_to_search(plan, run_hashes(plan, prepared))


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
        run.bind(**run_hashes(plan, prepared))
        plan = with_chosen(plan, run.path)
        outcomes = restore_stages(plan, run.path)
        before = (run.path / "predictions.csv").read_bytes() if run.has("predictions.csv") else None
        findings = audit(plan, prepared)
        refuse(findings)
        results = _finish(plan, run, prepared, outcomes, findings)
        if before is not None:
            same = before == (run.path / "predictions.csv").read_bytes()
            LOG.info("predictions.csv is %s", "byte for byte what it was" if same else "NOT what it was before; devices or versions differ")
        return results


def audit_only(config: Config, prepared: PreparedCorpus) -> list[Finding]:
    """Work out the experiment and print what the leak audit finds, without training; predictions that are there are audited too."""
    plan = make_plan(config, prepared)
    findings = audit(plan, prepared)
    for table in plan.folds.tables:
        sizes = ", ".join(f"{fold.name} {len(fold.train)}/{len(fold.validation)}/{len(fold.test)}" for fold in table.folds)
        print(f"protocol {table.protocol} on {len(plan.clips)} clips (train/validation/test): {sizes}")
        print(f"{table.note}\nfold hash {table.content_hash}")
        path = default_workdir(config) / predictions_name(plan, table)
        if path.is_file():
            print(f"(with {path})")
            findings += audit_results(plan, read_predictions_csv(path), table=table)
    findings = worst_first(findings)
    print(format_findings(findings))
    return findings


def write_audit(run: RunDirectory, findings: Sequence[Finding]) -> None:
    """Write audit.json."""
    run.write_json("audit.json", [finding.as_dict() for finding in findings])


def report(config: Config) -> None:
    """Write report.html anew from the files of the run directory, and print its table.

    Raises:
      FileNotFoundError: there is no finished run.
    """
    workdir = default_workdir(config)
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    write_report(workdir)
    print(format_table(RunResults.from_json(RunDirectory(workdir).read_json("results.json"))))
    print(f"report: {workdir / 'report.html'}")


def set_up_backend(config: Config, *, encodes: bool = False) -> None:
    """Choose how XLA compiles, before anything is; the same choice in every mode gives the same bits.

    Args:
      encodes: frozen encoders run in this process too, as they do on new media.

    Raises:
      ValueError: an unknown `config.devices.product_precision`.
    """
    precision = config["devices"]["product_precision"]
    if precision not in PRECISIONS:
        raise ValueError(f"devices.product_precision must be one of {tuple(PRECISIONS)}, got {precision!r}")
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
    if config["devices"]["compilation_cache"]:
        jax.config.update("jax_compilation_cache_dir", str(Path(config["prepared_dir"]).resolve() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if encodes:
        keep_freed_memory()
    # On CPU trials run in threads of their own, and small products split over all cores take 1.5 times as long in all.
    flag = compiler_flags() if encodes else "" if convolves(config) else "--xla_cpu_multi_thread_eigen=false"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def convolves(config: Config) -> bool:
    """Whether a stream in use trains a large convolutional encoder inside the network."""
    return any(trained_encoder(config, stream) is not None for stream in config["system"]["streams"])


def _finish(
    plan: Plan, run: RunDirectory, prepared: PreparedCorpus, outcomes: Sequence[Outcome], findings: list[Finding]
) -> dict[str, Any]:
    """Predict the test parts, write predictions, results and report, and print the table.

    Of several protocols the last one is the run's own; the others stand beside it.
    """
    outcome = outcomes[-1]
    spans = plan.folds.spans()
    own, own_folds = spans[-1]
    with run.phase("evaluate"):
        predicted = {table.protocol: predict_tests_and_validation(plan, outcome, folds=folds) for table, folds in spans}
        predictions = {protocol: tested for protocol, (tested, _) in predicted.items()}
        for table, _ in spans:
            write_predictions_csv(run.path / predictions_name(plan, table), predictions[table.protocol])
        fits = list(late_fits(plan, outcome)) if isinstance(outcome, LateOutcome) else []
        for table, _ in spans:
            findings = [*findings, *audit_results(plan, predictions[table.protocol], fits if table is own else (), table=table)]
        findings = worst_first(findings)
        write_audit(run, findings)
        refuse(findings)
        if not write_attention_examples(plan, outcome, run.path / "attention.npz", own_folds):
            (run.path / "attention.npz").unlink(missing_ok=True)
    with run.phase("baseline"):
        baselines = {table.protocol: _baseline(plan, table, prepared, findings) for table, _ in spans}
    run.write_run_json()
    seconds = sum(run.read_json("run.json")["seconds"].values())
    measured = {
        table.protocol: summarise(
            predictions[table.protocol],
            RunFacts(**_facts(plan, table, findings), num_params=outcome.num_params, seconds=seconds),
            baseline=baselines[table.protocol],
            validation=predicted[table.protocol][1],
            num_train={fold.name: len(fold.train) for fold in table.folds},
        )
        for table, _ in spans
    }
    results = dataclasses.replace(
        measured[own.protocol],
        stages=summarise_stages(plan, outcomes, own_folds),
        settings=summarise_settings(plan, outcome, own_folds),
        search=summarise_search(plan, run.path, own_folds),
    )
    if plan.folds.joined:
        protocols = tuple(_protocol_result(measured[table.protocol], table) for table, _ in spans)
        results = dataclasses.replace(results, protocols=protocols, gaps=protocol_gaps(predictions))
    run.write_json("results.json", results.to_json())
    with run.phase("report"):
        write_report(run.path)
    print(format_table(results))
    print(f"report: {run.path / 'report.html'}")
    return results.to_json()


def predictions_name(plan: Plan, table: FoldTable) -> str:
    """File of a protocol's predictions: predictions.csv for the run's own, which is the last one that the config names."""
    return "predictions.csv" if table is plan.folds.tables[-1] else f"predictions-{table.protocol}.csv"


def _protocol_result(results: RunResults, table: FoldTable) -> ProtocolResult:
    return ProtocolResult(
        protocol=results.protocol,
        speaker_independent=results.speaker_independent,
        fold_hash=results.fold_hash,
        num_folds=len(table.folds),
        num_clips=results.num_clips,
        leaks=results.leaks,
        metrics=results.metrics,
        baseline=None if results.baseline is None else results.baseline.metrics,
    )


def _baseline(plan: Plan, table: FoldTable, prepared: PreparedCorpus, findings: list[Finding]) -> RunResults | None:
    """The classical baseline's results on the same folds; None where there is no sound, or a fold is too poor to fit it on."""
    if prepared.functionals is None or plan.stages[-1].part == "svm":  # which is this very row
        return None
    started = time.perf_counter()
    try:
        predictions = baseline_predictions(plan, prepared.functionals, table.folds)
    except ValueError as error:
        LOG.warning("no row of the classical baseline: %s", error)
        return None
    facts = _facts(plan, table, findings) | {"system": "functionals_svm"}
    return summarise(predictions, RunFacts(**facts, num_params=0, seconds=time.perf_counter() - started))


def _facts(plan: Plan, table: FoldTable, findings: list[Finding]) -> dict[str, Any]:
    config = plan.config
    worn = [finding.name for finding in findings if finding.is_worn and finding.protocol in ("", table.protocol)]
    return {
        "corpus": config["corpus"]["name"],
        "system": config["system"]["name"],
        "protocol": table.protocol,
        "label_set": plan.labels.name,
        "label_target": config["corpus"]["label_target"],
        "fold_hash": table.content_hash,
        "select": config["protocol"]["select"],
        "num_undecodable": plan.num_undecodable,
        "num_without_face": plan.num_without_face,
        "leaks": tuple(dict.fromkeys(worn)),
        "speaker_independent": table.speaker_independent,
    }


def run_hashes(plan: Plan, prepared: PreparedCorpus) -> dict[str, Any]:
    """What a run is tied to: its prepared sets, its folds, its grid."""
    return {
        "prepared_sets": {stream: one.manifest.content_hash for stream, one in prepared.sets.items()},
        "prepared_keys": {stream: one.manifest.key for stream, one in prepared.sets.items()},
        "fold_hash": plan.folds.content_hash,
        "fold_note": plan.folds.note,
        "num_trials": len(plan.trials),
        "num_steps": {stream: plan.data.num_steps(stream) for stream in plan.data.streams},
        "stages": [stage.name for stage in plan.stages],
    }
