"""A corpus of one's own: a table with a row a clip.

Columns are file and emotion, and as far as they are known speaker, gender, session, sentence, recording, start and end (s), split and id,
and ratings by the names of --config.corpus.dimensions; a table with ratings needs no emotions.
Columns with other names are declared: --config.corpus.columns="('file=path','speaker=actor')".
"""

from __future__ import annotations

import posixpath
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avemo_jax.clips import GENDERS, RECORDING, Clip
from data_prep.corpora.clip_table import Row, rating, read_rows, time_s
from data_prep.corpora.layout import kind_of, media_fields, not_found, shorten
from data_prep.corpora.own_files import LABEL_TARGETS as LABEL_TARGETS
from data_prep.corpora.own_files import SPLIT, emotion_of, part_of, warn_of_unknown_speakers

ADDRESS = "docs/corpora.md#your-own-files (files of your own)"
LAYOUT = "a table (--config.corpus.table=FILE.csv) with the columns file and emotion, and the media that it names"
OPTIONS = ("label_target", "table", "columns", "dimensions")
MODALITIES = ("audio", "video", "still")
NUM_CLIPS = None

NEEDED = ("file", "emotion")
ROLES = (*NEEDED, "speaker", "gender", "session", "sentence", "recording", "start", "end", "split", "id")
_GENDERS = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"} | {gender: gender for gender in GENDERS}


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to: its id, which is the file without suffix where the table has no ids."""
    return stem or None


def clips(
    root: Path, *, label_target: str = "acted", table: str = "", columns: tuple[str, ...] = (), dimensions: tuple[str, ...] = ()
) -> tuple[Clip, ...]:
    """Read the corpus: one clip a row.

    Args:
      root: folder that the table's files are below.
      label_target: what the labels are: "acted", "crowd" or "found".
      table: the table, relative to the root or to where the program runs.
      columns: role=column, for columns with other names.
      dimensions: columns of ratings, which become attributes of the clips.

    Returns:
      Clips sorted by id. A row without a file on disk is a clip too: it is counted as missing, not left out. Rows of one file are of one
      `recording`, unless the table has that column.

    Raises:
      CorpusNotFound: no table is named, or none of its files is there.
      ValueError: the table lacks a column, two rows are one clip, or a cell does not read; with its line.
    """
    path = next((path for path in (root / table, Path(table)) if table and path.is_file()), None)
    if path is None:
        raise not_found("table_of_clips", root, layout=LAYOUT, address=ADDRESS, found=f"no file {table!r}" if table else None)
    if taken := sorted(set(dimensions) & set(ROLES)):
        raise ValueError(f"--config.corpus.dimensions holds {taken[0]!r}, which is another column of a table of clips")
    needed = (*(NEEDED[:1] if dimensions else NEEDED), *dimensions)
    rows = read_rows(path, roles=(*ROLES, *dimensions), needed=needed, columns=columns)
    files = {row.line: _file(root, path, row) for row in rows}
    times_used = Counter(files.values())
    found: dict[str, tuple[int, Clip]] = {}
    for row in rows:
        clip = _clip(row, files[row.line], dimensions, is_part=times_used[files[row.line]] > 1)
        if clip.clip_id in found:
            lines = f"lines {found[clip.clip_id][0]} and {row.line}"
            raise ValueError(f"{path}, {lines}: both are the clip {clip.clip_id!r}; give the rows ids")
        found[clip.clip_id] = row.line, clip
    missing = [name for name in times_used if not (root / name).is_file()]
    if len(missing) == len(times_used):
        there = f"{path.name} with {len(rows)} rows, and none of its files, such as {missing[0] if missing else '-'}"
        raise not_found("table_of_clips", root, layout=LAYOUT, address=ADDRESS, found=there)
    if missing:
        warnings.warn(f"{root}: not on disk, of {len(times_used)} files in {path.name}: {shorten(missing, what='files')}", stacklevel=2)
    read = tuple(clip for _, (_, clip) in sorted(found.items()))
    warn_of_unknown_speakers(root, read, remedy="Give the table a column speaker, or name it with --config.corpus.columns.")
    return read


def _file(root: Path, table: Path, row: Row) -> str:
    """The row's file below the root; relative ones are looked for below the root, then beside the table."""
    text = row["file"].replace("\\", "/")
    if not text:
        raise ValueError(f"{row.where}: the cell of the file is empty")
    base = posixpath.abspath(root.as_posix())
    folders = (base, posixpath.abspath(table.parent.as_posix()))
    forms = dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)))  # macOS decomposes names
    places = [posixpath.normpath(posixpath.join(folder, form)) for form in forms for folder in folders]
    inside = [place for place in places if place.startswith(f"{base}/")]
    if not inside:
        raise ValueError(f"{row.where}: {row['file']} lies outside of the corpus {root}; set --config.corpus.root to a folder above it")
    chosen = next((place for place in inside if Path(place).is_file()), inside[0])
    if kind_of(Path(chosen)) is None:
        raise ValueError(f"{row.where}: {row['file']} has no suffix of sound, films or pictures")
    return chosen.removeprefix(f"{base}/")


def _clip(row: Row, file: str, dimensions: Sequence[str], *, is_part: bool) -> Clip:
    kind = kind_of(Path(file))
    assert kind is not None
    start_s, end_s = time_s(row, "start"), time_s(row, "end")
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise ValueError(f"{row.where}: expected 0 <= start < end, got {row['start']} and {row['end']}")
    span = "" if start_s is None and end_s is None else f"@{start_s or 0:g}-{'' if end_s is None else f'{end_s:g}'}"
    attributes = {RECORDING: row["recording"] or (file if is_part else ""), SPLIT: part_of(row["split"])}
    attributes |= {name: rating(row, name) for name in dimensions}
    return Clip(
        clip_id=row["id"] or unicodedata.normalize("NFC", f"{posixpath.splitext(file)[0]}{span}"),
        corpus="table_of_clips",
        label=emotion_of(row["emotion"]),
        speaker=row["speaker"],
        **media_fields({kind: file}),
        start_s=start_s,
        end_s=end_s,
        gender=_GENDERS.get(row["gender"].lower(), "unknown"),
        session=row["session"],
        sentence=row["sentence"],
        attributes={name: text for name, text in attributes.items() if text},
    )
