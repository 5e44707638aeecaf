"""The modes that need a trained grid: `train` makes one, `evaluate` restores one; both end with the same books."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.report import format_table, write_report
from avemo_jax.evaluation.results import read_predictions_csv, summarise, write_predictions_csv
from avemo_jax.experiment.attention import write_attention_examples
from avemo_jax.experiment.audit import audit, audit_results
from avemo_jax.experiment.baseline import baseline_predictions
from avemo_jax.experiment.fit_probes import late_fits
from avemo_jax.experiment.networks import trained_encoder
from avemo_jax.experiment.outcomes import LateOutcome, Outcome
from avemo_jax.experiment.plan import Config, Plan, make_plan
from avemo_jax.experiment.predictions import predict_tests
from avemo_jax.experiment.settings import summarise_settings, summarise_stages
from avemo_jax.experiment.stages import restore_stages, train_stages
from avemo_jax.protocols.findings import Finding, format_findings, refuse
from avemo_jax.training.run_directory import RunDirectory, default_workdir, open_run

LOG = logging.getLogger(__name__)


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
            findings = audit(plan, prepared)
            write_audit(run, findings)
            refuse(findings)
        try:
            outcomes = train_stages(plan, run)
        finally:
            run.write_run_json()
        return _finish(plan, run, prepared, outcomes, findings)


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
    predictions = default_workdir(config) / "predictions.csv"
    if predictions.is_file():
        findings += audit_results(plan, read_predictions_csv(predictions))
    sizes = ", ".join(f"{fold.name} {len(fold.train)}/{len(fold.validation)}/{len(fold.test)}" for fold in plan.folds.folds)
    print(f"protocol {plan.folds.protocol} on {len(plan.clips)} clips (train/validation/test): {sizes}")
    print(f"{plan.folds.note}\nfold hash {plan.folds.content_hash}")
    print(format_findings(findings))
    if predictions.is_file():
        print(f"({predictions} is audited with it)")
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
    print(format_table(RunDirectory(workdir).read_json("results.json")))
    print(f"report: {workdir / 'report.html'}")


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
    """Whether a stream in use trains a large convolutional encoder inside the network."""
    return any(trained_encoder(config, stream) is not None for stream in config["system"]["streams"])


def _finish(
    plan: Plan, run: RunDirectory, prepared: PreparedCorpus, outcomes: Sequence[Outcome], findings: list[Finding]
) -> dict[str, Any]:
    """Predict the test parts, write predictions, results and report, and print the table."""
    outcome = outcomes[-1]
    with run.phase("evaluate"):
        predictions = predict_tests(plan, outcome)
        write_predictions_csv(run.path / "predictions.csv", predictions)
        fits = list(late_fits(plan, outcome)) if isinstance(outcome, LateOutcome) else []
        findings = [*findings, *audit_results(plan, predictions, fits)]
        write_audit(run, findings)
        refuse(findings)
        if not write_attention_examples(plan, outcome, run.path / "attention.npz"):
            (run.path / "attention.npz").unlink(missing_ok=True)
    with run.phase("baseline"):
        baseline = _baseline(plan, prepared, findings)
    run.write_run_json()
    seconds = sum(run.read_json("run.json")["seconds"].values())
    facts = _facts(plan, findings) | {"num_params": outcome.num_params}
    results = summarise(predictions, **facts, seconds=seconds, baseline=baseline)
    results |= summarise_stages(plan, outcomes) | summarise_settings(plan, outcome)
    run.write_json("results.json", results)
    with run.phase("report"):
        write_report(run.path)
    print(format_table(results))
    print(f"report: {run.path / 'report.html'}")
    return results


def _baseline(plan: Plan, prepared: PreparedCorpus, findings: list[Finding]) -> dict[str, Any] | None:
    """The classical baseline's results on the same folds; None where there is no sound, or a fold is too poor to fit it on."""
    if prepared.functionals is None or plan.stages[-1].part == "svm":  # which is this very row
        return None
    started = time.perf_counter()
    try:
        predictions = baseline_predictions(plan, prepared.functionals)
    except ValueError as error:
        LOG.warning("no row of the classical baseline: %s", error)
        return None
    facts = _facts(plan, findings) | {"system": "functionals_svm", "num_params": 0}
    return summarise(predictions, **facts, seconds=time.perf_counter() - started)


def _facts(plan: Plan, findings: list[Finding]) -> dict[str, Any]:
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
        "leaks": list(dict.fromkeys(finding.name for finding in findings if finding.is_worn)),
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
