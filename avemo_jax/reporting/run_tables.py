"""The tables of a run, for its page, its folder `tables` and a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avemo_jax.evaluation.metrics import metric_named, primary_metrics, reported_metrics
from avemo_jax.evaluation.results import CalibrationScores, Estimate, MetricSummary, RunResults
from avemo_jax.reporting.caveats import chance, protocol_caveats
from avemo_jax.reporting.charts import Interval
from avemo_jax.reporting.pages import mean_of_folds, pooled
from avemo_jax.reporting.published import PublishedResult
from avemo_jax.reporting.side_tables import ENSEMBLE_NOTE, metric_columns, metric_values, seed_ensemble_name, side_tables
from avemo_jax.reporting.tables import Column, Table, percent_column, text_column
from avemo_jax.text import format_interval, format_percent

_INTERVALS = "95 % intervals by bootstrap over speakers"


def run_tables(results: RunResults, published: Sequence[PublishedResult]) -> list[Table]:
    """Return all tables of results.json, the one with published results first; without classes those of dimensions alone."""
    if not results.has_classes:
        return side_tables(results)
    tables = [_published(results, published), results_table(results), _folds(results), _classes(results), _confusion(results)]
    tables.append(_speakers(results))
    if results.calibration is not None:
        tables.append(_calibration(results))
    return tables + side_tables(results)


def results_table(results: RunResults) -> Table:
    """Return the main table: the system, its seeds together where there are several, the classical baseline and chance."""
    rows = []
    for name, metrics in systems_of(results):
        values = metric_values(metrics)
        if name == results.system and results.num_failed:
            name = f"{name} ({results.num_failed} of {results.num_trials} trials FAILED)"
        rows.append([name, "mean of folds", *(None if value is None else mean_of_folds(value) for value in values)])
        rows.append([name, "pooled", *(None if value is None else pooled(value) for value in values)])
    of_chance = chance(results)
    rows.append(["chance", "pooled", *(_percent_or_none(of_chance.get(metric.name)) for metric in reported_metrics())])
    columns = [text_column("system"), text_column("over"), *(Column(metric.title) for metric in reported_metrics())]
    note = (
        f"in %; mean ± standard deviation over folds and seeds; pooled over all clips, with {_INTERVALS}; chance predicts the most "
        "frequent class" + (f"; {ENSEMBLE_NOTE}" if results.seed_ensemble is not None else "")
    )
    return Table("results", "Results", columns, rows, note)


def systems_of(results: RunResults) -> list[tuple[str, Mapping[str, MetricSummary]]]:
    """Return name and metrics of the system, of its seeds together where there are several, and of the classical baseline, if any."""
    found = [(results.system, results.metrics)]
    if results.seed_ensemble is not None:
        found.append((seed_ensemble_name(len(results.seed_ensemble.seeds)), results.seed_ensemble.metrics))
    if results.baseline is not None:
        found.append((results.baseline.system, results.baseline.metrics))
    return found


def published_intervals(results: RunResults, published: Sequence[PublishedResult]) -> list[Interval]:
    """Return the rows of the chart of published results: those as points, ours with their intervals."""
    metric = published_metric(published)
    shown = [
        Interval(
            f"{format_percent(one.value)}  {one.source}{'' if one.protocol == '-' else f', {one.protocol}'}",
            "second" if one.systems else "third",
            100 * one.value,
        )
        for one in published
        if one.metric == metric
    ]
    for name, metrics in systems_of(results):
        value = metrics[metric]
        low, high = (None, None) if value.ci95 is None else (100 * end for end in value.ci95)
        shown.append(Interval(f"{pooled(value)}  {name}, {results.protocol}", "first", 100 * value.pooled, low, high))
    return shown


def published_metric(published: Sequence[PublishedResult]) -> str:
    """Return the metric of the chart of published results: that of the first of them, "uar" where there are none."""
    return published[0].metric if published else "uar"


def _percent_or_none(share: float | None) -> str | None:
    return None if share is None else format_percent(share)


def _published(results: RunResults, published: Sequence[PublishedResult]) -> Table:
    metrics = primary_metrics()
    rows = [
        [one.source, *(format_percent(one.value) if one.metric == metric.name else None for metric in metrics), one.protocol, one.caveats]
        for one in published
    ]
    own = "; ".join(protocol_caveats(results)) or "none"
    for name, values in systems_of(results):
        rows.append([f"{name}, this run", *(pooled(values[metric.name]) for metric in metrics), results.protocol, own])
    of_chance = chance(results)
    rows.append(["chance", *(format_percent(of_chance[metric.name]) for metric in metrics), None, "none"])
    others = [one.protocol for one in published if one.systems and one.protocol != results.protocol]
    note = f"in %; this run pooled over all clips, with {_INTERVALS}" + (
        f"; the published result is of another protocol, {others[0]}, and not comparable" if others else ""
    )
    columns = [text_column("source"), *(Column(metric.title) for metric in metrics), text_column("protocol"), text_column("caveats")]
    return Table("published", "Published results and this run", columns, rows, note)


def _folds(results: RunResults) -> Table:
    rows = [[entry.fold, entry.seed, entry.num_clips, *metric_values(entry.metrics)] for entry in results.per_fold]
    return Table("folds", "Every fold", [text_column("fold"), Column("seed"), Column("clips"), *metric_columns()], rows, "in %")


def _classes(results: RunResults) -> Table:
    rows = [[name, one.num_clips, one.precision, one.recall, one.f1] for name, one in (results.per_class or {}).items()]
    seeds = ", all seeds together" if len(results.per_seed) > 1 else ""
    columns = [text_column("class"), Column("clips"), *map(percent_column, ("precision", "recall", "F1"))]
    return Table("classes", "By class", columns, rows, f"in %{seeds}")


def _confusion(results: RunResults) -> Table:
    classes = results.confusion.classes
    rows = [[name, *row] for name, row in zip(classes, results.confusion.counts, strict=True)]
    return Table("confusion", "Confusion", [text_column("label"), *map(Column, classes)], rows, "clips; columns are predictions")


def _speakers(results: RunResults) -> Table:
    metrics = primary_metrics()
    rows = [[name, one.num_clips, *(one.metrics.get(metric.name) for metric in metrics)] for name, one in results.per_speaker.items()]
    spread = results.speaker_spread or {}
    for field, label in (("mean", "(mean)"), ("std", "(standard deviation)"), ("lowest", "(lowest)"), ("highest", "(highest)")):
        values = [getattr(spread[metric.name], field) if metric.name in spread else None for metric in metrics]
        if any(value is not None for value in values):
            rows.append([label, None, *values])
    columns = [text_column("speaker"), Column("clips"), *(percent_column(metric.title) for metric in metrics)]
    return Table("speakers", "By speaker", columns, rows, "in %")


def _calibration(results: RunResults) -> Table:
    assert results.calibration is not None
    found: list[tuple[str, CalibrationScores]] = [("uncalibrated", results.calibration)]
    if results.calibration.scaled is not None:
        found.append(("temperature-scaled", results.calibration.scaled))
    columns = [text_column("predictions"), Column(metric_named("ece").title, pooled), Column("Brier score", _plain), Column("NLL", _plain)]
    note = (
        "ECE in % (15 bins), Brier score summed over classes, negative log-likelihood in nats a clip; lower is better; with " + _INTERVALS
    )
    return Table("calibration", "Calibration", columns, [[name, one.ece, one.brier, one.nll] for name, one in found], note)


def _plain(value: Estimate) -> str:
    return format_interval(value.pooled, value.ci95, factor=1, digits=3)
