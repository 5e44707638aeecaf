"""Predictions of other systems: read as declared, and checked against the clips, labels and classes of the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from avemo_jax.clip_names import find_clips
from avemo_jax.comparison.class_order import check_order
from avemo_jax.comparison.class_words import ClassWords, numbered_classes
from avemo_jax.comparison.declaration import KINDS, Declaration, read_declared
from avemo_jax.comparison.entries import ComparisonError, Entry, Reference, check_unique, index_among
from avemo_jax.emotion_words import emotion_of
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.foreign_table import ForeignTable, TableError
from avemo_jax.identity import identity
from avemo_jax.text import shorten_list

_SUM_TOLERANCE = 0.02  # of a row of probabilities: eight of them, rounded to two digits, may be this far from 1
_ROUNDED_SUM = 1e-5  # the same of a dozen of them, rounded to six digits


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
        clips occur twice or are unknown, labels disagree, the numbers of classes do not show where they start, or the classes look
        permuted.
    """
    try:
        return _read_foreign(declared, reference)
    except TableError as error:
        raise ComparisonError(f"{declared.name}: {error}") from error


def _read_foreign(declared: Declaration, reference: Reference | None) -> tuple[Entry, Reference]:
    table = read_declared(declared)
    where = f"{declared.name} ({declared.path})"
    notes = [f"read as {', '.join(table.notes)}"] if table.notes else []
    if num_files := len(set(table.files)):
        notes.append(f"{num_files} files")
    _refuse_adapted(declared, table, where)
    declared = dataclasses.replace(declared, clip=_clip_column(declared, table, reference, notes))
    used = _columns_in_use(declared, table.columns, where)
    if reference is None:
        reference = _own_reference(declared, used, table, where)
    words = _class_words(declared, used, table, reference, where, notes)
    names = table.column(used.clip)
    found = find_clips(names, reference.label, reference.clip_of)
    if unknown := [name for name, clip in zip(names, found, strict=True) if clip is None]:
        raise ComparisonError(
            f"{where}: {len(unknown)} of {len(names)} rows are of unknown clips, the first: {shorten_list(unknown)} "
            f"({table.places[names.index(unknown[0])]}); the {len(reference.label)} known clips are named like "
            f"{next(iter(reference.label))}; clip= declares another column"
        )
    clips = [clip for clip in found if clip is not None]
    if renamed := sum(clip != name for clip, name in zip(clips, names, strict=True)):
        notes.append(f"{renamed} clips are identified by the names of their media files")
    if used.label is not None:
        _check_labels(table, used.label, clips, reference, words, where, notes)
    probabilities = _probabilities(declared, used, table, reference, words, where, notes)
    notes += words.notes
    folds = [Path(file).with_suffix("").as_posix() for file in table.files] if declared.fold is None else []
    predictions = Predictions(
        clip=np.array(clips),
        speaker=np.array([reference.speaker[clip] for clip in clips]),
        gender=np.full(len(clips), "unknown"),
        fold=np.array(table.column(used.fold) if used.fold else folds or [""] * len(clips)),
        seed=np.array(_seeds(table, used.seed, where)),
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
        source=declared.path,
        has_folds=used.fold is not None or bool(folds),
    )
    finding = check_order(entry.of_seed(entry.seeds[0]))
    if finding is not None:
        indices = [words.find(name) for name in used.classes] if used.kind != "label" else []
        columns = [reference.classes[index] for index in indices if index is not None]
        sentence = finding.sentence(columns if len(set(columns)) == len(reference.classes) else None)
        if finding.is_sure and declared.order != "trusted":
            raise ComparisonError(f"{where}: {sentence}. If the declared order is right, add order=trusted")
        notes.append(sentence)
    return dataclasses.replace(entry, notes=tuple(notes)), reference


def _refuse_adapted(declared: Declaration, table: ForeignTable, where: str) -> None:
    """Refuse predictions that `--mode=adapt` made with clips of the test speakers, unless the declaration says so."""
    given = {name for cell in table.column("adapted_by") for name in cell.split()} if "adapted_by" in table.columns else set()
    if undeclared := sorted(given - set(declared.leaks)):
        raise ComparisonError(
            f"{where}: the predictions were given clips of the test speakers (column adapted_by: {', '.join(undeclared)}), so they cannot "
            "stand beside others as if they were not; adaptation.json has their differences from the same run without adaptation. "
            f"leaks={','.join(sorted(given))} declares it, and every table then lists it"
        )


@dataclasses.dataclass(frozen=True)
class _Columns:
    """The columns that are read; the file has all of them."""

    kind: str
    clip: str
    scores: tuple[str, ...]  # empty for labels
    classes: tuple[str, ...]
    label: str | None
    speaker: str | None
    fold: str | None
    seed: str | None


def _clip_column(declared: Declaration, table: ForeignTable, reference: Reference | None, notes: list[str]) -> str:
    """Return the column of clips: the declared one, `clip`, or the only one of which each cell names a clip."""
    if declared.clip is not None or "clip" in table.columns or reference is None:
        return declared.clip or "clip"
    whole = [name for name in table.columns if None not in find_clips(table.column(name), reference.label, reference.clip_of)]
    if len(whole) != 1:
        return "clip"
    notes.append(f"the clips are in column {whole[0]}")
    return whole[0]


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
    clip = declared.clip or "clip"
    wanted = {"clip": clip} | {f"columns, {name}": name for name in scores}
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
    return _Columns(kind=kind, clip=clip, scores=scores, classes=classes, **optional)


def _own_reference(declared: Declaration, used: _Columns, table: ForeignTable, where: str) -> Reference:
    """Make a reference from the labels and speakers of a file, for a comparison without runs."""
    if used.label is None or used.speaker is None:
        raise ComparisonError(
            f"{where}: without runs (--runs=FOLDER) the first file must have columns of labels and speakers: label=..., speaker=..."
        )
    classes = used.classes or _own_classes([declared.words.get(identity(word), word) for word in table.column(used.label)])
    class_of = index_among(classes)
    words = _class_words(declared, used, table, Reference("", classes, {}, {}, class_of, lambda stem: None), where, [])
    label: dict[str, int] = {}
    for place, (_, row) in zip(table.places, table.rows(), strict=True):
        index = words.find(row[used.label])
        if index is None:
            raise ComparisonError(f"{where}, {place}: the label {row[used.label]!r} is not one of its classes {', '.join(classes)}")
        if label.setdefault(row[used.clip], index) != index:
            raise ComparisonError(f"{where}, {place}: clip {row[used.clip]} has another label than in an earlier line")
    speaker = {row[used.clip]: row[used.speaker] for _, row in table.rows()}
    return Reference("", classes, label, speaker, class_of, lambda stem: None)


def _own_classes(words: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of labels, by their English names unless two labels have the same one."""
    own = sorted({word.casefold() for word in words})
    named = {word: emotion_of(word) or word for word in own}
    return tuple(sorted(named.values() if len(set(named.values())) == len(own) else own))


def _class_words(
    declared: Declaration, used: _Columns, table: ForeignTable, reference: Reference, where: str, notes: list[str]
) -> ClassWords:
    """Return what the words and numbers of the file mean."""
    columns = [column for column in (declared.predicted if used.kind == "label" else None, used.label) if column]
    start, numbered = 0, dict[int, str]()
    if declared.classes:
        cells = {column: table.column(column) for column in columns}
        try:
            numbered, start = numbered_classes(cells, declared.classes, declared.words, declared.predicted)
        except ValueError as error:
            raise ComparisonError(f"{where}: {error}") from error
    words = ClassWords(reference.class_of, declared.words, numbered)
    numbers = declared.classes or () if used.kind == "label" else numbered.values()
    for key, names in {"words": declared.words.values(), "classes": numbers}.items():
        if strange := [name for name in names if words.find(name) is None]:
            raise ComparisonError(f"{where}: {key}= names {', '.join(strange)}, not among the classes {', '.join(reference.classes)}")
    if start == 1:
        notes.append(f"the numbers of its classes count from 1, which is {declared.classes[0] if declared.classes else ''}")
    return words


def _check_labels(
    table: ForeignTable, column: str, clips: Sequence[str], reference: Reference, words: ClassWords, where: str, notes: list[str]
) -> None:
    found = list(zip(table.places, clips, table.column(column), strict=True))
    wrong = [(place, clip, word) for place, clip, word in found if words.find(word) != reference.label[clip]]
    if wrong:
        place, clip, word = wrong[0]
        raise ComparisonError(
            f"{where}: the labels of {len(wrong)} of {len(found)} rows disagree with the corpus, the first: {clip} is {word!r} in the "
            f"file and {reference.classes[reference.label[clip]]!r} in the corpus ({place}); `label=` ignores the "
            "column, words=WORD:CLASS,... says what words mean"
        )
    notes.append(f"{len(found)} labels agree")


def _probabilities(
    declared: Declaration,
    used: _Columns,
    table: ForeignTable,
    reference: Reference,
    words: ClassWords,
    where: str,
    notes: list[str],
) -> np.ndarray:
    """Read probabilities (N, K) in the reference's order of classes; predicted labels become one-hot rows."""
    num_classes = len(reference.classes)
    if used.kind == "label":
        predicted = []
        for place, word in zip(table.places, table.column(declared.predicted), strict=True):
            index = words.find(word)
            if index is None:
                raise ComparisonError(
                    f"{where}, {place}: {word!r} is not one of the classes {', '.join(reference.classes)}; say what "
                    "it means: words=WORD:CLASS,..., or classes=... for numbers from 0 or from 1"
                )
            predicted.append(index)
        return np.eye(num_classes)[predicted]
    if strange := [name for name in used.classes if words.find(name) is None]:
        raise ComparisonError(
            f"{where}: {', '.join(strange)} are not among the classes {', '.join(reference.classes)}; declare the class of each column "
            "in order: classes=..."
        )
    rows = zip(table.places, (row for _, row in table.rows()), strict=True)
    scores = np.array([[table.finite(place, column, row[column], flag="decimal") for column in used.scores] for place, row in rows])
    sums = scores.sum(axis=1)
    if _are_percent(scores, sums):
        notes.append("its rows sum to 100: percent, divided by 100" + (", not logits as declared" if used.kind == "logits" else ""))
        scores, sums, used = scores / 100, sums / 100, dataclasses.replace(used, kind="probabilities")
    are_probabilities = (scores >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE)
    if used.kind == "probabilities" and not are_probabilities.all():
        number = int(np.flatnonzero(~are_probabilities)[0])
        found = "has a negative number" if (scores[number] < 0).any() else f"sums to {sums[number]:.4g}"
        raise ComparisonError(
            f"{where}: {int((~are_probabilities).sum())} of {len(table)} rows are not probabilities; {table.places[number]} {found}; "
            "if they are scores before a softmax, declare kind=logits"
        )
    if used.kind == "logits" and are_probabilities.all():
        notes.append("declared as logits, but every row is a probability distribution: read as probabilities")
        used = dataclasses.replace(used, kind="probabilities")
    # Rows rounded to six digits stay as they are; rows rounded to two are normalised.
    wholes = np.where(np.abs(sums - 1) > _ROUNDED_SUM, sums, 1.0)
    values = softmax(scores, axis=1) if used.kind == "logits" else scores / wholes[:, None]
    gathered = np.zeros((len(table), num_classes))
    indices = [index for index in map(words.find, used.classes) if index is not None]
    for column, index in enumerate(indices):
        gathered[:, index] += values[:, column]  # several columns may be one class, such as happy and excited
    if silent := [name for index, name in enumerate(reference.classes) if index not in indices]:
        notes.append(f"has no column for {', '.join(silent)}, which it never predicts")
    return gathered


def _are_percent(scores: np.ndarray, sums: np.ndarray) -> bool:
    """Whether all rows are probabilities in percent, perhaps rounded to whole numbers."""
    tolerance = 100 * _SUM_TOLERANCE + (0.5 * scores.shape[1] if (scores == scores.round()).all() else 0)
    return bool(scores.shape[1] > 1 and (scores >= 0).all() and (np.abs(sums - 100) <= tolerance).all())


def _seeds(table: ForeignTable, column: str | None, where: str) -> list[int]:
    """Return the seed of each row, 0 where there is no column of seeds."""
    seeds = []
    for place, cell in zip(table.places, table.column(column), strict=True) if column else ():
        if (seed := table.whole(cell)) is None:
            raise ComparisonError(f"{where}, {place}: expected an integer seed, got {cell!r}")
        seeds.append(seed)
    return seeds or [0] * len(table)
