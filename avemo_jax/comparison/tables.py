"""Tables of a comparison, from the content of compare.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avemo_jax.evaluation.metrics import Metric, primary_metrics, reported_metrics, tested_metrics
from avemo_jax.reporting.side_tables import ENSEMBLE_NOTE
from avemo_jax.reporting.tables import Column, Table, difference_cell, percent_column, pooled_cell, text_column
from avemo_jax.text import format_p_value, format_percent

RULES = {"mean": "mean", "product": "product", "weighted_product": "weighted product", "logistic": "stacking (logistic)"}


def comparison_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the tables of the content of compare.json: systems, pairs, folds, agreement, by class, fusions, weights."""
    tables = [_systems(found), _pairs(found), _folds(found), _agreement(found), _by_class(found)]
    if found["fusions"]:
        tables.append(_fusions(found))
    if any(fusion["rule"] == "weighted_product" for fusion in found["fusions"]):
        tables.append(_weights(found))
    return tables


def _test_columns(metric: Metric, several: bool) -> Iterator[Column]:
    """Columns of a difference, its p, and its p by Holm where there are several tests."""
    yield Column(f"Δ {metric.title}", difference_cell)
    yield from _p_columns("p", several)


def _p_columns(title: str, several: bool) -> Iterator[Column]:
    yield Column(title, format_p_value)
    if several:
        yield Column("p (Holm)", format_p_value)


def _tested(one: Mapping[str, Any], several: bool) -> list[Any]:
    """Values of `_test_columns`."""
    return [one, *_p_values(one, several)]


def _p_values(one: Mapping[str, Any], several: bool) -> list[Any]:
    return [one["p"], one["p_holm"]] if several else [one["p"]]


def _name(pair: Mapping[str, Any]) -> str:
    return f"{pair['first']} - {pair['second']}"


def _folds_cell(value: Mapping[str, Any]) -> str:
    return f"{100 * value['mean_of_folds']:.2f} ± {100 * value['std_of_folds']:.2f}"


def _systems(found: Mapping[str, Any]) -> Table:
    # Metrics without a paired test are left out, but for those of probabilities.
    metrics = [metric for metric in reported_metrics() if metric.tested or metric.from_confusion is None]
    rows: list[list[Any]] = []
    for entry in found["entries"]:
        cells = [value and pooled_cell(value) for value in (entry["metrics"].get(metric.name) for metric in metrics)]
        of_folds = [value if "mean_of_folds" in (value := entry["metrics"][metric.name]) else None for metric in primary_metrics()]
        rows.append([entry["name"], *cells, *of_folds, entry["protocol"], "; ".join(entry["marks"]) or "none"])
    chance = [found["chance"].get(metric.name) for metric in metrics]
    cells = [None if value is None else format_percent(value) for value in chance]
    rows.append(["chance", *cells, *[None] * (len(primary_metrics()) + 2)])
    several = any(len(entry["seeds"]) > 1 for entry in found["entries"])
    ensembles = any(entry["is_seed_ensemble"] for entry in found["entries"])
    note = (
        f"in %, pooled over all clips{' and seeds' if several else ''}, {found['sentence']} of {found['num_speakers']} speakers; in "
        "brackets 95 % intervals by bootstrap over speakers; of folds: mean ± deviation over folds and seeds; chance predicts the most "
        f"frequent class{f'; {ENSEMBLE_NOTE}' if ensembles else ''}"
    )
    columns = [text_column("system"), *(Column(metric.title) for metric in metrics)]
    columns += [Column(f"{metric.title} of folds", _folds_cell) for metric in primary_metrics()]
    columns += [text_column("protocol"), text_column("caveats")]
    return Table("systems", "Systems on the same clips", columns, rows, note)


def _pairs(found: Mapping[str, Any]) -> Table:
    several = len(found["pairs"]) > 1
    rows = []
    for pair in found["pairs"]:
        counted = pair["mcnemar"]
        tested = [value for metric in primary_metrics() for value in _tested(pair[metric.name], several)]
        rows.append([_name(pair), *tested, f"{counted['first_alone']} : {counted['second_alone']}", *_p_values(counted, several)])
    columns = [text_column("first - second")]
    columns += [column for metric in primary_metrics() for column in _test_columns(metric, several)]
    columns += [Column("only one correct"), *_p_columns("McNemar p", several)]
    note = (
        "differences in points with 95 % intervals and p of the paired bootstrap over speakers; only one correct: clips that only the "
        "first and only the second system predicts correctly, lowest seed of each, with the exact McNemar test, which "
        "assumes independent clips" + ("; Holm: adjusted for the number of pairs" if several else "")
    )
    return Table("pairs", "Paired tests", columns, rows, note)


def _folds(found: Mapping[str, Any]) -> Table:
    several = len(found["pairs"]) > 1
    columns = [text_column("first - second"), Column("folds")]
    columns += [column for metric in primary_metrics() for column in _test_columns(metric, several)]
    rows, reasons = [], []
    for pair in found["pairs"]:
        folds = pair["folds"]
        if "why_not" in folds:
            reasons.append(f"{_name(pair)}: {folds['why_not']}")
            rows.append([_name(pair), *[None] * (len(columns) - 1)])
        else:
            tested = [value for metric in primary_metrics() for value in _tested(folds[metric.name], several)]
            rows.append([_name(pair), folds["num_folds"], *tested])
    known = all(pair["folds"].get("num_train_is_known", True) for pair in found["pairs"])
    note = "corrected resampled t-test (Nadeau and Bengio 2003) over folds, each a mean over seeds" + (
        "" if known else "; all clips outside a fold's test part are assumed to be training clips"
    )
    return Table("folds", "Paired tests over folds", columns, rows, "; ".join([note, *reasons]))


def _agreement(found: Mapping[str, Any]) -> Table:
    rows = []
    for pair in found["pairs"]:
        one, counted = pair["agreement"], pair["mcnemar"]
        counts = (one["both_right"], counted["first_alone"], counted["second_alone"], one["neither_right"])
        rows.append([_name(pair), one["share"], one["kappa"], *counts])
    columns = [text_column("first - second"), percent_column("same class, %"), Column("κ", lambda kappa: f"{kappa:.2f}")]
    columns += map(Column, ("both correct", "only first", "only second", "neither"))
    return Table("agreement", "Agreement", columns, rows, "clips, lowest seed of each; κ is Cohen's kappa")


def _by_class(found: Mapping[str, Any]) -> Table:
    pairs = found["pairs"]
    rows = []
    for name in (name for name in found["classes"] if name in pairs[0]["by_class"]):
        own = [pair["by_class"][name] for pair in pairs]
        rows.append([name, own[0]["num_clips"], *(f"{one['first_alone']} : {one['second_alone']}" for one in own)])
    columns = [text_column("class"), Column("clips"), *(Column(f"{pair['first']} : {pair['second']}") for pair in pairs)]
    note = "clips that only the first and only the second system predicts correctly"
    return Table("by_class", "Differences by class", columns, rows, note)


def _fusions(found: Mapping[str, Any]) -> Table:
    uar_of = {entry["name"]: entry["metrics"]["uar"]["pooled"] for entry in found["entries"]}
    rows = []
    for fusion in found["fusions"]:
        best = max(fusion["against"], key=lambda one: uar_of[one["entry"]])
        metrics = [fusion["metrics"][metric.name] for metric in primary_metrics()]
        rows.append([RULES[fusion["rule"]], " + ".join(fusion["members"]), *metrics, best["entry"], *_tested(best["uar"], True)])
    meta = found["meta_folds"]
    note = "Δ UAR from the best member, by the paired bootstrap over speakers; Holm over all fusions and members" + (
        f"; rules are fitted on clips of other speakers than those they are applied to: meta folds are {meta['note']}"
        if meta
        else "; only one speaker: no rule is fitted"
    )
    (uar,) = [metric for metric in tested_metrics() if metric.name == "uar"]
    columns = [text_column("rule"), text_column("members"), *(Column(metric.title, pooled_cell) for metric in primary_metrics())]
    columns += [text_column("best member"), *_test_columns(uar, True)]
    return Table("fusions", "Late fusion", columns, rows, note)


def _weights(found: Mapping[str, Any]) -> Table:
    rows: list[list[Any]] = []
    for fusion in found["fusions"]:
        if fusion["rule"] != "weighted_product":
            continue
        weights = [one["weights"] for one in fusion["fitted"]]
        for index, member in enumerate(fusion["members"]):
            own = [one[index] for one in weights]
            rows.append([" + ".join(fusion["members"]), member, sum(own) / len(own), min(own), max(own)])
    columns = [text_column("fusion"), text_column("member")]
    columns += [Column(title, lambda weight: f"{weight:.2f}") for title in ("mean", "lowest", "highest")]
    return Table("weights", "Weights of the weighted product", columns, rows, "over meta folds and seeds")
