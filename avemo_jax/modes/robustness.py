"""The mode `robustness`: trained networks on test clips with noise, a codec, occlusion or dropped frames, or without a stream.

Nothing is trained or fitted again: weights, scalers and fusion rules are those of the checkpoints.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from avemo_jax.config import Experiment
from avemo_jax.data.feed import Feed
from avemo_jax.data.prepared import LOST_KINDS, PreparedCorpus, PreparedSet
from avemo_jax.degradation import EACH_STREAM, KINDS, MISSING, Degradation, parse_degradation
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.predictions import Predictions, speaker_sums
from avemo_jax.evaluation.summary import pooled_with_interval
from avemo_jax.experiment.baseline import fit_baseline
from avemo_jax.experiment.classical_stage import ClassicalOutcome, restore_classical_stage, statistics_of
from avemo_jax.experiment.grid_plan import GridPlan, load_data
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.experiment.predictions import predict_tests
from avemo_jax.experiment.stages import restore_last
from avemo_jax.modes.finished import facts_of, finished_run
from avemo_jax.reporting.report import read_results, write_report
from avemo_jax.reporting.robustness_panel import panel_table
from avemo_jax.reporting.tables import table_text
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.terminal import OWN_LOGGERS

LOG = logging.getLogger(__name__)


def measure_robustness(
    experiment: Experiment, prepared: PreparedCorpus, degraded: Callable[[Degradation], PreparedCorpus]
) -> dict[str, Any]:
    """Measure a finished run under every condition of `robustness.conditions`; write robustness.json and the report.

    Args:
      prepared: the undegraded corpus.
      degraded: function that returns the corpus with a degradation of its sound or picture.

    Returns:
      The content of robustness.json: `clean`, and `conditions` with one entry each: metrics with intervals over speakers, their paired
      difference from clean with its interval, the same for the classical baseline, and the number of lost clips; `left_out` lists the
      conditions that were not measured, with the reason.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: an unknown condition, or a run without classes.
    """
    conditions = conditions_of(experiment)
    with finished_run(experiment, prepared, does="--mode=robustness measures") as (run, plan):
        table, folds = plan.folds.spans()[-1]
        fitted = restore_classical_stage(plan, plan.stages[-1], run.path) if plan.stages[-1].is_classical else None
        clean = predict_tests(plan, _outcome(plan, fitted, run), folds=folds)
        baseline = fit_baseline(plan, prepared.functionals, table.folds)
        baseline_clean = None if baseline is None else baseline.predict(_functionals(prepared))
        modality_of = {
            name: prepared.sets[name].manifest.modality for name in experiment.streams_in_use if name not in prepared.table_columns
        }
        entries, left_out = [], []
        progress = tqdm(conditions, desc="robustness", unit="condition")
        for condition in progress:
            reason = _why_not(experiment, condition, modality_of)
            if reason:
                left_out.append({"condition": str(condition), "reason": reason})
                continue
            progress.set_postfix_str(str(condition))
            with warnings_only():
                corpus = prepared if condition.kind == MISSING else degraded(condition)
            worse = dataclasses.replace(plan, data=plan.data.without(condition.stream) if condition.stream else _data_of(plan, corpus))
            predictions = predict_tests(worse, _outcome(worse, fitted, run), folds=folds)
            entry = {
                "condition": str(condition),
                "kind": condition.kind,
                "amount": condition.amount,
                "stream": condition.modality,
                "unit": "" if condition.stream else KINDS[condition.kind][1],
                "num_lost": _num_lost(plan, corpus, condition, modality_of),
                **_measure(predictions, clean),
                "baseline": None,
            }
            if baseline is not None and condition.kind != MISSING and condition.modality == "audio":
                entry["baseline"] = _measure(baseline.predict(_functionals(corpus)), baseline_clean)
            entries.append(entry)
        panel = facts_of(read_results(run.path)) | {
            "clean": _measure(clean, None) | {"baseline": None if baseline_clean is None else _measure(baseline_clean, None)},
            "conditions": entries,
            "left_out": left_out,
        }
        run.write_json("robustness.json", panel)
        write_report(run.path)
    for one in left_out:
        print(f"{one['condition']}: left out, {one['reason']}")
    print(table_text(panel_table(panel)))
    print(f"report: {experiment.run_directory / 'report.html'}")
    return panel


@contextmanager
def warnings_only() -> Iterator[None]:
    """Log warnings of this project alone: every condition prepares the whole corpus, which the progress line counts as one step."""
    loggers = [logging.getLogger(name) for name in OWN_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.getEffectiveLevel(), logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def conditions_of(experiment: Experiment) -> list[Degradation]:
    """Return the conditions to measure; "missing:*" stands for each stream of the system in turn.

    Raises:
      ValueError: an unknown condition, or a stream that the system does not have.
    """
    streams = experiment.system.streams
    conditions = []
    for text in experiment.robustness.conditions:
        condition = parse_degradation(text)
        names = streams if condition.stream == EACH_STREAM else (condition.stream,)
        if condition.kind == MISSING and (unknown := [name for name in names if name not in streams]):
            raise ValueError(
                f"robustness.conditions names {text!r}, but the system has no stream {unknown[0]!r}; its streams: {', '.join(streams)}"
            )
        conditions += [dataclasses.replace(condition, stream=name) for name in names]
    return conditions


def _why_not(experiment: Experiment, condition: Degradation, modality_of: Mapping[str, str]) -> str:
    """Return why a condition cannot be measured with this system, "" where it can.

    Args:
      modality_of: stream -> medium of its view, without streams that are feature tables.
    """
    if condition.kind == MISSING:
        return "" if len(experiment.system.streams) > 1 else f"{condition.stream} is the only stream of the system"
    if condition.modality not in modality_of.values():
        return f"no stream of the system uses {condition.modality}"
    return ""


def _outcome(plan: GridPlan, fitted: ClassicalOutcome | None, run: RunDirectory) -> Outcome:
    """Return the trained networks, or the classifiers of a classical system, for prediction of the examples of `plan`."""
    if fitted is None:
        return restore_last(plan, run.path)
    found = statistics_of(plan.experiment, plan.data, fitted.stage)
    return dataclasses.replace(fitted, features=found.features, usable=found.usable)


def _functionals(prepared: PreparedCorpus) -> PreparedSet:
    assert prepared.functionals is not None, "a baseline is fitted only where the corpus has functionals"
    return prepared.functionals


def _data_of(plan: GridPlan, prepared: PreparedCorpus) -> Feed:
    """Return the examples of a degraded corpus, padded at least to the length that networks were trained on."""
    data = load_data(plan.experiment, plan.clips, plan.classes, prepared)
    return data.padded_to({stream: plan.data.num_steps(stream) for stream in data.streams})


def _num_lost(plan: GridPlan, prepared: PreparedCorpus, condition: Degradation, modality_of: Mapping[str, str]) -> int:
    """Return the number of clips without a usable step in a degraded stream; the metrics still count these clips."""
    used = {clip.clip_id for clip in plan.clips}
    if condition.kind == MISSING:
        return len(used)
    damaged = [prepared.sets[stream].damage for stream, modality in modality_of.items() if modality == condition.modality]
    return len({clip for damage in damaged for clip, one in damage.items() if clip in used and one.kind in (*LOST_KINDS, "no_face")})


def _measure(predictions: Predictions, clean: Predictions | None) -> dict[str, Any]:
    """Return {"metrics": {"uar": {"pooled", "ci95"}, ...}, "difference": {"uar": {"difference", "ci95", "p"}, ...}}, paired with clean."""
    sums = speaker_sums(predictions)
    metrics = {metric.name: to_json(pooled_with_interval(metric, sums)) for metric in primary_metrics()}
    if clean is None:
        return {"metrics": metrics}
    clean_sums = speaker_sums(clean)
    differences = {metric.name: to_json(paired_bootstrap(sums, clean_sums, metric.value)) for metric in primary_metrics()}
    return {"metrics": metrics, "difference": differences}
