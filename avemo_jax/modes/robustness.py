"""The robustness panel: the trained networks of a run on test clips with noise, a codec, hidden or lost pictures, or without a stream.

Nothing is trained or fitted again: weights, scalers and fusion rules are those of the checkpoints.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from avemo_jax.data.prepared import LOST_KINDS, PreparedCorpus, PreparedSet
from avemo_jax.data.resident import ResidentSet
from avemo_jax.data.stream import StreamedSet
from avemo_jax.degradation import KINDS, MISSING, Degradation, parse_degradation
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import primary_metrics
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.predictions import Predictions, speaker_sums
from avemo_jax.evaluation.summary import pooled_with_interval
from avemo_jax.experiment.baseline import baseline_predictions
from avemo_jax.experiment.outcomes import Outcome, SvmOutcome, fit_machines, machine_features
from avemo_jax.experiment.plan import Config, Plan, load_data, make_plan
from avemo_jax.experiment.predictions import predict_tests
from avemo_jax.experiment.run import run_hashes, set_up_backend
from avemo_jax.experiment.searching import with_chosen
from avemo_jax.experiment.stages import restore_last
from avemo_jax.protocols.folds import FoldTable
from avemo_jax.reporting.report import read_results, write_report
from avemo_jax.reporting.robustness_panel import panel_table
from avemo_jax.reporting.tables import table_text
from avemo_jax.runs.run_directory import RunDirectory, default_workdir, open_run

LOG = logging.getLogger(__name__)
_TABLE_VIEW = "table"


def measure_robustness(config: Config, prepared: PreparedCorpus, degraded: Callable[[Degradation], PreparedCorpus]) -> dict[str, Any]:
    """Measure a finished run under every condition of `robustness.conditions`; write robustness.json and the report.

    Args:
      prepared: the corpus as it is.
      degraded: the corpus as it is under a condition of a medium.

    Returns:
      The content of robustness.json: `clean` and one entry for each condition: metrics with intervals over speakers, the difference from
      clean with its paired interval, the classical baseline likewise, clips lost; and `left_out` with the reason.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: a condition that is none.
    """
    conditions = [parse_degradation(text) for text in config["robustness"]["conditions"]]
    set_up_backend(config)
    workdir = default_workdir(config)
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    with open_run(workdir, config) as run:
        plan = make_plan(config, prepared)
        run.bind(**run_hashes(plan, prepared))
        plan = with_chosen(plan, run.path)
        table, folds = plan.folds.spans()[-1]
        clean = predict_tests(plan, _restored(plan, plan, run), folds=folds)
        baseline = _baseline(plan, prepared.functionals, prepared.functionals, table)
        entries, left_out = [], []
        for condition in conditions:
            reason = _why_not(config, condition)
            if reason:
                LOG.info("%s: left out, %s", condition, reason)
                left_out.append({"condition": str(condition), "reason": reason})
                continue
            LOG.info("%s ...", condition)
            there = prepared if condition.kind == MISSING else degraded(condition)
            worse = dataclasses.replace(plan, data=_without(plan.data, condition.stream) if condition.stream else _data_of(plan, there))
            predictions = predict_tests(worse, _restored(plan, worse, run), folds=folds)
            entry = {"condition": str(condition), "kind": condition.kind, "amount": condition.amount, "stream": condition.modality}
            entry |= {"unit": "" if condition.stream else KINDS[condition.kind][1], "num_lost": _num_lost(plan, there, condition)}
            own = _measure(predictions, clean)
            beside = None
            if baseline is not None and condition.kind != MISSING and condition.modality == "audio":
                beside = _measure(_baseline(plan, prepared.functionals, there.functionals, table), baseline)
            entries.append(entry | own | {"baseline": beside})
        results = read_results(run.path)
        facts = {
            name: to_json(getattr(results, name))
            for name in ("corpus", "system", "protocol", "speaker_independent", "fold_hash", "select", "leaks")
        }
        panel = facts | {
            "clean": _measure(clean, None) | {"baseline": None if baseline is None else _measure(baseline, None)},
            "conditions": entries,
            "left_out": left_out,
        }
        run.write_json("robustness.json", panel)
        write_report(run.path)
    print(table_text(panel_table(panel)))
    print(f"report: {workdir / 'report.html'}")
    return panel


def _why_not(config: Config, condition: Degradation) -> str:
    """Why a condition cannot be measured with this system, "" where it can."""
    streams = config["system"]["streams"]
    if condition.modality not in streams:
        return f"the system has no {condition.modality}"
    if condition.kind == MISSING:
        return "" if len(streams) > 1 else f"the system has nothing but {condition.modality}"
    views = (config["system"][f"{condition.modality}_view"], config["system"][f"{condition.modality}_view_beside"])
    return f"its {condition.modality} is a table of features, which has no media" if _TABLE_VIEW in views else ""


def _restored(plan: Plan, shown: Plan, run: RunDirectory) -> Outcome:
    """What the run has trained, ready to judge the examples of the plan `shown`; machines are fitted on those of `plan`."""
    last = plan.stages[-1]
    if last.part != "svm":
        return restore_last(shown, run.path)
    fitted: SvmOutcome = fit_machines(plan, last)
    features, usable = machine_features(shown, last)
    return dataclasses.replace(fitted, features=features, usable=usable)


def _data_of(plan: Plan, prepared: PreparedCorpus) -> ResidentSet | StreamedSet:
    """The examples of a degraded corpus, at least as long as those that networks were trained on."""
    data = load_data(plan.config, plan.clips, plan.classes, prepared)
    if not isinstance(data, ResidentSet):
        return data
    arrays, times = dict(data.arrays), dict(data.times_s)
    for stream in data.streams:
        short = plan.data.arrays[stream].shape[1] - arrays[stream].shape[1]
        if short > 0:
            for name in (stream, f"{stream}_mask"):
                arrays[name] = np.pad(arrays[name], [(0, 0), (0, short), *[(0, 0)] * (arrays[name].ndim - 2)])
            times[stream] = np.pad(times[stream], ((0, 0), (0, short)), constant_values=np.nan)
    return ResidentSet(data.clip_ids, arrays, times)


def _without(data: ResidentSet | StreamedSet, stream: str) -> ResidentSet | StreamedSet:
    """The same examples, one stream of which has no real step."""
    if isinstance(data, StreamedSet):
        absent = dataclasses.replace(
            data.sources[stream],
            record_of=np.full_like(data.sources[stream].record_of, -1),
            has_steps=np.zeros_like(data.sources[stream].has_steps),
        )
        return dataclasses.replace(data, sources=dict(data.sources) | {stream: absent}).only(data.streams)
    arrays = dict(data.arrays)
    arrays |= {stream: np.zeros_like(arrays[stream]), f"{stream}_mask": np.zeros_like(arrays[f"{stream}_mask"])}
    return ResidentSet(data.clip_ids, arrays, data.times_s).only(data.streams)


def _num_lost(plan: Plan, prepared: PreparedCorpus, condition: Degradation) -> int:
    """Clips of which a condition leaves nothing in its stream; they are in the denominator."""
    kept = {clip.clip_id for clip in plan.clips}
    if condition.kind == MISSING:
        return len(kept)
    damage = prepared.sets[condition.modality].damage
    return len({clip for clip, one in damage.items() if clip in kept and one.kind in (*LOST_KINDS, "no_face")})


def _baseline(plan: Plan, fitted_on: PreparedSet | None, tested: PreparedSet | None, table: FoldTable) -> Predictions | None:
    if fitted_on is None or tested is None or plan.stages[-1].part == "svm":
        return None
    try:
        return baseline_predictions(plan, fitted_on, table.folds, tested=tested)
    except ValueError as error:
        LOG.warning("no row of the classical baseline: %s", error)
        return None


def _measure(predictions: Predictions | None, clean: Predictions | None) -> dict[str, Any]:
    """{"metrics": {"uar": {"pooled", "ci95"}, ...}, "difference": {"uar": {"difference", "ci95", "p"}, ...}}, the latter from clean."""
    assert predictions is not None
    sums = speaker_sums(predictions)
    metrics = {metric.name: to_json(pooled_with_interval(metric, sums)) for metric in primary_metrics()}
    if clean is None:
        return {"metrics": metrics}
    beside = speaker_sums(clean)
    gaps = {metric.name: to_json(paired_bootstrap(sums, beside, metric.value)) for metric in primary_metrics()}
    return {"metrics": metrics, "difference": gaps}
