"""Comparison of systems on the same clips: reads their files, writes tables, a page and JSON."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file, write_json
from avemo_jax.comparison.alignment import Alignment, align
from avemo_jax.comparison.class_order import check_order
from avemo_jax.comparison.declaration import parse_declaration
from avemo_jax.comparison.entries import ComparisonError, Entry, Reference, read_run, reference_of, with_seed_ensembles
from avemo_jax.comparison.foreign import read_foreign
from avemo_jax.comparison.fusing import Fusion, fuse, make_meta_folds
from avemo_jax.comparison.page import write_comparison
from avemo_jax.comparison.pairs import add_holm, compare_pairs, differing_clips, tested_differences
from avemo_jax.comparison.tables import comparison_tables
from avemo_jax.csv_files import write_rows
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import Metric, reported_metrics, tested_metrics
from avemo_jax.evaluation.predictions import speaker_sums, write_predictions_csv
from avemo_jax.evaluation.statistics import NUM_RESAMPLES
from avemo_jax.evaluation.summary import pooled_with_interval
from avemo_jax.reporting.caveats import constant_confusion
from avemo_jax.reporting.tables import table_text, write_tables

LOG = logging.getLogger(__name__)
ClipOf = Callable[[str, str], str | None]  # (corpus, stem of a media file) -> clip id


def compare(
    runs: Sequence[str],
    predictions: Sequence[str],
    *,
    on: str = "all",
    fuse_only: Sequence[str] = (),
    output: str | Path | None = None,
    clip_of: ClipOf = lambda corpus, stem: None,
) -> dict[str, Any]:
    """Compare systems, print the tables and write them to a folder.

    Args:
      runs: run directories, each FOLDER or NAME=FOLDER.
      predictions: declarations of tables, see `declaration`.
      on: "all" or "common", see `alignment.align`.
      fuse_only: fusions to evaluate, each NAME+NAME; default: one of all systems with probabilities, without ensembles of their seeds.
      output: folder; default: compare-NAME-NAME below runs/.

    Returns:
      The content of compare.json. Beside it the folder has compare.html, tables/ (each table as CSV and LaTeX), differing_clips.csv and
      predictions of each fusion, which can be compared in turn.

    Raises:
      FileNotFoundError, ComparisonError, ValueError: a file cannot be read, or the systems are not on the same clips.
    """
    entries, corpus = read_entries(runs, predictions, clip_of)
    aligned, alignment = align(entries, on=on)
    systems = with_seed_ensembles(aligned)
    found, fusions = measure(systems, alignment, corpus=corpus, fuse_only=fuse_only)
    folder = Path(output) if output else Path("runs") / f"compare-{_as_file_name(*(entry.name for entry in aligned))}"
    folder.mkdir(parents=True, exist_ok=True)
    tables = comparison_tables(found)
    write_json(folder / "compare.json", found)
    write_tables(folder / "tables", tables)
    header, rows = differing_clips(systems)
    with atomic_file(folder / "differing_clips.csv") as stream:
        write_rows(stream, [header, *rows])
    for fusion in fusions:
        write_predictions_csv(folder / f"predictions-{fusion.rule}-{_as_file_name(*fusion.members)}.csv", fusion.entry.predictions)
    write_comparison(folder / "compare.html", found, tables)
    print(f"{', '.join(entry.name for entry in aligned)} {alignment.sentence()}")
    for entry in aligned:
        for note in entry.notes:
            print(f"  {entry.name}: {note}")
    print("\n\n".join(map(table_text, tables)))
    print(f"page: {folder / 'compare.html'}; {len(rows)} clips with different predictions: {folder / 'differing_clips.csv'}")
    return found


def read_entries(runs: Sequence[str], predictions: Sequence[str], clip_of: ClipOf) -> tuple[list[Entry], str]:
    """Return all entries, runs first, and the name of the runs' corpus, "" where there are no runs.

    Raises:
      ComparisonError: runs of different corpora. Else as `compare`.
    """
    entries: list[Entry] = []
    reference: Reference | None = None
    corpus = ""
    for text in runs:
        name, equals, folder = text.partition("=")
        entry, results = read_run(Path(folder if equals else name), name if equals else None)
        if corpus not in ("", results.corpus):
            raise ComparisonError(f"{entry.source} is of the corpus {results.corpus}, the runs before it of {corpus}")
        corpus = results.corpus
        if reference is None:
            names = functools.partial(clip_of, corpus)
            reference = reference_of(entry, corpus=results.corpus, label_set=results.label_set, clip_of=names)
        if finding := check_order(entry.of_seed(entry.seeds[0])):
            entry = _with_note(entry, finding.sentence())
        entries.append(_with_unique_name(entry, entries))
    for text in predictions:
        entry, reference = read_foreign(parse_declaration(text), reference)
        entries.append(entry)
    return entries, corpus


def measure(
    entries: Sequence[Entry],
    alignment: Alignment,
    *,
    corpus: str = "",
    fuse_only: Sequence[str] = (),
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[dict[str, Any], list[Fusion]]:
    """Measure aligned entries: the content of compare.json, and the fusions.

    Raises:
      ValueError: a fusion names an unknown entry, or one without probabilities.
    """
    first = entries[0].predictions
    meta = make_meta_folds(entries)
    fusions = [fusion for members in _members(entries, fuse_only) for fusion in fuse(members, meta)]
    constant = constant_confusion(first.confusion())
    found: dict[str, Any] = {
        "corpus": corpus,
        "classes": list(first.classes),
        "num_clips": alignment.num_clips,
        "num_speakers": len(np.unique(first.speaker)),
        "on": alignment.on,
        "left_out": alignment.left_out,
        "sentence": alignment.sentence(),
        "chance": {metric.name: float(metric.value(constant)) for metric in tested_metrics()},
        "entries": [_measured(entry, num_resamples) for entry in entries],
        "pairs": compare_pairs(entries, num_resamples=num_resamples),
        "meta_folds": None if meta is None or not fusions else {"note": meta.note, "speakers": [list(one) for one in meta.speakers]},
        "fusions": [_measured_fusion(fusion, entries, num_resamples) for fusion in fusions],
    }
    for metric in tested_metrics():
        add_holm([against[metric.name] for fusion in found["fusions"] for against in fusion["against"]])
    return found, fusions


def _members(entries: Sequence[Entry], fuse_only: Sequence[str]) -> list[list[Entry]]:
    """The entries of each fusion."""
    if not fuse_only:
        able = [entry for entry in entries if entry.has_probabilities and not entry.together]
        return [able] if len(able) > 1 else []
    by_name = {entry.name: entry for entry in entries}
    wanted = [[name.strip() for name in text.split("+")] for text in fuse_only]
    if unknown := sorted({name for names in wanted for name in names} - by_name.keys()):
        raise ValueError(f"--fuse names {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [[by_name[name] for name in names] for names in wanted]


def _measured(entry: Entry, num_resamples: int) -> dict[str, Any]:
    data = entry.predictions
    metrics: dict[str, Any] = {
        metric.name: to_json(pooled_with_interval(metric, speaker_sums(data, metric.sums), num_resamples)) | _over_folds(entry, metric)
        if metric.from_confusion or entry.has_probabilities
        else None
        for metric in reported_metrics()
    }
    return {
        "name": entry.name,
        "source": entry.source,
        "protocol": entry.protocol,
        "marks": list(entry.caveats),
        "notes": list(entry.notes),
        "seeds": list(entry.together or entry.seeds),
        "is_seed_ensemble": bool(entry.together),
        "metrics": metrics,
    }


def _over_folds(entry: Entry, metric: Metric) -> dict[str, float]:
    """Return mean and deviation of a metric over folds and seeds, as results.json has them; nothing where there are no two folds."""
    data = entry.predictions
    if not entry.has_folds or len(np.unique(data.fold)) < 2:
        return {}
    parts = [(data.fold == fold) & (data.seed == seed) for seed in entry.seeds for fold in np.unique(data.fold[data.seed == seed])]
    values = [float(metric.value(metric.sums(data.label[rows], data.probabilities[rows]))) for rows in parts]
    return {"mean_of_folds": float(np.mean(values)), "std_of_folds": float(np.std(values, ddof=1))}


def _measured_fusion(fusion: Fusion, entries: Sequence[Entry], num_resamples: int) -> dict[str, Any]:
    """Measure a fusion, and test its difference from each of its members."""
    sums = speaker_sums(fusion.entry.predictions)
    against = []
    for entry in entries:
        if entry.name in fusion.members:
            tested = tested_differences(sums, speaker_sums(entry.predictions), num_resamples=num_resamples)
            against.append({"entry": entry.name} | tested)
    measured = _measured(fusion.entry, num_resamples)
    return measured | {"rule": fusion.rule, "members": list(fusion.members), "fitted": list(fusion.fitted), "against": against}


def _as_file_name(*names: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in "-".join(names))


def _with_note(entry: Entry, note: str) -> Entry:
    LOG.warning("%s: %s", entry.name, note)
    return dataclasses.replace(entry, notes=(*entry.notes, note))


def _with_unique_name(entry: Entry, others: Sequence[Entry]) -> Entry:
    """Name a second run of one system after its protocol too, or after its folder."""
    taken = {other.name for other in others}
    for name in (entry.name, f"{entry.name} {entry.protocol}", Path(entry.source).name):
        if name not in taken:
            return dataclasses.replace(entry, name=name)
    return entry  # `align` refuses equal names
