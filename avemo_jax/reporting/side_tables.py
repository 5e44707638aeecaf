"""Tables beside the main one: dimensions, protocols and the gaps between them, stages, swept settings, searched settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import f1_from_confusion, metric_named, primary_metrics, recall_from_confusion, reported_metrics
from avemo_jax.evaluation.results import Confusion, MetricSummary, RunResults
from avemo_jax.reporting.dimensions_table import dimensions_table
from avemo_jax.reporting.pages import pooled
from avemo_jax.reporting.tables import Column, Table, percent_column, text_column
from avemo_jax.text import format_difference, format_p_value, format_percent

ENSEMBLE_NOTE = "ensemble of the seeds: each clip's probabilities are the mean over the seeds"


def seed_ensemble_name(num_seeds: int) -> str:
    """Return the name of the row of all seeds together."""
    return f"ensemble of the {num_seeds} seeds"


def side_tables(results: RunResults) -> list[Table]:
    """Return the tables of what a run has: dimensions, several protocols, several stages, the training part, a sweep, a search."""
    tables = []
    if results.dimensions:
        tables.append(dimensions_table(results, seed_ensemble_name(len(results.per_seed))))
    if not results.has_classes:  # the tables below are of metrics of classes
        return tables
    corpora = sorted(results.corpus.split("+"))
    if len(corpora) > 1 and {entry.fold for entry in results.per_fold} == set(corpora):  # each is the test part of a fold
        tables.append(_across_corpora(results, corpora))
    if results.protocols:
        tables += [_protocols(results), _gaps(results)]
    if results.stages:
        tables.append(_stages(results))
    if any(entry.per_class_recall is not None for entry in results.stages):
        tables.append(_stages_by_class(results))
    if results.training is not None:
        tables.append(_training(results.training))
    if results.settings:
        tables.append(_settings(results))
    if results.search:
        tables.append(_search(results))
    return tables


def metric_columns() -> list[Column]:
    """Return a column in percent for each reported metric."""
    return [percent_column(metric.title) for metric in reported_metrics()]


def metric_values(metrics: Mapping[str, Any]) -> list[Any]:
    """Return the value of each reported metric, None for one that a file of an earlier version lacks."""
    return [metrics.get(metric.name) for metric in reported_metrics()]


def _across_corpora(results: RunResults, corpora: Sequence[str]) -> Table:
    """Return a matrix: a row for what is trained on, a column for what is tested, the mean over seeds in the cell where they meet."""
    rows = []
    for tested in corpora:
        trained = " + ".join(corpus for corpus in corpora if corpus != tested)
        entries = [entry for entry in results.per_fold if entry.fold == tested]
        for metric in primary_metrics():
            mean = float(np.mean([entry.metrics[metric.name] for entry in entries]))
            rows.append([trained, metric.title, *(mean if corpus == tested else None for corpus in corpora)])
    columns = [text_column("trained on"), text_column("metric"), *(percent_column(f"tested on {corpus}") for corpus in corpora)]
    return Table("across_corpora", "Across corpora", columns, rows, "in %, mean over seeds; no speaker of a tested corpus is in training")


def _protocols(results: RunResults) -> Table:
    rows = []
    for entry in results.protocols:
        together = entry.seed_ensemble
        systems = [(results.system, entry.metrics), ("classical baseline", entry.baseline)]
        if together is not None:
            systems.insert(1, (seed_ensemble_name(len(together.seeds)), together.metrics))
        for name, metrics in systems:
            if metrics is not None:
                speakers = "not in training" if entry.speaker_independent else "in training"
                values = [metrics.get(metric.name) for metric in primary_metrics()]
                rows.append([entry.protocol, name, speakers, *values, ", ".join(entry.leaks) or None])
    columns = [text_column("protocol"), text_column("system"), text_column("test speakers")]
    columns += [Column(metric.title, _mean_and_pooled) for metric in primary_metrics()]
    note = "the same system on several divisions of the corpus, in %: mean of folds; pooled with its 95 % interval over speakers"
    return Table("protocols", "Protocols", [*columns, text_column("flagged leaks")], rows, note)


def _mean_and_pooled(value: MetricSummary) -> str:
    return f"{format_percent(value.mean_of_folds)}; {pooled(value)}"


def _gaps(results: RunResults) -> Table:
    rows = [[f"{gap.first} - {gap.second}", metric_named(gap.metric).title, gap, gap.p] for gap in results.gaps]
    columns = [
        text_column("between"),
        text_column("metric"),
        Column("gap", lambda gap: format_difference(gap.difference, gap.ci95)),
        Column("p", format_p_value),
    ]
    return Table(
        "gaps", "Gaps", columns, rows, "pooled metrics of two protocols, first minus second, in points with a 95 % interval over speakers"
    )


def _training(confusion: Confusion) -> Table:
    counts = np.asarray(confusion.counts)
    rows = zip(
        confusion.classes,
        counts.sum(axis=1).tolist(),
        recall_from_confusion(counts.T).tolist(),
        recall_from_confusion(counts).tolist(),
        f1_from_confusion(counts).tolist(),
        *counts.T.tolist(),
        strict=True,
    )
    columns = [text_column("class"), Column("clips"), *map(percent_column, ("precision", "recall", "F1")), *map(Column, confusion.classes)]
    found = ", ".join(f"{metric.title} {format_percent(float(metric.value(counts)))}" for metric in primary_metrics())
    note = f"{found}; in %, of the clips that each network was trained on, all folds and seeds together; last columns: clips, by prediction"
    return Table("training", "Training part", columns, [list(row) for row in rows], note)


def _stages(results: RunResults) -> Table:
    rows = [[entry.stage, entry.num_params, *metric_values(entry.metrics)] for entry in results.stages]
    columns = [text_column("stage"), Column("parameters", lambda count: f"{count:,}"), *metric_columns()]
    return Table("stages", "Stages", columns, rows, "each stage's own predictions of the test parts, mean over folds and seeds, in %")


def _stages_by_class(results: RunResults) -> Table:
    known = [(entry.stage, entry.per_class_recall) for entry in results.stages if entry.per_class_recall is not None]
    rows = [[name, *(recall.get(name) for _, recall in known)] for name in results.confusion.classes]
    columns = [text_column("class"), *(percent_column(stage) for stage, _ in known)]
    return Table("stages_by_class", "Stages by class", columns, rows, "recall on the test parts, all folds and seeds together, in %")


def _settings(results: RunResults) -> Table:
    names = list(results.settings[0].tried)
    rows = [[*(entry.tried[name] for name in names), _score(entry.validation), *metric_values(entry.metrics)] for entry in results.settings]
    columns = [*(Column(_last_part(name), _setting_value) for name in names), Column("validation score"), *metric_columns()]
    note = "mean over folds and seeds, in %; the run selects a setting for each fold by its validation score alone"
    return Table("settings", "Settings", columns, rows, note)


def _search(results: RunResults) -> Table:
    names = list(results.search[0].tried)
    rows = []
    for entry in results.search:
        failed = f", {entry.num_failed} failed" if entry.num_failed else ""
        scores = [_score(value) for value in (entry.validation, entry.median_validation)]
        rows.append([entry.fold, *(entry.tried[name] for name in names), *scores, f"{entry.num_settings}{failed}"])
    columns: list[Column] = [text_column("fold"), *(Column(_last_part(name), _rounded(3)) for name in names)]
    columns += [Column("validation score"), Column("median score"), Column("settings")]
    note = (
        "setting that each fold's search selected by the score of its own validation part, and the median score of all its settings; "
        "search.json lists them"
    )
    return Table("search", "Search", columns, rows, note)


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def _score(value: float | None) -> str:
    return "failed" if value is None else f"{value:.3f}"


def _rounded(digits: int) -> Callable[[Any], str]:
    return lambda value: f"{value:.{digits}g}" if isinstance(value, float) else _setting_value(value)


def _setting_value(value: Any) -> str:
    return "(" + ", ".join(map(str, value)) + ")" if isinstance(value, list | tuple) else str(value)
