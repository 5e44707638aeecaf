"""Predictions of other systems: a table, and a declaration of its columns.

    NAME=FILE.csv;clip=utterance;kind=logits;columns=c0,c1,c2,c3;classes=angry,happy,neutral,sad

| key | meaning | default |
|---|---|---|
| clip | column of clip ids, or of media names that the corpus knows | clip |
| kind | probabilities, logits, or label | probabilities where the columns are p_<class>, as in our own files; else required |
| columns | columns of the scores, in the order of `classes` | p_<class> of each class; else required |
| classes | the class of each column; with kind=label the class of each number 0, 1, ... | the names of the columns, if they are classes |
| words | the class of each word: words=Wut:angry,3:sad | |
| predicted | column of the predicted class, for kind=label | predicted |
| label | column of true labels, which must agree with the corpus | label, where there is one; `label=` ignores it |
| speaker, fold, seed | columns of these | columns of these names, where there are any |
| protocol, leaks | as stated by the owner, for the tables | |
| order | `trusted`: an order of classes that looks wrong is a note instead of an error | |

Synonyms of emotions are one class, in any case: anger, Angry and ang. A file is read as `foreign_table` says; nothing else is guessed.
A file that does not match its declaration is an error, with what was expected, what was found and the line.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from avemo_jax.comparison.class_order import check_order
from avemo_jax.comparison.entries import UNKNOWN_PROTOCOL, ComparisonError, Entry, Reference, check_unique, index_among
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.foreign_table import ForeignTable, TableError, read_foreign_table, unique_suffixes
from avemo_jax.identity import media_suffix
from avemo_jax.text import shorten_list

KINDS = ("probabilities", "logits", "label")
_KEYS = ("clip", "kind", "columns", "classes", "words", "predicted", "label", "speaker", "fold", "seed", "protocol", "leaks", "order")
_LISTS = ("columns", "classes", "leaks", "words")
_SUM_TOLERANCE = 0.02  # of a row of probabilities: eight of them, rounded to two digits, may be this far from 1
_ROUNDED_SUM = 1e-5  # the same of a dozen of them, rounded to six digits


@dataclasses.dataclass(frozen=True)
class Declaration:
    """The declaration of a file, see this module's docstring; None for what is not declared."""

    name: str
    path: Path
    clip: str = "clip"
    kind: str | None = None
    columns: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
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
        words = {word.strip().casefold(): meaning.strip() for word, _, meaning in pairs}
        if not all((*words, *words.values())) or len(words) < len(pairs):
            raise ComparisonError(f"{name}: expected words=WORD:CLASS,... with different words, got {','.join(values['words'])!r}")
        values["words"] = words
    if values.get("kind") not in (None, *KINDS):
        raise ComparisonError(f"{name}: kind must be one of {', '.join(KINDS)}, got {values['kind']!r}")
    if values.get("order", "trusted") != "trusted":
        raise ComparisonError(f"{name}: order must be trusted, got {values['order']!r}; without it the order is checked")
    return Declaration(name=name.strip(), path=Path(path.strip()), **values)


def read_foreign(declared: Declaration, reference: Reference | None) -> tuple[Entry, Reference]:
    """Read predictions as declared, and check them against the reference.

    Args:
      reference: labels, speakers and classes of the clips, from a run or from another file; None for the first file of a comparison
        without runs, which must have labels and speakers itself.

    Returns:
      The entry, of the clips in the file; `alignment.align` decides whether it may lack some of the reference. And the reference, made from
      this file where none was given.

    Raises:
      ComparisonError: the file does not match its declaration: a column is missing, a number is not finite, rows are not probabilities,
        clips occur twice or are unknown, labels disagree, or the classes look permuted.
    """
    try:
        table = read_foreign_table(declared.path)
    except TableError as error:
        raise ComparisonError(f"{declared.name}: {error}") from error
    where = f"{declared.name} ({declared.path})"
    used = _columns_in_use(declared, table.columns, where)
    rows = [row for _, row in table.rows()]
    if reference is None:
        reference = _own_reference(declared, used, table, where)
    class_of = _class_of(declared, used, reference, where)
    clips, unknown = _clips([row[declared.clip] for row in rows], reference)
    if unknown:
        raise ComparisonError(
            f"{where}: {len(unknown)} of {len(rows)} rows are of unknown clips, the first: {shorten_list(unknown)}; "
            f"the {len(reference.label)} known clips are named like {next(iter(reference.label))}"
        )
    notes = [f"read as {', '.join(table.notes)}"] if table.notes else []
    if renamed := sum(clip != row[declared.clip] for clip, row in zip(clips, rows, strict=True)):
        notes.append(f"{renamed} clips are identified by the names of their media files")
    if used.label is not None:
        _check_labels(table.column(used.label), clips, reference, class_of, where, notes)
    probabilities = _probabilities(declared, used, table, reference, class_of, where, notes)
    predictions = Predictions(
        clip=np.array(clips),
        speaker=np.array([reference.speaker[clip] for clip in clips]),
        gender=np.full(len(clips), "unknown"),
        fold=np.array([row[used.fold] if used.fold else "" for row in rows]),
        seed=np.array([_seed(table, row[used.seed], line, where) if used.seed else 0 for line, row in table.rows()]),
        label=np.array([reference.label[clip] for clip in clips]),
        probabilities=probabilities,
        classes=reference.classes,
    )
    check_unique(predictions, where)
    entry = Entry(
        name=declared.name,
        predictions=predictions,
        has_probabilities=used.kind != "label",
        protocol=declared.protocol,
        caveats=tuple(f"leak: {leak}" for leak in declared.leaks),
        source=str(declared.path),
        has_folds=used.fold is not None,
    )
    finding = check_order(entry.of_seed(entry.seeds[0]))
    if finding is not None:
        indices = [reference.class_of(name) for name in used.classes] if used.kind != "label" else []
        columns = [reference.classes[index] for index in indices if index is not None]
        sentence = finding.sentence(columns if len(set(columns)) == len(reference.classes) else None)
        if finding.is_sure and declared.order != "trusted":
            raise ComparisonError(f"{where}: {sentence}. If the declared order is right, add order=trusted")
        notes.append(sentence)
    return dataclasses.replace(entry, notes=tuple(notes)), reference


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The columns that are read; the file has all of them."""

    kind: str
    scores: tuple[str, ...]  # empty for labels
    classes: tuple[str, ...]
    label: str | None
    speaker: str | None
    fold: str | None
    seed: str | None


def _columns_in_use(declared: Declaration, header: Sequence[str], where: str) -> _Columns:
    own = tuple(name for name in header if name.startswith("p_"))
    kind = declared.kind or ("probabilities" if declared.columns is None and own else None)
    if kind is None:
        raise ComparisonError(f"{where}: declare what its columns hold: kind= one of {', '.join(KINDS)}")
    scores: tuple[str, ...] = ()
    if kind != "label":
        scores = declared.columns or own
        if not scores:
            raise ComparisonError(f"{where}: declare the columns of the {kind}, in order: columns=...; it has {', '.join(header)}")
    classes = declared.classes or tuple(name.removeprefix("p_") for name in scores)
    if len(classes) != len(scores) and kind != "label":
        raise ComparisonError(f"{where}: {len(scores)} columns ({', '.join(scores)}) and {len(classes)} classes ({', '.join(classes)})")
    wanted = {"clip": declared.clip} | {f"columns, {name}": name for name in scores}
    if kind == "label":
        wanted["predicted"] = declared.predicted
    optional = {}
    for key in ("label", "speaker", "fold", "seed"):
        column = getattr(declared, key)
        if column:
            wanted[key] = column
        optional[key] = column or None if column is not None else key if key in header else None
    if absent := [f"{name} ({key})" for key, name in wanted.items() if name not in header]:
        raise ComparisonError(f"{where}: expected the columns {', '.join(absent)}; it has {', '.join(header)}")
    return _Columns(kind=kind, scores=scores, classes=classes, **optional)


def _own_reference(declared: Declaration, used: _Columns, table: ForeignTable, where: str) -> Reference:
    """Make a reference from the labels and speakers of a file, for a comparison without runs."""
    if used.label is None or used.speaker is None:
        raise ComparisonError(
            f"{where}: without runs (--runs=FOLDER) the first file must have columns of labels and speakers: label=..., speaker=..."
        )
    own = (declared.words.get(word.casefold(), word.casefold()) for word in table.column(used.label))
    classes = used.classes or tuple(sorted(set(own)))
    class_of = _with_words(declared, index_among(classes))
    label: dict[str, int] = {}
    for line, row in table.rows():
        index = class_of(row[used.label])
        if index is None:
            raise ComparisonError(f"{where}, line {line}: the label {row[used.label]!r} is not one of its classes {', '.join(classes)}")
        if label.setdefault(row[declared.clip], index) != index:
            raise ComparisonError(f"{where}, line {line}: clip {row[declared.clip]} has another label than in an earlier line")
    speaker = {row[declared.clip]: row[used.speaker] for _, row in table.rows()}
    return Reference("", classes, label, speaker, class_of, lambda stem: None)


def _class_of(declared: Declaration, used: _Columns, reference: Reference, where: str) -> Callable[[str], int | None]:
    """Return the index of the class that a word of the file means; for kind=label with `classes`, also of a number."""
    known = _with_words(declared, reference.class_of)
    if strange := [meaning for meaning in declared.words.values() if reference.class_of(meaning) is None]:
        raise ComparisonError(f"{where}: words= names {', '.join(strange)}, not among the classes {', '.join(reference.classes)}")
    if used.kind != "label" or not declared.classes:
        return known
    numbered = [known(name) for name in declared.classes]
    if None in numbered:
        strange = [name for name, index in zip(declared.classes, numbered, strict=True) if index is None]
        raise ComparisonError(f"{where}: classes= names {', '.join(strange)}, not among the classes {', '.join(reference.classes)}")

    def with_numbers(word: str) -> int | None:
        number = word.removesuffix(".0")
        return numbered[int(number)] if number.isdecimal() and int(number) < len(numbered) else known(word)

    return with_numbers


def _with_words(declared: Declaration, class_of: Callable[[str], int | None]) -> Callable[[str], int | None]:
    """Return `class_of` for the declared words too, and for words in another case."""

    @functools.cache
    def known(word: str) -> int | None:
        word = declared.words.get(word.casefold(), word)
        exact = class_of(word)
        return exact if exact is not None else class_of(word.casefold())

    return known


def _clips(names: Sequence[str], reference: Reference) -> tuple[list[str], list[str]]:
    """Find the clip id of each name, and the names without one."""
    by_suffix = functools.cache(lambda: unique_suffixes(map(_without_suffix, names), reference.label))
    clips, unknown = [], []
    for name in names:
        path = name.replace("\\", "/")
        stem = reference.clip_of(Path(path).stem)
        fitting = (one for one in (name, path, str(Path(path).parent / Path(path).stem), stem) if one in reference.label)
        clip = next(fitting, None)
        if clip is None:
            clip = by_suffix().get(_without_suffix(name))
        clips.append(clip or name)
        if clip is None:
            unknown.append(name)
    return clips, unknown


def _without_suffix(name: str) -> str:
    return name[: len(name) - len(media_suffix(name))]


def _check_labels(
    words: Sequence[str],
    clips: Sequence[str],
    reference: Reference,
    class_of: Callable[[str], int | None],
    where: str,
    notes: list[str],
) -> None:
    found = [(clip, word, class_of(word)) for clip, word in zip(clips, words, strict=True)]
    wrong = [(clip, word) for clip, word, index in found if index != reference.label[clip]]
    if wrong:
        clip, word = wrong[0]
        raise ComparisonError(
            f"{where}: the labels of {len(wrong)} of {len(found)} rows disagree with the corpus, the first: {clip} is {word!r} in the "
            f"file and {reference.classes[reference.label[clip]]!r} in the corpus; `label=` ignores the "
            "column, words=WORD:CLASS,... says what words mean"
        )
    notes.append(f"{len(found)} labels agree")


def _probabilities(
    declared: Declaration,
    used: _Columns,
    table: ForeignTable,
    reference: Reference,
    class_of: Callable[[str], int | None],
    where: str,
    notes: list[str],
) -> np.ndarray:
    """Read probabilities (N, K) in the reference's order of classes; predicted labels become one-hot rows."""
    num_classes = len(reference.classes)
    if used.kind == "label":
        predicted = []
        for line, row in table.rows():
            index = class_of(row[declared.predicted])
            if index is None:
                raise ComparisonError(
                    f"{where}, line {line}: {row[declared.predicted]!r} is not one of the classes {', '.join(reference.classes)}; say what "
                    "it means: words=WORD:CLASS,..., or classes=... for the numbers 0, 1, ..."
                )
            predicted.append(index)
        return np.eye(num_classes)[predicted]
    places = [class_of(name) for name in used.classes]
    if strange := [name for name, place in zip(used.classes, places, strict=True) if place is None]:
        raise ComparisonError(
            f"{where}: {', '.join(strange)} are not among the classes {', '.join(reference.classes)}; declare the class of each column "
            "in order: classes=..."
        )
    scores = np.array([[_number(table, row[column], column, line, where) for column in used.scores] for line, row in table.rows()])
    sums = scores.sum(axis=1)
    if _are_percent(scores, sums):
        notes.append("its rows sum to 100: percent, divided by 100" + (", not logits as declared" if used.kind == "logits" else ""))
        scores, sums, used = scores / 100, sums / 100, dataclasses.replace(used, kind="probabilities")
    are_probabilities = (scores >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE)
    if used.kind == "probabilities" and not are_probabilities.all():
        number = int(np.flatnonzero(~are_probabilities)[0])
        found = "has a negative number" if (scores[number] < 0).any() else f"sums to {sums[number]:.4g}"
        raise ComparisonError(
            f"{where}: {int((~are_probabilities).sum())} of {len(table)} rows are not probabilities; line {table.lines[number]} {found}; "
            "if they are scores before a softmax, declare kind=logits"
        )
    if used.kind == "logits" and are_probabilities.all():
        notes.append("declared as logits, but every row is a probability distribution; the softmax flattens it")
    # Rows rounded to six digits stay as they are; rows rounded to two are normalised.
    wholes = np.where(np.abs(sums - 1) > _ROUNDED_SUM, sums, 1.0)
    values = softmax(scores, axis=1) if used.kind == "logits" else scores / wholes[:, None]
    gathered = np.zeros((len(table), num_classes))
    for column, place in enumerate(places):
        gathered[:, place] += values[:, column]  # several columns may be one class, such as happy and excited
    if silent := [name for index, name in enumerate(reference.classes) if index not in places]:
        notes.append(f"has no column for {', '.join(silent)}, which it never predicts")
    return gathered


def _are_percent(scores: np.ndarray, sums: np.ndarray) -> bool:
    """Whether all rows are probabilities in percent."""
    return bool((scores >= 0).all() and (np.abs(sums - 100) <= 100 * _SUM_TOLERANCE).all())


def _number(table: ForeignTable, cell: str, column: str, line: int, where: str) -> float:
    value = table.number(cell)
    if not math.isfinite(value):
        raise ComparisonError(f"{where}, line {line}: expected a finite number in column {column}, got {cell!r}")
    return value


def _seed(table: ForeignTable, cell: str, line: int, where: str) -> int:
    seed = table.whole(cell)
    if seed is None:
        raise ComparisonError(f"{where}, line {line}: expected an integer seed, got {cell!r}")
    return seed
