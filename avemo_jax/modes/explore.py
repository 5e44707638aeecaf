"""The mode `explore`: what a corpus holds, before anything is trained on it, as a page, tables and a CSV file with a row a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avemo_jax.atomic import atomic_file
from avemo_jax.clip_measures import ClipMeasures
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.csv_files import write_rows
from avemo_jax.reporting.exploration import contact_sheet, exploration_tables, histograms, rows_of_clips, summary
from avemo_jax.reporting.pages import write_page
from avemo_jax.reporting.tables import table_text, write_tables


def write_exploration(
    corpus: str,
    clips: Sequence[Clip],
    measures: Mapping[str, ClipMeasures],
    pairs: Sequence[SharedMedia],
    not_compared: Mapping[str, str],
    folder: Path,
) -> Path:
    """Write explore.html, clips.csv and tables/ into a folder, print the tables, and return the path of the page.

    Args:
      corpus: its name.
      clips: of the corpus, at least one.
      measures: clip id -> measures, of every clip.
      pairs: clips that hold the same recording.
      not_compared: clip id -> why it could not be compared with the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = exploration_tables(clips, measures, pairs)
    header, rows = rows_of_clips(clips, measures)
    with atomic_file(folder / "clips.csv") as stream:
        write_rows(stream, [header, *rows])
    write_tables(folder / "tables", tables)
    path = folder / "explore.html"
    found = summary(clips, measures)
    write_page(
        path,
        "explore.html.j2",
        corpus=corpus,
        summary=found,
        tables=tables,
        charts=histograms(measures),
        sheet=contact_sheet(clips, measures),
        num_not_compared=len(not_compared),
    )
    print(f"{corpus}: {found}")
    for table in tables:
        print(table_text(table))
    if not_compared:
        print(f"{len(not_compared)} clips could not be compared with the others; --mode=audit names them")
    print(f"page: {path}; a row a clip: {folder / 'clips.csv'}")
    return path
