"""The board: all runs of a folder in one table, one row for each run and protocol, and what was not run yet."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from avemo_jax.atomic import read_json
from avemo_jax.evaluation.json_types import from_json
from avemo_jax.evaluation.results import DimensionResult, MetricSummary, RunResults
from avemo_jax.reporting.caveats import corpus_part, speakers_are_known
from avemo_jax.reporting.pages import mean_of_folds, pooled
from avemo_jax.reporting.published import PublishedResult, best_published, published_beside
from avemo_jax.reporting.report import read_results
from avemo_jax.reporting.tables import Column, Table, text_column
from avemo_jax.text import count_of, format_percent, nearest

ADAPTED_TO = "adapted to"  # test speakers of whom clips were given
SORTING = Path(__file__).with_name("sorting.js")


@dataclasses.dataclass(frozen=True)
class BoardRow:
    """A run under one of its protocols.

    Attributes:
      folder: run directory.
      results: its results.json.
      protocol: name.
      speakers: "new", "shared" or "unknown": the test speakers to the network; "adapted to": clips of theirs were given.
      num_folds: of the protocol.
      metrics, seeds_together, baseline: metrics by name; None where there are not several seeds, or no baseline.
      leaks: findings of the leak audit.
      published: the best published result for the same corpus, protocol, classes and media, or None.
    """

    folder: Path
    results: RunResults
    protocol: str
    speakers: str
    num_folds: int
    metrics: Mapping[str, MetricSummary]
    seeds_together: Mapping[str, MetricSummary] | None
    baseline: Mapping[str, MetricSummary] | None
    leaks: Sequence[str]
    published: PublishedResult | None

    @property
    def caveats(self) -> str:
        """What makes its numbers hard to compare, "" where nothing does."""
        results = self.results
        found = [f"on {part}" for part in [corpus_part(results)] if part]
        found += [f"{results.num_failed} of {results.num_trials} trials failed"] if results.num_failed else []
        found += [f"selected on the {results.select} part"] if results.select != "validation" else []
        return "; ".join([*found, *self.leaks])


class WantedRow(Protocol):
    """A system that could be run: its corpus, the protocols that fit it, and what is missing to run it, "" for nothing."""

    @property
    def corpus(self) -> str: ...

    @property
    def system(self) -> str: ...

    @property
    def protocols(self) -> tuple[str, ...]: ...

    @property
    def lacks(self) -> str: ...


def find_runs(patterns: Iterable[str]) -> list[Path]:
    """Return the run directories that patterns name: folders with a config.json, and such folders inside of other folders.

    Raises:
      FileNotFoundError: a pattern names none.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        places = [Path(one) for one in sorted(glob.glob(pattern)) if Path(one).is_dir()]
        inside = [[one] if (one / "config.json").is_file() else sorted(path.parent for path in one.glob("*/config.json")) for one in places]
        if not any(inside):
            parent = Path(pattern).parent
            hint = nearest(Path(pattern).name, [one.name for one in parent.iterdir() if one.is_dir()]) if parent.is_dir() else ""
            raise FileNotFoundError(
                f"--runs={pattern} names no run directory (a folder with config.json), nor a folder that holds some{hint}"
            )
        found |= dict.fromkeys(one for several in inside for one in several)
    return list(found)


def read_board(folders: Sequence[Path]) -> tuple[list[BoardRow], list[str]]:
    """Return the rows, by corpus, protocol and UAR, and a sentence for each folder whose results cannot be read."""
    rows: list[BoardRow] = []
    without: list[str] = []
    for folder in folders:
        try:
            rows += _rows_of(folder, read_results(folder), read_json(folder / "config.json"))
        except (ValueError, OSError) as error:
            without.append(str(error))
    return sorted(rows, key=lambda row: (row.results.corpus, row.protocol, -row.metrics["uar"].mean_of_folds)), without


def board_tables(rows: Sequence[BoardRow], page_folder: Path, wanted: Sequence[WantedRow] = ()) -> list[Table]:
    """Return the tables of classes and of dimensions that have rows, the UAR of each system under each protocol, and what is missing.

    Args:
      page_folder: from which the reports of the runs are linked.
      wanted: all systems that there could be.
    """

    def report_of(row: BoardRow) -> str:
        return quote(Path(os.path.relpath(row.folder / "report.html", page_folder)).as_posix())

    system = Column("system", lambda row: row.results.system, "left", report_of)
    of_classes = [row for row in rows if row.results.has_classes]
    tables = [_classes_table(of_classes, system)] if of_classes else []
    corpora = list(dict.fromkeys(row.results.corpus for row in of_classes))
    tables += [_matrix(corpus, of_classes, [one for one in wanted if one.corpus == corpus]) for corpus in corpora]
    tables += _without_runs([one for one in wanted if one.corpus not in corpora])
    if rated := [row for row in rows if row.results.dimensions]:
        tables.append(_dimensions_table(rated, system))
    return tables


def _rows_of(folder: Path, results: RunResults, config: Any) -> list[BoardRow]:
    published = published_beside(results, config)
    if results.protocols:
        several = [
            (one.protocol, one.speaker_independent, one.num_folds, one.metrics, one.seed_ensemble, one.baseline, one.leaks)
            for one in results.protocols
        ]
    else:
        baseline = None if results.baseline is None else results.baseline.metrics
        num_folds = len({entry.fold for entry in results.per_fold})
        several = [
            (results.protocol, results.speaker_independent, num_folds, results.metrics, results.seed_ensemble, baseline, results.leaks)
        ]
    rows = [
        BoardRow(
            folder,
            results,
            protocol,
            ("new" if are_new else "shared") if speakers_are_known(results) else "unknown",
            num_folds,
            metrics,
            None if together is None else together.metrics,
            baseline,
            leaks,
            best_published(published, protocol),
        )
        for protocol, are_new, num_folds, metrics, together, baseline, leaks in several
    ]
    return rows + _adapted_rows(rows[-1])


def _adapted_rows(row: BoardRow) -> list[BoardRow]:
    """Return a row for each condition of a run's adaptation.json under which clips of the test speakers are given."""
    path = row.folder / "adaptation.json"
    if not path.is_file():
        return []
    return [
        dataclasses.replace(
            row,
            protocol=one["protocol"],
            speakers=ADAPTED_TO,
            metrics={name: from_json(MetricSummary, values) for name, values in one["metrics"].items()},
            seeds_together=None,
            baseline=None,
            leaks=[*row.leaks, *one["findings"]],
            published=None,
        )
        for one in read_json(path)["conditions"]
        if one["findings"]
    ]


def _classes_table(rows: Sequence[BoardRow], system: Column) -> Table:
    columns = [
        system,
        text_column("corpus"),
        Column("classes"),
        text_column("protocol"),
        text_column("test speakers"),
        Column("folds x seeds"),
        Column("UAR", mean_of_folds),
        Column("UAR, pooled", pooled),
        Column("WAR, pooled", pooled),
        Column("seeds together, UAR", mean_of_folds),
        Column("classical baseline, UAR", mean_of_folds),
        text_column("published"),
        text_column("leaks and caveats"),
        Column("minutes", "{:.1f}".format),
        text_column("run"),
    ]
    cells = [
        [
            row,
            row.results.corpus,
            len(row.results.confusion.classes),
            row.protocol,
            row.speakers,
            f"{row.num_folds} x {len(row.results.per_seed)}",
            row.metrics["uar"],
            row.metrics["uar"],
            row.metrics["war"],
            None if row.seeds_together is None else row.seeds_together["uar"],
            None if row.baseline is None else row.baseline["uar"],
            _published_cell(row.published),
            row.caveats or None,
            row.results.seconds / 60,
            str(row.folder),
        ]
        for row in rows
    ]
    note = (
        "in %; UAR is the mean ± standard deviation over folds and seeds; pooled over all clips, with 95 % intervals by bootstrap over "
        "speakers; published is the best result for the same corpus, protocol, number of classes and media"
    )
    return Table("runs", "Runs", columns, cells, note)


def _published_cell(one: PublishedResult | None) -> str | None:
    if one is None:
        return None
    return f"{one.metric.upper()} {format_percent(one.value)}, {one.source}" + ("" if one.caveats == "none" else f" ({one.caveats})")


def _matrix(corpus: str, rows: Sequence[BoardRow], wanted: Sequence[WantedRow]) -> Table:
    """Return the UAR of each system under each protocol of a corpus; of several runs the range, since none may be picked by its score."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.results.corpus == corpus and row.speakers != ADAPTED_TO:
            found.setdefault((row.results.system, row.protocol), []).append(row.metrics["uar"].mean_of_folds)
    lacks = {one.system: one.lacks for one in wanted}
    protocols = sorted({protocol for _, protocol in found} | {protocol for one in wanted for protocol in one.protocols})

    def cell(system: str, protocol: str) -> str | None:
        if (system, protocol) in found:
            return _range(found[system, protocol])
        return None if lacks.get(system) else "not run"

    systems = sorted({one for one, _ in found} | set(lacks))
    cells = [[system, *(cell(system, protocol) for protocol in protocols), lacks.get(system) or None] for system in systems]
    columns = [text_column("system"), *map(Column, protocols), text_column("missing")]
    note = (
        "mean of folds in %; a range where there are several runs; 'not run' where none of these runs has the system and the protocol; "
        "missing is what the folder of a run of this corpus does not hold and the system needs"
    )
    name = "".join(letter if letter.isalnum() else "-" for letter in corpus)
    return Table(f"uar-{name}", f"UAR on {corpus} by protocol", columns, cells, note)


def _without_runs(wanted: Sequence[WantedRow]) -> list[Table]:
    """Return the table of the corpora that no run has, with what is missing to run their systems; none where there are no such corpora."""
    lacks: dict[str, dict[str, int]] = {}
    for one in wanted:
        of_corpus = lacks.setdefault(one.corpus, {})
        of_corpus[one.lacks or "nothing"] = of_corpus.get(one.lacks or "nothing", 0) + 1
    rows = [
        [corpus, sum(of_corpus.values()), "; ".join(f"{what}: {count_of(count, 'system')}" for what, count in of_corpus.items())]
        for corpus, of_corpus in sorted(lacks.items())
    ]
    columns = [text_column("corpus"), Column("systems"), text_column("missing")]
    note = "corpora that have configs and no run among these; a corpus is at hand where a run of it names its folder"
    return [Table("missing", "Corpora without a run", columns, rows, note)] if rows else []


def _range(values: Sequence[float]) -> str:
    low, high = format_percent(min(values)), format_percent(max(values))
    shown = low if low == high else f"{low} to {high}"
    return shown if len(values) == 1 else f"{shown} ({len(values)} runs)"


def _dimensions_table(rows: Sequence[BoardRow], system: Column) -> Table:
    def cells(row: BoardRow, one: DimensionResult) -> list[Any]:
        metrics = one.metrics
        return [row, row.results.corpus, row.protocol, one.dimension, metrics["ccc"], metrics["rmse"], one.num_rated, str(row.folder)]

    columns = [
        system,
        *map(text_column, ("corpus", "protocol", "dimension")),
        Column("CCC", lambda value: f"{value.pooled:.3f}"),
        Column("RMSE", lambda value: f"{value.pooled:.3g}"),
        Column("rated clips"),
        text_column("run"),
    ]
    latest = [row for row in rows if row.protocol == row.results.protocol]  # dimensions are those of the last protocol
    rows_of_all = [cells(row, one) for row in latest for one in row.results.dimensions]
    return Table("dimensions", "Dimensions", columns, rows_of_all, "pooled over all clips with a rating, RMSE in units of the scale")
