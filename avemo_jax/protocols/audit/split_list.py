"""Third-party split lists: read tables of clips with their folds and parts into items and folds for the leak audit.

Columns are recognised by their names or given (role=column). Four layouts are supported:

    part                  one split: train, validation or test in every row
    fold                  cross-validation: the fold in which a clip is tested; it trains in all others
    fold and part         one row for every clip and fold
    fold1, fold2, ...     one column a fold, a part in every cell

A split may also be several files, one a part, in one folder or in one folder a fold: train.csv, valid.csv and test.csv; fold_1/train.jsonl.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from avemo_jax.clip_names import CLIP_COLUMNS, FILE_COLUMNS
from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.foreign_table import NO_VALUE, TableError, read_foreign_table, seconds
from avemo_jax.identity import (
    FILM_SUFFIXES,
    PICTURE_SUFFIXES,
    SOUND_SUFFIXES,
    clip_identity,
    first_spellings,
    identity,
    joined_spellings,
    media_suffix,
    sentence_identity,
)
from avemo_jax.protocols.audit.findings import Finding, listed, media_not_compared
from avemo_jax.protocols.audit.folds_audit import Item, Span, audit_folds
from avemo_jax.protocols.audit.recordings import Entry, recordings_of
from avemo_jax.protocols.folds import PARTS, Fold
from avemo_jax.protocols.named import natural_order
from avemo_jax.text import count_of

# Role -> names by which a column is recognised, the most likely first; compared without case, blanks, "-" and "_".
ROLES: dict[str, tuple[str, ...]] = {
    "clip": CLIP_COLUMNS,
    "path": FILE_COLUMNS,
    "speaker": (
        *("speaker", "speaker_id", "spk", "spk_id", "actor", "actor_id", "subject", "subject_id", "subj", "person", "person_id"),
        *("participant", "participant_id", "talker", "talker_id", "client_id", "user", "user_id", "performer", "reader", "reader_id"),
    ),
    "sentence": ("sentence", "sentence_id", "statement", "text_id", "text", "transcript", "transcription"),
    "label": ("label", "emotion", "emo", "class", "target", "category"),
    "part": ("part", "split", "set", "subset", "partition", "usage"),
    "fold": ("fold", "fold_id", "test_fold", "cv_fold", "cv"),
    "corpus": ("corpus", "dataset", "database"),
    "recording": ("recording", "recording_id", "source", "source_id", "dialogue", "dialog", "video_id", "parent"),
    "start": ("start", "start_s", "start_time", "begin", "onset"),
    "end": ("end", "end_s", "end_time", "offset"),
}
PART_WORDS: dict[str, str] = {
    **dict.fromkeys(("train", "training", "trn", "tr", "fit"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "development", "publictest"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "te", "eval", "evaluation", "privatetest"), "test"),
    **dict.fromkeys(("", "none", "unused", "na", "nan"), ""),
}
_FACTS = ("speaker", "sentence", "recording", "corpus")
_NAMES = ("clip", "path", "fold", *_FACTS)  # roles of columns that hold names
_IDENTITIES: dict[str, Callable[[str], str]] = {"sentence": sentence_identity, "recording": clip_identity}
# Cells that state no speaker, sentence, recording or corpus. "NA" is not among them: JAFFE has a speaker of that name.
_UNKNOWN = (NO_VALUE - {"na"}) | {"unknown", "?", "-"}
_MEDIA_SUFFIXES = (*SOUND_SUFFIXES, *FILM_SUFFIXES, *PICTURE_SUFFIXES)
_FOLD_COLUMN = re.compile(r"(fold|split|cv|run|rep)\d+")
# If at least this share of the clips is tested exactly once, a list of several folds is a cross-validation that tests each clip once.
_SHARE_TESTED_ONCE = 0.9


class SplitListError(ValueError):
    """An invalid split list; the message states what was expected, what was found and how to fix it."""


@dataclasses.dataclass(frozen=True)
class SplitList:
    """A split list.

    Attributes:
      path: of the list, or of the folder that all of its files are below.
      items: its clips, or their segments, in order of first mention.
      folds: in natural order; the validation part may be empty, and the training part if the list names none.
      each_once: the list is a cross-validation that tests every clip exactly once.
      columns: role -> column.
      repeated: items that are several times in the test part of a fold.
      labels_of: item -> labels, for items with several labels.
      joined: role -> names with several spellings, each as a tuple of its spellings.
      read_from_names: which of speaker and sentence were read from names by the naming rules of which corpora, as text; "" if none.
      unused: columns without a role.
    """

    path: Path
    items: tuple[Item, ...]
    folds: tuple[Fold, ...]
    each_once: bool
    columns: Mapping[str, str]
    repeated: tuple[str, ...]
    labels_of: Mapping[str, tuple[str, ...]]
    joined: Mapping[str, tuple[tuple[str, ...], ...]] = dataclasses.field(default_factory=dict)
    read_from_names: str = ""
    unused: tuple[str, ...] = ()

    def clips(self) -> tuple[Clip, ...]:
        """Return the items with a media file as clips, for a comparison of their media: of a film the sound and the picture."""
        return tuple(
            Clip(
                clip_id=item.item_id,
                corpus=self.path.name,
                label=item.label,
                speaker=item.speaker,
                start_s=span.start_s,
                end_s=span.end_s,
                audio=None if media_suffix(span.path) in PICTURE_SUFFIXES else span.path,
                video=None if media_suffix(span.path) in SOUND_SUFFIXES else span.path,
            )
            for item in self.items
            for span in item.media
        )


def read_split_list(
    files: Path | Sequence[Path | str],
    columns: Mapping[str, str] | None = None,
    known_names: Callable[[Iterable[str]], Mapping[str, Clip]] | None = None,
) -> SplitList:
    """Return the split list in a table, or in several tables that hold one part each.

    Args:
      files: a table, see `foreign_table`; or several, whose names are their parts ("train.csv") and whose folders may be folds
        ("fold_1/train.jsonl").
      columns: role -> column, for columns that are not recognised by name.
      known_names: parses names of clips or files by the naming rules of known corpora; used for speakers and sentences that the columns
        do not state, and to check the speakers that they state.

    Raises:
      SplitListError: a file is no table, a column is missing, or a row is invalid; the message names the line.
    """
    path, header, rows = _read([files] if isinstance(files, str | Path) else list(files))
    found, fold_columns = _columns(path, header, dict(columns or {}))
    cells: dict[str, list[str]] = {role: [row[column] for _, row in rows] for role, column in found.items() if role in _NAMES}
    same = {role: _files(names) if role in ("clip", "path") else _IDENTITIES.get(role, identity) for role, names in cells.items()}
    spelled = {role: first_spellings(cells[role], same[role]) for role in cells if role in ("clip", "path", "fold")}
    entries: dict[Entry, dict[str, str]] = {}
    parts_of: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: {part: [] for part in PARTS})
    labels: dict[Entry, dict[str, str]] = defaultdict(dict)  # label's identity -> its first spelling
    for place, row in rows:
        cell = {role: spelled[role].get(row[column], "") if role in spelled else row[column] for role, column in found.items()}
        clip = cell.get("clip") or cell.get("path") or ""
        if not clip:
            raise SplitListError(f"{place}: the row names no clip (columns {_quoted_columns(found, 'clip', 'path')})")
        entry = (clip, cell.get("path", ""), _seconds(place, cell, "start"), _seconds(place, cell, "end"))
        if cell.get("label"):
            labels[entry].setdefault(identity(cell["label"]), cell["label"])
        facts = {role: "" if (value := cell.get(role, "")).lower() in _UNKNOWN else value for role in _FACTS}
        known = entries.setdefault(entry, facts)
        for role, value in facts.items():
            if value and known[role] and (one := _IDENTITIES.get(role, identity))(value) != one(known[role]):
                raise SplitListError(f"{place}: clip {clip} has {role} {value!r}, and {known[role]!r} in an earlier row")
            known[role] = known[role] or value
        for fold, part in _places(place, row, cell, fold_columns, found):
            if part:
                parts_of[fold][part].append(entry)
            else:
                parts_of[fold]  # a fold in which no clip is tested is still a fold
    names = _names(list(entries))
    read_from_names = _add_facts_from_names(entries, found, known_names) if known_names else ""
    if "fold" in found and "part" not in found:
        _train_on_the_others(parts_of, list(entries))
    folds = tuple(
        Fold(name, **{part: tuple(dict.fromkeys(names[entry] for entry in entries_in)) for part, entries_in in parts_of[name].items()})
        for name in sorted(parts_of, key=natural_order)
    )
    if not any(fold.test for fold in folds):
        raise SplitListError(f"{path}: no clip is in a test part; name the column: --columns=part=NAME or --columns=fold=NAME")
    tested = Counter(name for fold in folds for name in fold.test)
    each_once = len(folds) > 1 and sum(count == 1 for count in tested.values()) >= _SHARE_TESTED_ONCE * len(entries)
    repeated = sorted({names[entry] for parts in parts_of.values() for entry, count in Counter(parts["test"]).items() if count > 1})
    corpora = {identity(facts["corpus"]) for facts in entries.values()} - {""}
    for entry, recording in recordings_of(names).items():
        entries[entry]["recording"] = entries[entry]["recording"] or recording
    items = tuple(_item(names[entry], entry, facts, labels[entry], several=len(corpora) > 1) for entry, facts in entries.items())
    several = {names[entry]: tuple(words.values()) for entry, words in labels.items() if len(words) > 1}
    columns_found = found | {"folds": ", ".join(fold_columns)}
    joined = {role: pairs for role, names in cells.items() if (pairs := joined_spellings(names, same[role]))}
    unused = tuple(name for name in header if name and name not in found.values() and name not in fold_columns)
    return SplitList(Path(path), items, folds, each_once, columns_found, tuple(repeated), several, joined, read_from_names, unused)


def _add_facts_from_names(
    entries: Mapping[Entry, dict[str, str]], found: Mapping[str, str], known_names: Callable[[Iterable[str]], Mapping[str, Clip]]
) -> str:
    """Add the facts that names of clips or files state; return those that the columns lack, and the corpora of the naming rules.

    The speaker that a name states is also kept beside the one of the column.
    """
    clips: Mapping[str, Clip] = {}
    for names in ([path for _, path, *_ in entries if path], [clip for clip, *_ in entries]):  # files first
        clips = clips or known_names(dict.fromkeys(names))
    of_entry = {entry: clip for entry in entries if (clip := clips.get(entry[1]) or clips.get(entry[0]))}
    num_files = Counter((clip.corpus, clip.clip_id) for clip in of_entry.values())
    added: set[str] = set()
    for entry, clip in of_entry.items():
        facts = entries[entry]
        lacking = {role: value for role in ("speaker", "sentence") if (value := getattr(clip, role)) and not facts[role]}
        added |= set(lacking)
        facts |= lacking | ({} if "corpus" in found else {"corpus": clip.corpus})
        facts["named_speaker"] = f"{clip.corpus} {clip.speaker}" if clip.speaker else ""
        if num_files[clip.corpus, clip.clip_id] > 1:  # video and audio of one clip
            facts["recording"] = facts["recording"] or f"{clip.corpus} {clip.clip_id}"
    corpora = " and ".join(sorted({clip.corpus for clip in clips.values()}))
    return f"{' and '.join(sorted(added))} (naming rules of {corpora})" if added else ""


def _files(names: Iterable[str]) -> Callable[[str], str]:
    """Return an identity of clips or files: files of different types differ, and a name without a suffix is the clip's first file."""
    suffixes: dict[str, dict[str, None]] = defaultdict(dict)
    for name in names:
        if suffix := media_suffix(name):
            suffixes[clip_identity(name)][suffix] = None

    def file_identity(name: str) -> str:
        clip = clip_identity(name)
        return clip + (media_suffix(name) or next(iter(suffixes[clip]), "")) if clip else ""

    return file_identity


def audit_split_list(
    split: SplitList, *, shared_media: Sequence[SharedMedia] | None = None, not_compared: Mapping[str, str] | None = None
) -> list[Finding]:
    """Return the findings of the leak audit for a split list.

    Args:
      shared_media: pairs of items that hold the same recording; None if media were not compared.
      not_compared: item -> which of its media, or which part of them, was not compared, and why.
    """
    findings = audit_folds(split.folds, split.items, each_once=split.each_once, shared_media=shared_media)
    findings += media_not_compared(not_compared or {})
    if split.repeated:
        detail = f"{count_of(len(split.repeated), 'clip')} several times in one test part: {listed(split.repeated, 3)}"
        findings.append(Finding("clip_counted_twice", detail, len(split.repeated), split.repeated))
    if split.labels_of:
        examples = tuple(f"{name} ({', '.join(words)})" for name, words in split.labels_of.items())
        detail = f"{count_of(len(examples), 'clip')} with several labels: {listed(examples, 3)}"
        findings.append(Finding("labels_disagree", detail, len(examples), examples))
    return findings


def _read(files: Sequence[Path | str]) -> tuple[Path, list[str], list[tuple[str, dict[str, str]]]]:
    """Return the name of the list, its header, and (file and line, column -> value) of each row."""
    try:
        tables = [read_foreign_table(Path(file)) for file in files]
    except TableError as error:
        raise SplitListError(str(error)) from error
    header = list(dict.fromkeys(name for table in tables for name in table.columns))
    added = [_said_by_name(table.path) for table in tables] if len(tables) > 1 else [{}]
    for role in dict.fromkeys(role for one in added for role in one):
        if role in header:
            raise SplitListError(
                f"{tables[0].path}: {role} stands in a column of the lists and in the names of their files; give --input one list at a time"
            )
    rows = [
        (f"{table.path}, line {line}", dict.fromkeys(header, "") | row | one)
        for table, one in zip(tables, added, strict=True)
        for line, row in table.rows()
    ]
    path = tables[0].path if len(tables) == 1 else Path(os.path.commonpath([table.path.absolute() for table in tables]))
    return path, [*header, *dict.fromkeys(role for one in added for role in one)], rows


def are_parts_of_one(files: Sequence[Path | str]) -> bool:
    """Return whether several files are the parts of one split, by their names."""
    return len(files) > 1 and all(_part_of_name(Path(file)) is not None for file in files)


def _said_by_name(path: Path) -> dict[str, str]:
    """Return the part that a file's name states, and the fold that its folder's name states."""
    part = _part_of_name(path)
    if part is None:
        raise SplitListError(
            f"{path}: expected a name that says the part, such as train.csv, valid.csv or test.csv, of each of several files of one split"
        )
    folder = re.fullmatch(r"(?:fold|split|cv|session|run)[\s_-]*(\w+)", path.absolute().parent.name, re.IGNORECASE)
    return {"part": part} | ({"fold": folder.group(1)} if folder else {})


def _part_of_name(path: Path) -> str | None:
    """Return the word for a part that a file's name holds, None where it holds none or several."""
    words = [word for word in re.split(r"[\W_\d]+", path.stem.lower()) if word and PART_WORDS.get(word)]
    return words[0] if len({PART_WORDS[word] for word in words}) == 1 else None


def _columns(path: Path, header: Sequence[str], given: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return role -> column, and the columns with one fold each."""
    if unknown := sorted(set(given) - set(ROLES)):
        raise SplitListError(f"--columns has an unknown role {', '.join(unknown)}; expected {', '.join(ROLES)}")
    if absent := sorted(set(given.values()) - set(header)):
        raise SplitListError(f"{path} has no column {', '.join(absent)}; it has {', '.join(header)}")
    by_word = {re.sub(r"[\s_-]", "", name).lower(): name for name in reversed(header) if name not in given.values()}
    found = dict(given)
    for role, words in ROLES.items():
        matching = (by_word[word] for one in words if (word := one.replace("_", "")) in by_word)
        if role not in found and (column := next(matching, None)) is not None:
            found[role] = column
    wide = tuple(name for name in header if _FOLD_COLUMN.fullmatch(re.sub(r"[\s_-]", "", name).lower()) and name not in found.values())
    if "clip" not in found and "path" not in found:
        raise SplitListError(f"{path}: no column of {', '.join(header)} is known to name the clip; set --columns=clip=NAME")
    if "part" not in found and "fold" not in found and not wide:
        raise SplitListError(
            f"{path}: no column of {', '.join(header)} is known to hold the part or the fold; set --columns=part=NAME (train, validation "
            "or test in every row) or --columns=fold=NAME (the fold in which the clip is tested)"
        )
    return found, wide if "part" not in found else ()


def _places(
    place: str, row: Mapping[str, str], cell: Mapping[str, str], fold_columns: Sequence[str], found: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return (fold, part) pairs of a row; a part is "" for none."""
    if fold_columns:
        return [(column, _part(place, row[column])) for column in fold_columns]
    if "part" not in cell:
        if not cell["fold"]:
            raise SplitListError(f"{place}: expected the test fold of the clip in column {found['fold']!r}, found nothing")
        return [(f"fold {cell['fold']}", "test")]
    fold = f"fold {cell['fold']}" if cell.get("fold") else "split"
    return [(fold, _part(place, cell["part"]))]


def _part(place: str, word: str) -> str:
    canonical = re.sub(r"[\s_/-]", "", word).lower()
    if canonical not in PART_WORDS:
        known = ", ".join(word for word in PART_WORDS if word)
        raise SplitListError(f"{place}: {word!r} is no part; expected one of: {known}")
    return PART_WORDS[canonical]


def _seconds(place: str, cell: Mapping[str, str], role: str) -> float | None:
    value = seconds(cell.get(role, ""))
    if value is None:
        return None
    if not 0 <= value < float("inf"):
        raise SplitListError(f"{place}: expected {role} in seconds, got {cell[role]!r}")
    return value


def _train_on_the_others(parts_of: Mapping[str, dict[str, list]], entries: Sequence[tuple]) -> None:
    for parts in parts_of.values():
        tested = set(parts["test"])
        parts["train"] = [entry for entry in entries if entry not in tested]


def _names(entries: Sequence[Entry]) -> dict[Entry, str]:
    """Return a unique name for each entry: the clip's name, with a number appended if it has several segments or files."""
    count = Counter(entry[0] for entry in entries)
    seen: Counter[str] = Counter()
    names = {}
    for entry in entries:
        seen[entry[0]] += 1
        names[entry] = entry[0] if count[entry[0]] == 1 else f"{entry[0]}#{seen[entry[0]]}"
    return names


def _item(name: str, entry: Entry, facts: Mapping[str, str], labels: Mapping[str, str], *, several: bool) -> Item:
    """Return the item of an entry; in a list of several corpora, speakers and sentences get the corpus as prefix."""
    clip, path, start_s, end_s = entry
    if not path and media_suffix(clip) in _MEDIA_SUFFIXES:
        path = clip  # a list without a column of files

    def of_corpus(value: str) -> str:
        return f"{facts['corpus']} {value}" if several and value else value

    return Item(
        item_id=name,
        speaker=of_corpus(facts["speaker"]),
        sentence=of_corpus(facts["sentence"]),
        label=next(iter(labels.values()), ""),
        recording=of_corpus(facts["recording"]),
        corpus=facts["corpus"],
        media=(Span(path.replace("\\", "/"), start_s, end_s),) if path else (),
        named_speaker=facts.get("named_speaker", ""),
    )


def _quoted_columns(found: Mapping[str, str], *roles: str) -> str:
    return " and ".join(repr(found[role]) for role in roles if role in found)
