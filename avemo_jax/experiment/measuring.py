"""Evaluation of a trained run: predictions, results, baseline and report."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.gaps import protocol_gaps
from avemo_jax.evaluation.predictions import PredictionSource, largest_difference
from avemo_jax.evaluation.results import Confusion, ProtocolResult, RunFacts, RunResults
from avemo_jax.evaluation.stored_predictions import read_predictions, write_predictions
from avemo_jax.evaluation.summary import summarise
from avemo_jax.experiment.attention import write_attention_examples
from avemo_jax.experiment.audit import audit_results, write_audit
from avemo_jax.experiment.baseline import BASELINE_SYSTEM, fit_baseline, mean_ratings
from avemo_jax.experiment.fit_probes import late_fits
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import LateOutcome, Outcome
from avemo_jax.experiment.predictions import chosen_trials, predict_parts, predict_tests_and_validation
from avemo_jax.experiment.searching import summarise_search
from avemo_jax.experiment.summaries import summarise_settings, summarise_stages
from avemo_jax.protocols.audit.findings import Finding, refuse, worst_first
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.reporting.report import format_table, write_report
from avemo_jax.runs.run_directory import ChangedPredictions, RunDirectory
from avemo_jax.runs.time_spent import BEFORE_RUN

LOG = logging.getLogger(__name__)
# Largest difference of a probability that evaluation again may find: rounding by other numbers of cores is below 1e-5, that of another
# kind of device below 1e-3.
_LARGEST_ROUNDING = 1e-3


def measure_run(
    plan: GridPlan,
    run: RunDirectory,
    prepared: PreparedCorpus,
    outcomes: Sequence[Outcome],
    findings: list[Finding],
    *,
    refuse_changes: bool = False,
) -> RunResults:
    """Predict the test parts, write predictions, results and report, and print the table; return the results.

    Where the config names several protocols, the main results are those of the last one, and `RunResults.protocols` has those of all.

    Args:
      refuse_changes: compare with the predictions that the run has, before they are replaced.

    Raises:
      ChangedPredictions: `refuse_changes`, and the run has other predictions; its files stay as they are.
    """
    with tempfile.TemporaryDirectory(prefix=".predictions-", dir=run.path) as folder:  # of files of many predictions
        return _measure_run(plan, run, prepared, outcomes, findings, Path(folder), refuse_changes)


def _measure_run(
    plan: GridPlan,
    run: RunDirectory,
    prepared: PreparedCorpus,
    outcomes: Sequence[Outcome],
    findings: list[Finding],
    folder: Path,
    refuse_changes: bool,
) -> RunResults:
    outcome = outcomes[-1]
    spans = plan.folds.spans()
    own, own_folds = spans[-1]
    with run.phase("evaluate"):
        predicted = {}
        for table, folds in spans:
            (folder / table.protocol).mkdir()
            predicted[table.protocol] = predict_tests_and_validation(plan, outcome, folder / table.protocol, folds=folds)
        predictions = {protocol: tested for protocol, (tested, _) in predicted.items()}
        if refuse_changes:
            for table, _ in spans:
                _refuse_changes(run.path / predictions_name(plan, table), predictions[table.protocol])
        for table, _ in spans:
            write_predictions(run.path / predictions_name(plan, table), predictions[table.protocol])
        run.record_predictions([predictions_name(plan, table) for table, _ in spans])
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
    seconds = sum(value for name, value in run.read_json("run.json")["seconds"].items() if name not in BEFORE_RUN)
    measured = {}
    for table, folds in spans:
        num_trials, num_failed = count_failed(plan, outcomes, folds)
        measured[table.protocol] = summarise(
            predictions[table.protocol],
            RunFacts(
                **_facts(plan, table, prepared, findings),
                num_params=outcome.num_params,
                seconds=seconds,
                num_trials=num_trials,
                num_failed=num_failed,
            ),
            baseline=baselines[table.protocol],
            validation=None if plan.trains_on_validation else predicted[table.protocol][1],
            num_train=_num_train(plan, table),
            train_means={fold.name: mean_ratings(plan, fold) for fold in table.folds} if plan.blueprint.num_dimensions else None,
        )
    results = dataclasses.replace(
        measured[own.protocol],
        stages=summarise_stages(plan, outcomes, own_folds, last=predictions[own.protocol]),
        settings=summarise_settings(plan, outcome, own_folds),
        search=summarise_search(plan, run.path, own_folds),
        training=_training_part(plan, outcome, own_folds) if plan.experiment.protocol.training_part else None,
    )
    if plan.folds.joined:
        protocols = tuple(_protocol_result(measured[table.protocol], table) for table, _ in spans)
        results = dataclasses.replace(results, protocols=protocols, gaps=protocol_gaps(predictions))
    run.write_json("results.json", results.to_json())
    with run.phase("report"):
        write_report(run.path)
    print(format_table(results))
    print(f"report: {run.path / 'report.html'}")
    return results


def predictions_name(plan: GridPlan, table: FoldTable) -> str:
    """Return the file name of a protocol's predictions: predictions.csv for the last protocol, which gives the main results."""
    return "predictions.csv" if table is plan.folds.tables[-1] else f"predictions-{table.protocol}.csv"


def _refuse_changes(path: Path, predictions: PredictionSource) -> None:
    """Compare predictions with those of an earlier evaluation: rounding may differ between machines, and nothing else."""
    if not path.is_file():
        return
    difference = largest_difference(read_predictions(path), predictions)
    if difference > _LARGEST_ROUNDING:
        what = "other rows" if np.isinf(difference) else f"probabilities that differ by up to {difference:.2g}"
        raise ChangedPredictions(
            f"{path}: the checkpoints give {what}, expected the same up to {_LARGEST_ROUNDING:g}; the code, the libraries or the devices "
            "differ from those of the run (run.json lists them). Evaluate where the run was trained, or move the file away to have it "
            "written anew"
        )
    if difference > 0:
        LOG.warning("%s: probabilities differ by up to %.2g from those before, by rounding on another machine", path.name, difference)
    else:
        LOG.info("%s is unchanged", path.name)


def _protocol_result(results: RunResults, table: FoldTable) -> ProtocolResult:
    return ProtocolResult(
        protocol=results.protocol,
        speaker_independent=results.speaker_independent,
        fold_hash=results.fold_hash,
        num_folds=len(table.folds),
        num_clips=results.num_clips,
        num_trials=results.num_trials,
        num_failed=results.num_failed,
        leaks=results.leaks,
        metrics=results.metrics,
        baseline=None if results.baseline is None else results.baseline.metrics,
        seed_ensemble=results.seed_ensemble,
    )


def _baseline(plan: GridPlan, table: FoldTable, prepared: PreparedCorpus, findings: list[Finding]) -> RunResults | None:
    """Return the classical baseline's results on the same folds; None where there is no sound, or where it cannot be fitted."""
    started = time.perf_counter()
    baseline = fit_baseline(plan, prepared.functionals, table.folds)
    if prepared.functionals is None or baseline is None:
        return None
    predictions = baseline.predict(prepared.functionals)
    # The same machine on other features has its name already.
    name = "classical baseline" if plan.experiment.system.name == BASELINE_SYSTEM else BASELINE_SYSTEM
    facts = _facts(plan, table, prepared, findings) | {"system": name}
    return summarise(predictions, RunFacts(**facts, num_params=0, seconds=time.perf_counter() - started))


def _facts(plan: GridPlan, table: FoldTable, prepared: PreparedCorpus, findings: list[Finding]) -> dict[str, Any]:
    experiment = plan.experiment
    flagged = [finding.name for finding in findings if finding.is_flagged and finding.protocol in ("", table.protocol)]
    return {
        "corpus": experiment.corpus.name,
        "system": experiment.system.name,
        "protocol": table.protocol,
        "label_set": plan.blueprint.labels.name,
        "label_target": experiment.corpus.label_target,
        "fold_hash": table.content_hash,
        "select": experiment.protocol.select,
        "num_undecodable": plan.num_undecodable,
        "num_without_face": plan.num_without_face,
        "leaks": tuple(dict.fromkeys(flagged)),
        "speaker_independent": table.speaker_independent,
        "num_clips_read": None if prepared.num_clips_of_owner is None else len(prepared.clips),
        "num_clips_of_owner": prepared.num_clips_of_owner,
        "train_share": float(np.mean([count / len(plan.clips) for count in _num_train(plan, table).values()])),
    }


def _training_part(plan: GridPlan, outcome: Outcome, folds: Container[int]) -> Confusion:
    """Return the confusion of the clips that each trial was trained on, all folds and seeds together."""
    chosen = [position for position in chosen_trials(plan.trials, outcome.score) if plan.trials[position].fold in folds]
    rows = [plan.data.examples_of(plan.part_clips(outcome.stage, plan.trials[position])[0]) for position in chosen]
    predictions = predict_parts(plan, outcome, chosen, rows)
    return Confusion(classes=predictions.classes, counts=tuple(map(tuple, predictions.confusion().tolist())))


def _num_train(plan: GridPlan, table: FoldTable) -> dict[str, int]:
    """Return the number of clips that train in each fold."""
    return {fold.name: len(plan.train_clips(fold)) for fold in table.folds}


def count_failed(plan: GridPlan, outcomes: Sequence[Outcome], folds: Container[int]) -> tuple[int, int]:
    """Return the number of trials that predict the test parts of these folds, and of those that have an untrained stage."""
    chosen = [position for position in chosen_trials(plan.trials, outcomes[-1].score) if plan.trials[position].fold in folds]
    failed = [position for position in chosen if any(one.has_failed(position) for one in outcomes)]
    return len(chosen), len(failed)


def run_hashes(plan: GridPlan, prepared: PreparedCorpus) -> dict[str, Any]:
    """Return the facts that a run directory must agree with: hashes of its prepared sets and folds, and the size of its grid."""
    return {
        "prepared_sets": {stream: one.manifest.content_hash for stream, one in prepared.sets.items()},
        "prepared_keys": {stream: one.manifest.key for stream, one in prepared.sets.items()},
        "fold_hash": plan.folds.content_hash,
        "fold_note": plan.folds.note,
        "num_trials": len(plan.trials),
        "num_steps": {stream: plan.data.num_steps(stream) for stream in plan.data.streams},
        "stages": [stage.name for stage in plan.stages],
        "table_columns": {stream: list(columns.used) for stream, columns in prepared.table_columns.items()},
        **_hashes_of_copies(prepared),
    }


def _hashes_of_copies(prepared: PreparedCorpus) -> dict[str, Any]:
    hashes = {text: {stream: one.manifest.content_hash for stream, one in copy.sets.items()} for text, copy in prepared.copies.items()}
    return {"prepared_copies": hashes} if hashes else {}  # runs without copies have the facts that they always had
