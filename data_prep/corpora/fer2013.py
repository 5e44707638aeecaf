"""FER2013: 35,887 faces of 48 x 48 grey pixels found on the web.

Its owner has them in one table of pixels, fer2013.csv or (in the challenge's archive, with blanks in its header) icml_face_data.csv. Copies
have a picture a file, train/happy/Training_7995970.jpg; the name tells the part, and where it does not (im0.png) the folder.

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
from data_prep.corpora.layout import not_found, recordings, shorten
from data_prep.corpora.walk import nesting, walk

ADDRESS = "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
LAYOUT = "fer2013.csv or icml_face_data.csv with the columns emotion, pixels, Usage; or train/EMOTION/*.jpg and test/EMOTION/*.jpg"
OPTIONS = ()
LABEL_TARGETS = ("found",)  # by the words that a search for the picture had, looked through by people
MODALITIES = ("still",)
NUM_CLIPS = 35887

TABLES = ("fer2013.csv", "icml_face_data.csv")
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by number
USAGES = ("Training", "PublicTest", "PrivateTest")
_NAME = re.compile(r"fer\d{5}")
_PICTURE = re.compile(rf"({'|'.join(USAGES)})_\d+")
_FOLDERS = {"train": USAGES[0], "validation": USAGES[1], "val": USAGES[1], "test": "test"} | {usage.lower(): usage for usage in USAGES}
_OTHER_PICTURE = re.compile(rf"({'|'.join(_FOLDERS)})_({'|'.join(EMOTIONS)})_.+")


def clip_id(stem: str) -> str | None:
    """Return the clip that a row or picture belongs to (the id itself: "fer" and the row's number from 0, or as `_recording`), or None."""
    return stem if any(form.fullmatch(stem) for form in (_NAME, _PICTURE, _OTHER_PICTURE)) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a row of the table, its picture the table and the row's place in it; without a table one a picture.

    The part is the attribute `usage`: Training, PublicTest or PrivateTest; "test" where a copy does not tell the two tests apart.

    Raises:
      CorpusNotFound: there is neither a table nor a picture, or no row of the table reads.
    """
    tables = [path for path in walk(root).files if path.name.lower() in TABLES]
    table = min(tables, key=nesting, default=None)
    if table is None:
        found = recordings(root, {".jpg", ".png"}, _recording, pattern="PART/EMOTION/*.jpg or *.png")
        if not found:
            raise not_found("fer2013", root, layout=LAYOUT, address=ADDRESS)
        return tuple(_clip_of_picture(name, media["picture"]) for name, media in found.items())
    return _clips_of_table(root, table)


def _recording(path: Path) -> tuple[str, str] | None:
    """The picture in a path PART/EMOTION/NAME: its own name where that is one of the corpus, else part, emotion and name."""
    part, emotion = (path.parts[-3].lower(), path.parts[-2].lower()) if len(path.parts) > 2 else ("", "")
    if emotion not in EMOTIONS or part not in _FOLDERS:
        return None
    is_own = _NAME.fullmatch(path.stem) or _PICTURE.fullmatch(path.stem)
    return (path.stem if is_own else f"{part}_{emotion}_{path.stem}"), "picture"


def _clip_of_picture(name: str, picture: str) -> Clip:
    part, emotion = (folder.lower() for folder in Path(picture).parts[-3:-1])
    named = _PICTURE.fullmatch(name)
    return Clip(name, "fer2013", emotion, "", video=picture, attributes={"usage": named[1] if named else _FOLDERS[part]})


def _clips_of_table(root: Path, table: Path) -> tuple[Clip, ...]:
    found: list[Clip] = []
    unreadable: list[str] = []
    name = table.relative_to(root).as_posix()
    for number, (offset, row) in enumerate(_rows(table)):
        emotion, usage = row.get("emotion", ""), row.get("usage", "")
        if not (re.fullmatch(r"[0-6]", emotion) and usage in USAGES):
            unreadable.append(str(number))
            continue
        attributes = {"usage": usage, ROW_OFFSET: str(offset)}
        found.append(Clip(f"fer{number:05}", "fer2013", EMOTIONS[int(emotion)], "", video=name, attributes=attributes))
    if not found:
        there = f"{table.name} without a row of an emotion from 0 to 6 and a known Usage"
        raise not_found("fer2013", root, layout=LAYOUT, address=ADDRESS, found=there)
    if unreadable:
        warnings.warn(f"{table}: ignored, because emotion or Usage is unknown: {shorten(unreadable, what='rows')}", stacklevel=3)
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
