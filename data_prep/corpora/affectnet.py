"""AffectNet: pictures of faces found on the web, labelled by one of twelve raters each.

Its owner distributes it in two forms: pictures with an annotation a file (`train_set/images/0.jpg`, `train_set/annotations/0_exp.npy`),
and, earlier, all annotated pictures with a table a part (`Manually_Annotated_Images/103/29a3.jpg`, `training.csv`). The test part was never
published; results are those of the validation part. The people are unknown.

Source: Mollahosseini, Hasani and Mahoor 2019, "AffectNet", IEEE Transactions on Affective Computing 10(1).
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from avemo_jax.clips import Clip
from data_prep.corpora.layout import kind_of, not_found, shorten
from data_prep.corpora.walk import walk

ADDRESS = "http://mohammadmahoor.com/affectnet/"
LAYOUT = (
    "train_set and val_set, each with images/0.jpg and annotations/0_exp.npy; or training.csv, validation.csv and the pictures they name"
)
OPTIONS = ()
LABEL_TARGETS = ("crowd",)
MODALITIES = ("still",)
NUM_CLIPS = None  # 287,651 and 3,999 with eight expressions, 414,799 and 5,500 in the tables

EXPRESSIONS = (
    *("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"),
    *("none", "uncertain", "no_face"),
)  # by number
PARTS = {"train_set": "train", "val_set": "test"}
TABLES = {"training.csv": "train", "validation.csv": "test"}
_COLUMNS = ("subDirectory_filePath", *("face_x", "face_y", "face_width", "face_height", "facial_landmarks"), "expression")


def clip_id(stem: str) -> str | None:
    """Return the clip that a table row belongs to: the part and the picture's name ("train_0"), or None."""
    return stem if stem.startswith(("train_", "test_")) else None


def clips(root: Path) -> tuple[Clip, ...]:
    """Read the corpus: one clip a picture with an annotation; the part is the attribute `split`, the owner's validation part its test part.

    Raises:
      CorpusNotFound: no annotated picture is there.
    """
    files = walk(root).files
    pictures = {path.relative_to(root).as_posix(): path for path in files if kind_of(path) == "picture"}
    tables = [path for path in files if path.name.lower() in TABLES]
    found: dict[str, Clip] = {}
    lacking: list[str] = []
    for name, part, expression, picture in _of_tables(tables, pictures) if tables else _of_sets(files, root, pictures):
        if picture is None or not 0 <= expression < len(EXPRESSIONS):
            lacking.append(name)
        else:
            attributes = {"split": part, "picture": name}
            found[name] = Clip(name, "affectnet", EXPRESSIONS[expression], "", video=picture, attributes=attributes)
    if not found:
        there = f"{len(pictures)} pictures and {len(lacking)} annotations without one" if pictures or lacking else None
        raise not_found("affectnet", root, layout=LAYOUT, address=ADDRESS, found=there)
    if lacking:
        warnings.warn(f"{root}: ignored, for want of the picture or of an expression: {shorten(lacking, what='annotations')}", stacklevel=2)
    return tuple(found[name] for name in sorted(found))


def _of_sets(files: tuple[Path, ...], root: Path, pictures: dict[str, Path]) -> Iterator[tuple[str, str, int, str | None]]:
    """Yield id, part, expression and picture of each `N_exp.npy`; the picture may have any suffix."""
    by_stem = {name.rpartition(".")[0]: name for name in pictures}
    for path in files:
        below = PurePosixPath(path.relative_to(root).as_posix())
        if not path.name.endswith("_exp.npy") or len(below.parts) < 3 or (part := PARTS.get(below.parts[-3].lower())) is None:
            continue
        number = path.name.removesuffix("_exp.npy")
        yield f"{part}_{number}", part, _number(path), by_stem.get((below.parents[1] / "images" / number).as_posix())


def _number(path: Path) -> int:
    """The number in an annotation, which is stored as text; -1 where there is none."""
    try:
        return int(float(str(np.load(path, allow_pickle=False).item())))
    except (ValueError, OSError, EOFError):
        return -1


def _of_tables(tables: list[Path], pictures: dict[str, Path]) -> Iterator[tuple[str, str, int, str | None]]:
    """Yield id, part, expression and picture of each row; some copies of validation.csv have no header."""
    ends = {"/".join(PurePosixPath(name).parts[-2:]): name for name in pictures}
    for table in tables:
        part = TABLES[table.name.lower()]
        with table.open(newline="", encoding="utf-8-sig") as stream:
            for cells in csv.reader(stream):
                row = dict(zip(_COLUMNS, cells, strict=False))
                if len(row) < len(_COLUMNS) or row["expression"] == "expression":
                    continue
                path = row["subDirectory_filePath"].strip()
                expression = row["expression"].strip()
                name = f"{part}_{path.rpartition('.')[0].replace('/', '_')}"
                yield name, part, int(expression) if expression.isdecimal() else -1, ends.get("/".join(PurePosixPath(path).parts[-2:]))
