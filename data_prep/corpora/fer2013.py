"""FER2013: 35,887 faces of 48 x 48 grey pixels found on the web, in one table of pixels.

The corpus names no speakers, so its only folds are its own: the column Usage. Some faces are in it twice and more, all but
equal, in different parts.

Source: Goodfellow et al. 2013, "Challenges in representation learning: a report on three machine learning contests", ICONIP.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from avemo_jax.clips import ROW_OFFSET, Clip
from data_prep.corpora.layout import not_found, shorten

ADDRESS = "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
LAYOUT = "fer2013.csv with the columns emotion, pixels, Usage"
OPTIONS = ()
LABEL_TARGETS = ("found",)  # by the words that a search for the picture had, looked through by people
MODALITIES = ("still",)
NUM_CLIPS = 35887

TABLE = "fer2013.csv"
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by number
USAGES = ("Training", "PublicTest", "PrivateTest")
_NAME = re.compile(r"fer\d{5}")


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to (the id itself: "fer" and the number of the row, from 0), or None."""
    return stem if _NAME.fullmatch(stem) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a row of the table, its picture the table and the row's place in it; Usage is the attribute `usage`.

    Raises:
      CorpusNotFound: there is no table, or no row of it reads.
    """
    table = next((path for path in (root / TABLE, *sorted(root.glob(f"*/{TABLE}"))) if path.is_file()), None)
    found: list[Clip] = []
    unreadable: list[str] = []
    if table is not None:
        name = table.relative_to(root).as_posix()
        for number, (offset, row) in enumerate(_rows(table)):
            emotion, usage = row.get("emotion", ""), row.get("usage", "")
            if not (re.fullmatch(r"[0-6]", emotion) and usage in USAGES):
                unreadable.append(str(number))
                continue
            attributes = {"usage": usage, ROW_OFFSET: str(offset)}
            found.append(Clip(f"fer{number:05}", "fer2013", EMOTIONS[int(emotion)], "", video=name, attributes=attributes))
    if not found:
        there = f"{table.name} without a row of an emotion from 0 to 6 and a known Usage" if table else None
        raise not_found("fer2013", root, layout=LAYOUT, address=ADDRESS, found=there)
    if unreadable:
        warnings.warn(f"{table}: ignored, because emotion or Usage is unknown: {shorten(unreadable, what='rows')}", stacklevel=2)
    return tuple(found)


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the place of each row in bytes and its cells by the name of their column in lower case."""
    with table.open("rb") as stream:
        header = [cell.strip().lower() for cell in next(csv.reader([stream.readline().decode("utf-8-sig")]), [])]
        offset = stream.tell()
        for line in stream:
            if line.strip():
                yield offset, dict(zip(header, (cell.strip() for cell in next(csv.reader([line.decode("latin-1")]))), strict=False))
            offset += len(line)
