"""Declarations of predictions of other systems: their files, and what the columns mean.

    NAME=FILE.csv;clip=utterance;kind=logits;columns=c0,c1,c2,c3;classes=angry,happy,neutral,sad
    NAME=folds/pred_*.csv;kind=label;words=0:neutral,1:calm

FILE is a table, a pattern, or a folder of tables; each of several files is a fold, unless they have a column of folds.

| key | meaning | default |
|---|---|---|
| clip | column of clip ids, or of media names that the corpus knows | clip, else the only column of which each cell names a clip |
| kind | probabilities, logits, or label | probabilities where the columns are p_<class>, as in our own files; else required |
| columns | columns of the scores, in the order of `classes` | p_<class> of each class; else required |
| classes | the class of each column; with kind=label, of each number from 0, or from 1 | the names of the columns, if they are classes |
| words | the class of each word or number: words=Wut:angry,3:sad | |
| decimal | comma or point | what the numbers show |
| predicted | column of the predicted class, for kind=label | predicted |
| label | column of true labels, which must agree with the corpus | label, where there is one; `label=` ignores it |
| speaker, fold, seed | columns of these | columns of these names, where there are any |
| protocol, leaks | as stated by the owner, for the tables | |
| order | `trusted`: an order of classes that looks wrong is a note instead of an error | |
"""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.comparison.entries import UNKNOWN_PROTOCOL, ComparisonError
from avemo_jax.decimal_marks import MARKS
from avemo_jax.foreign_table import ForeignTable, join_tables, read_foreign_table
from avemo_jax.identity import identity

KINDS = ("probabilities", "logits", "label")
_KEYS = (
    *("clip", "kind", "columns", "classes", "words", "decimal", "predicted", "label", "speaker", "fold", "seed"),
    *("protocol", "leaks", "order"),
)
_LISTS = ("columns", "classes", "leaks", "words")
_CHOICES = {"kind": KINDS, "decimal": tuple(MARKS)}
_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet")  # of tables in a folder


@dataclasses.dataclass(frozen=True)
class Declaration:
    """The declaration of a file, see this module's docstring; None for what is not declared."""

    name: str
    path: str
    clip: str | None = None
    kind: str | None = None
    columns: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)  # identity of a word -> class
    decimal: str = ""
    predicted: str = "predicted"
    label: str | None = None
    speaker: str | None = None
    fold: str | None = None
    seed: str | None = None
    protocol: str = UNKNOWN_PROTOCOL
    leaks: tuple[str, ...] = ()
    order: str = "checked"


def parse_declaration(text: str) -> Declaration:
    """Read NAME=FILE;key=value;...

    Raises:
      ComparisonError: it is not of that form; the message lists the keys.
    """
    (first, *rest) = (part.strip() for part in text.split(";"))
    name, equals, path = first.partition("=")
    if not (name and equals and path):
        raise ComparisonError(f"expected NAME=FILE.csv;key=value;..., got {text!r}; keys: {', '.join(_KEYS)}")
    values: dict[str, Any] = {}
    for part in filter(None, rest):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key not in _KEYS or not equals:
            raise ComparisonError(f"{name}: expected key=value with a key among {', '.join(_KEYS)}, got {part!r}")
        if key in values:
            raise ComparisonError(f"{name}: {key} is declared twice")
        values[key] = tuple(word.strip() for word in value.split(",") if word.strip()) if key in _LISTS else value
    if "words" in values:
        pairs = [one.rpartition(":") for one in values["words"]]
        words = {identity(word): meaning.strip() for word, _, meaning in pairs}
        if not all((*words, *words.values())) or len(words) < len(pairs):
            raise ComparisonError(f"{name}: expected words=WORD:CLASS,... with different words, got {','.join(values['words'])!r}")
        values["words"] = words
    for key, choices in _CHOICES.items():
        if values.get(key, choices[0]) not in choices:
            raise ComparisonError(f"{name}: {key} must be one of {', '.join(choices)}, got {values[key]!r}")
    if values.get("order", "trusted") != "trusted":
        raise ComparisonError(f"{name}: order must be trusted, got {values['order']!r}; without it the order is checked")
    return Declaration(name=name.strip(), path=path.strip(), **values)


def read_declared(declared: Declaration) -> ForeignTable:
    """Return the table of a declaration, joined where it is of several files.

    Raises:
      TableError: a file is no table, or has other columns than the first one.
      ComparisonError: no file is there.
    """
    path = Path(declared.path)
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.suffix.lower() in _SUFFIXES and not one.name.startswith("."))
        if not files:
            raise ComparisonError(f"{declared.name}: expected tables ({', '.join(_SUFFIXES)}) in the folder {path}, found none")
        return join_tables([read_foreign_table(file) for file in files], path, decimal=declared.decimal)
    if path.is_file() or not glob.has_magic(declared.path):
        return read_foreign_table(path, decimal=declared.decimal)
    files = sorted(one for one in map(Path, glob.glob(declared.path, recursive=True)) if one.is_file())
    if not files:
        raise ComparisonError(f"{declared.name}: expected files that fit the pattern {declared.path}, found none")
    folder = next(one for one in files[0].parents if all(one in file.parents for file in files))
    return join_tables([read_foreign_table(file) for file in files], folder, decimal=declared.decimal)
