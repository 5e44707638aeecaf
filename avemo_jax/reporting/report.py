"""The report of a run: one HTML page without external resources, and the main table for the terminal.

Everything on the page comes from the files of the run directory, so it can be written again at any time.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from avemo_jax.atomic import read_json
from avemo_jax.evaluation.metrics import metric_named, reported_metrics
from avemo_jax.evaluation.results import Calibration, RunResults
from avemo_jax.evaluation.stored_predictions import read_predictions
from avemo_jax.reporting.adaptation_panel import adaptation_charts, adaptation_table
from avemo_jax.reporting.attention_examples import attention_examples
from avemo_jax.reporting.caveats import caveats, chance, speaker_protocol
from avemo_jax.reporting.charts import interval_chart, reliability_chart
from avemo_jax.reporting.confident_errors import confident_errors
from avemo_jax.reporting.curves import learning_curves
from avemo_jax.reporting.encoders_table import encoders_table
from avemo_jax.reporting.main_finding import main_finding
from avemo_jax.reporting.pages import write_page
from avemo_jax.reporting.precision_recall import precision_recall, precision_recall_charts, precision_recall_table
from avemo_jax.reporting.published import PublishedResult, published_beside
from avemo_jax.reporting.robustness_panel import panel_charts, panel_table
from avemo_jax.reporting.run_tables import published_intervals, published_metric, results_table, run_tables, systems_of
from avemo_jax.reporting.side_tables import ENSEMBLE_NOTE, side_tables
from avemo_jax.reporting.tables import table_text, write_tables
from avemo_jax.text import count_of, format_mean, format_percent


def write_report(run_directory: Path) -> Path:
    """Write report.html, and each of its tables as CSV and LaTeX below `tables`, from the files of a run directory; return its path.

    Raises:
      FileNotFoundError: there is no results.json: the run has not finished.
      ValueError: results.json is of an earlier version.
    """
    run_directory = Path(run_directory)
    results = read_results(run_directory)
    if results.calibration is None:
        raise ValueError(f"{run_directory / 'results.json'} was written by an earlier version; --mode=evaluate writes it again")
    predictions = None
    if (run_directory / "predictions.csv").is_file():
        predictions = read_predictions(run_directory / "predictions.csv")
    run = _read_json(run_directory / "run.json") or {}
    config = _read_json(run_directory / "config.json")
    published = published_beside(results, config)
    panel, adaptation = (_read_json(run_directory / f"{name}.json") for name in ("robustness", "adaptation"))
    tables = run_tables(results, published) + ([panel_table(panel)] if panel else [])
    tables += [adaptation_table(adaptation)] if adaptation else []
    tables += [encoders_table(run["encoders"])] if run.get("encoders") else []
    tables += [confident_errors(predictions)] if predictions is not None and results.has_classes else []
    curves = precision_recall(predictions) if predictions is not None and results.has_classes else []
    tables += [precision_recall_table(curves)] if curves else []
    write_tables(run_directory / "tables", tables)
    of_chance = chance(results)
    path = run_directory / "report.html"
    write_page(
        path,
        "report.html.j2",
        results=results,
        main_finding=main_finding(results, published),
        metrics=reported_metrics(),
        systems=systems_of(results),
        chance=of_chance,
        speaker_protocol=speaker_protocol(results),
        caveats=caveats(results),
        findings=_findings(results, _read_json(run_directory / "audit.json")),
        confusion=_confusion_rows(results),
        robustness=panel_charts(panel, of_chance["uar"]) if panel else [],
        adaptation=adaptation_charts(adaptation) if adaptation else [],
        precision_recall=precision_recall_charts(curves),
        curves=learning_curves(run_directory / "metrics.jsonl", of_chance["uar"]),
        attention=attention_examples(run_directory / "attention.npz", predictions if results.has_classes else None),
        size=_size(results),
        targets=_targets(results),
        selected=_selected(results),
        seeds_line=seeds_line(results),
        ensemble_note=ENSEMBLE_NOTE,
        side_tables=side_tables(results),
        tables={table.name: table for table in tables},
        published_chart=_published_chart(results, published),
        reliability=_reliability(results.calibration),
        command=shlex.join(["python", *run["command"]]) if run.get("command") else None,
        run=run,
        config=config,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )
    return path


def read_results(run_directory: Path) -> RunResults:
    """Read results.json of a run directory.

    Raises:
      FileNotFoundError: it is not there: the run has not finished.
      ValueError: it is not the results.json of a run.
    """
    path = run_directory / "results.json"
    if not path.is_file():
        raise FileNotFoundError(f"{run_directory} has no results.json: the run has not finished; run the same config with --mode=train")
    try:
        return RunResults.from_json(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path} was written by an earlier version ({error}); --mode=evaluate writes it again") from error


def format_table(results: RunResults) -> str:
    """Format the main table for the terminal, with a line on the experiment, the caveats, and the tables beside the main one."""
    lines = [
        f"{results.system} on {results.corpus}, protocol {results.protocol} ({speaker_protocol(results)}), {results.num_clips} clips, "
        f"{_targets(results)} ({results.label_target}), {_size(results)}",
        *(f"  ! {caveat}" for caveat in caveats(results)),
        *([table_text(results_table(results))] if results.has_classes else []),
    ]
    if seeds := seeds_line(results):
        lines.append(f"  {seeds}")
    lost = f"  undecodable clips {results.num_undecodable}, clips without a face {results.num_without_face}; all are predicted and counted"
    return "\n".join([*lines, lost, *map(table_text, side_tables(results))])


def seeds_line(results: RunResults) -> str | None:
    """Describe UAR over seeds in a sentence; None for one seed, or where no classes are predicted."""
    values = [entry.metrics["uar"].mean_of_folds for entry in results.per_seed]
    if len(values) < 2 or not results.has_classes:
        return None
    return (
        f"UAR over {len(values)} seeds (each a mean of folds): {format_mean(float(np.mean(values)), float(np.std(values, ddof=1)))}, "
        f"{format_percent(min(values))} to {format_percent(max(values))}"
    )


def _selected(results: RunResults) -> str:
    """Describe what is selected where; the classical system has no epochs, and chooses its settings in the training or validation part."""
    if results.num_params:
        return "last epoch, nothing selected" if results.select == "last" else f"epoch selected on the {results.select} part"
    return "settings selected on the test part" if results.select == "test" else "settings selected without the test part"


def _targets(results: RunResults) -> str:
    """Describe what is predicted: "8 classes", "valence and arousal", "4 classes, valence and arousal"."""
    classes = [count_of(len(results.confusion.classes), "class")] if results.has_classes else []
    return ", ".join([*classes, *([" and ".join(one.dimension for one in results.dimensions)] if results.dimensions else [])])


def _size(results: RunResults) -> str:
    num_folds = len({entry.fold for entry in results.per_fold})
    share = "" if results.train_share is None else f", {format_percent(results.train_share)} % of the clips train"
    return f"{count_of(num_folds, 'fold')} x {count_of(len(results.per_seed), 'seed')}{share}"


def _read_json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _published_chart(results: RunResults, published: Sequence[PublishedResult]) -> Markup:
    metric = metric_named(published_metric(published))
    return interval_chart(
        published_intervals(results, published),
        title=f"{metric.title}: published results, and this run with 95 % intervals",
        x_name=f"{metric.title}, %",
        x_range=(0, 100),
        level=("chance", 100 * chance(results)[metric.name]),
    )


def _reliability(calibration: Calibration) -> Markup:
    diagrams = [("first", calibration.reliability)]
    if calibration.scaled is not None:
        diagrams.append(("second", calibration.scaled.reliability))
    return reliability_chart(diagrams, title="reliability diagram: accuracy over confidence")


def _findings(results: RunResults, audit: Any) -> list[dict[str, Any]]:
    """Findings with their details from audit.json, or the names in results.json where that file is missing."""
    found = audit if audit is not None else [{"finding": leak} for leak in results.leaks]
    return [
        {
            "finding": entry["finding"],
            "detail": entry.get("detail", ""),
            "is_note": entry.get("severity") == "info",
            "allowed_by": entry.get("allowed_by", ""),
        }
        for entry in found
    ]


def _confusion_rows(results: RunResults) -> list[dict[str, Any]]:
    counts = np.asarray(results.confusion.counts)
    rows = []
    for index, name in enumerate(results.confusion.classes):
        total = int(counts[index].sum())
        shares = counts[index] / max(total, 1)
        cells = [
            {"count": int(count), "share": round(float(share), 3), "is_correct": column == index}
            for column, (count, share) in enumerate(zip(counts[index], shares, strict=True))
        ]
        rows.append({"name": name, "total": total, "cells": cells, "recall": float(shares[index])})
    return rows
