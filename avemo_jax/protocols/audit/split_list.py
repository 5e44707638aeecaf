"""Anybody's split list: a CSV that says of each clip which part of which fold it is in, read into what the leak audit looks at.

Columns are recognised by their names or told (role=column). Four layouts are understood:

    part                  one split: train, validation or test in every row
    fold                  cross-validation: the fold in which a clip is tested; it trains in all others
    fold and part         a row for every clip and fold
    fold1, fold2, ...     a column a fold, a part in every cell
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from avemo_jax.clips import Clip, SharedMedia
from avemo_jax.identity import clip_identity, first_spellings, identity, joined_spellings, media_suffix
from avemo_jax.protocols.audit.folds_audit import Item, Span, audit_folds
from avemo_jax.protocols.audit.findings import Finding, listed, number_of
from avemo_jax.protocols.folds import PARTS, Fold
from avemo_jax.protocols.named import natural_order

# Role -> names by which a column is recognised, the likeliest first; compared without case, blanks, "-" and "_".
ROLES: dict[str, tuple[str, ...]] = {
    "clip": ("clip", "clip_id", "utterance", "utterance_id", "utt", "utt_id", "id", "name", "sample", "key"),
    "path": ("path", "file", "filename", "file_name", "filepath", "audio", "wav", "video", "image", "media", "audio_path", "video_path"),
    "speaker": ("speaker", "speaker_id", "spk", "spk_id", "actor", "actor_id", "subject", "subject_id", "person", "participant"),
    "sentence": ("sentence", "sentence_id", "statement", "text_id", "text", "transcript", "transcription"),
    "label": ("label", "emotion", "class", "target", "category"),
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
_FOLD_COLUMN = re.compile(r"(fold|split|cv|run|rep)\d+")
_VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mkv", ".mov", ".flv", ".mpg", ".mpeg", ".webm", ".wmv"),
    *(".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff"),
)
_PIECE = re.compile(r"(.+?)[\s_.-]*(?:seg|segment|frame|frm|chunk|crop|window|win|patch)[\s_-]*\d+(?:\.\w+)?", re.IGNORECASE)
# Where so many clips are tested exactly once, a list of several folds means to test each once.
_MOSTLY = 0.9


class SplitListError(ValueError):
    """A file that is no split list; the message says what was expected, what was found and how to mend it."""


@dataclasses.dataclass(frozen=True)
class SplitList:
    """A split list.

    Attributes:
      path: of the CSV.
      items: its clips, or their segments, in order of first mention.
      folds: in natural order; the validation part may be empty, and so may the training part of a list that names none.
      each_once: it means to test every clip exactly once.
      columns: role -> column.
      repeated: items that a fold's test part has several times.
      labels_of: item -> labels, of those that have several.
      joined: role -> names that are spelled in several ways, each with its spellings.
      told_by_names: the corpora whose naming rules told speakers or sentences, and which of these.
    """

    path: Path
    items: tuple[Item, ...]
    folds: tuple[Fold, ...]
    each_once: bool
    columns: Mapping[str, str]
    repeated: tuple[str, ...]
    labels_of: Mapping[str, tuple[str, ...]]
    joined: Mapping[str, tuple[tuple[str, ...], ...]] = dataclasses.field(default_factory=dict)
    told_by_names: str = ""

    def clips(self) -> tuple[Clip, ...]:
        """The items that name a media file, as clips, for a comparison of their media."""
        return tuple(
            Clip(
                clip_id=item.item_id,
                corpus=self.path.name,
                label=item.label,
                speaker=item.speaker,
                start_s=span.start_s,
                end_s=span.end_s,
                **{"video" if Path(span.path).suffix.lower() in _VIDEO_SUFFIXES else "audio": span.path},  # type: ignore[arg-type]
            )
            for item in self.items
            for span in item.media
        )


def read_split_list(
    path: Path, columns: Mapping[str, str] | None = None, known_names: Callable[[Iterable[str]], Mapping[str, Clip]] | None = None
) -> SplitList:
    """Read a split list.

    Args:
      path: CSV with a header; fields are separated by commas, semicolons or tabs.
      columns: role -> column, for those that have names of their own.
      known_names: from names of clips or files to what those say that follow a corpus's naming rules; used for speakers and sentences
        where no column has them.

    Raises:
      SplitListError: the file is no table, a column is missing, or a row does not say what it should, with its line.
    """
    header, rows = _read(Path(path))
    found, fold_columns = _columns(path, header, dict(columns or {}))
    cells: dict[str, list[str]] = {role: [row[column] for _, row in rows] for role, column in found.items() if role in _NAMES}
    same = {role: _files(names) if role in ("clip", "path") else identity for role, names in cells.items()}
    spelled = {role: first_spellings(cells[role], same[role]) for role in cells if role in ("clip", "path", "fold")}
    things: dict[tuple[str, str, float | None, float | None], dict[str, str]] = {}
    parts_of: dict[str, dict[str, list[tuple[str, str, float | None, float | None]]]] = defaultdict(lambda: {part: [] for part in PARTS})
    labels: dict[tuple, dict[str, str]] = defaultdict(dict)  # label's identity -> its first spelling
    for line, row in rows:
        cell = {role: spelled[role].get(row[column], "") if role in spelled else row[column] for role, column in found.items()}
        clip = cell.get("clip") or cell.get("path") or ""
        if not clip:
            raise SplitListError(f"{path}, line {line}: the row names no clip (columns {_said(found, 'clip', 'path')})")
        thing = (clip, cell.get("path", ""), _seconds(path, line, cell, "start"), _seconds(path, line, cell, "end"))
        if cell.get("label"):
            labels[thing].setdefault(identity(cell["label"]), cell["label"])
        facts = {role: cell.get(role, "") for role in _FACTS}
        known = things.setdefault(thing, facts)
        for role, value in facts.items():
            if value and known[role] and identity(value) != identity(known[role]):
                raise SplitListError(f"{path}, line {line}: clip {clip} has {role} {value!r} here and {known[role]!r} above")
            known[role] = known[role] or value
        for fold, part in _places(path, line, row, cell, fold_columns, found):
            if part:
                parts_of[fold][part].append(thing)
            else:
                parts_of[fold]  # a fold in which no clip is tested is still a fold
    names = _names(list(things))
    told = _tell(things, found, known_names) if known_names else ""
    if "fold" in found and "part" not in found:
        _train_on_the_others(parts_of, list(things))
    folds = tuple(
        Fold(name, **{part: tuple(dict.fromkeys(names[thing] for thing in things_in)) for part, things_in in parts_of[name].items()})
        for name in sorted(parts_of, key=natural_order)
    )
    if not any(fold.test for fold in folds):
        raise SplitListError(f"{path}: no clip is in a test part; say which column tells it: --columns=part=NAME or --columns=fold=NAME")
    tested = Counter(name for fold in folds for name in fold.test)
    each_once = len(folds) > 1 and sum(count == 1 for count in tested.values()) >= _MOSTLY * len(things)
    repeated = sorted({names[thing] for parts in parts_of.values() for thing, count in Counter(parts["test"]).items() if count > 1})
    corpora = {identity(facts["corpus"]) for facts in things.values()} - {""}
    items = tuple(_item(names[thing], thing, facts, labels[thing], several=len(corpora) > 1) for thing, facts in things.items())
    several = {names[thing]: tuple(words.values()) for thing, words in labels.items() if len(words) > 1}
    columns_found = found | {"folds": ", ".join(fold_columns)}
    joined = {role: pairs for role, names in cells.items() if (pairs := joined_spellings(names, same[role]))}
    return SplitList(Path(path), items, folds, each_once, columns_found, tuple(repeated), several, joined, told)


def _tell(
    things: Mapping[tuple, dict[str, str]], found: Mapping[str, str], known_names: Callable[[Iterable[str]], Mapping[str, Clip]]
) -> str:
    """Put in what the names of clips or their files tell of facts that no column has; returns which, and by which corpora's rules."""
    absent = [role for role in ("speaker", "sentence", "corpus") if role not in found]
    clips: Mapping[str, Clip] = {}
    for names in dict.fromkeys(tuple(thing[place] for thing in things if thing[place]) for place in (1, 0)):  # a file says more than an id
        clips = clips or known_names(names)
    of_thing = {thing: clip for thing in things if (clip := clips.get(thing[1]) or clips.get(thing[0]))}
    num_files = Counter((clip.corpus, clip.clip_id) for clip in of_thing.values())
    told: set[str] = set()
    for thing, clip in of_thing.items():
        told |= {role for role in absent if role != "corpus" and getattr(clip, role)}
        things[thing].update({role: getattr(clip, role) for role in absent})
        if num_files[clip.corpus, clip.clip_id] > 1:  # its film and its sound
            things[thing]["recording"] = things[thing]["recording"] or f"{clip.corpus} {clip.clip_id}"
    corpora = " and ".join(sorted({clip.corpus for clip in clips.values()}))
    return f"{' and '.join(sorted(told))}, read off names of {corpora}" if told else ""


def _files(names: Iterable[str]) -> Callable[[str], str]:
    """Identity of clips or files: other kinds of file of one clip are apart, a name without a suffix is the clip's first file."""
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
    """What the leak audit finds in a split list.

    Args:
      shared_media: pairs of items that hold the same recording, None where nobody looked.
      not_compared: item -> why its media were not looked at.
    """
    findings = audit_folds(split.folds, split.items, each_once=split.each_once, shared_media=shared_media)
    if split.repeated:
        detail = f"{number_of(len(split.repeated), 'clip')} several times in one test part: {listed(split.repeated, 3)}"
        findings.append(Finding("clip_counted_twice", detail, len(split.repeated), split.repeated))
    if split.labels_of:
        examples = tuple(f"{name} ({', '.join(words)})" for name, words in split.labels_of.items())
        detail = f"{number_of(len(examples), 'clip')} with several labels: {listed(examples, 3)}"
        findings.append(Finding("labels_disagree", detail, len(examples), examples))
    if not_compared:
        examples = tuple(f"{name}: {why}" for name, why in not_compared.items())
        detail = f"{number_of(len(examples), 'clip')} whose media were not compared: {listed(examples, 2)}"
        findings.append(Finding("media_not_compared", detail, len(examples), examples))
    return findings


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Header, and (line, column -> value) of each row that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SplitListError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise SplitListError(f"{path}: expected a CSV in UTF-8, got something else ({error})") from error
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        raise SplitListError(f"{path}: expected a header in the first line, the file is empty")
    delimiter = max(",;\t", key=lines[0].count)
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        table = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise SplitListError(f"{path}: this is no CSV ({error})") from error
    header = table[0][1]
    if doubled := [name for name, count in Counter(header).items() if count > 1]:
        raise SplitListError(f"{path}: the header names {listed(doubled)} twice; columns need names of their own")
    rows = []
    for line, row in table[1:]:
        if not any(row):
            continue
        if len(row) != len(header):
            raise SplitListError(f"{path}, line {line}: expected {len(header)} fields as in the header, got {len(row)}: {row}")
        rows.append((line, dict(zip(header, row, strict=True))))
    if not rows:
        raise SplitListError(f"{path}: there are no rows below the header {', '.join(header)}")
    return header, rows


def _columns(path: Path, header: Sequence[str], told: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Role -> column, and the columns that are a fold each."""
    if unknown := sorted(set(told) - set(ROLES)):
        raise SplitListError(f"--columns knows no role {', '.join(unknown)}; roles are {', '.join(ROLES)}")
    if absent := sorted(set(told.values()) - set(header)):
        raise SplitListError(f"{path} has no column {', '.join(absent)}; it has {', '.join(header)}")
    by_word = {re.sub(r"[\s_-]", "", name).lower(): name for name in reversed(header) if name not in told.values()}
    found = dict(told)
    for role, words in ROLES.items():
        matching = (by_word[word] for one in words if (word := one.replace("_", "")) in by_word)
        if role not in found and (column := next(matching, None)) is not None:
            found[role] = column
    wide = tuple(name for name in header if _FOLD_COLUMN.fullmatch(re.sub(r"[\s_-]", "", name).lower()) and name not in found.values())
    if "clip" not in found and "path" not in found:
        raise SplitListError(f"{path}: no column names the clip, of {', '.join(header)}; say which: --columns=clip=NAME")
    if "part" not in found and "fold" not in found and not wide:
        raise SplitListError(
            f"{path}: no column tells the part or the fold, of {', '.join(header)}; say which: --columns=part=NAME (train, validation or "
            "test in every row) or --columns=fold=NAME (where the clip is tested)"
        )
    return found, wide if "part" not in found else ()


def _places(
    path: Path, line: int, row: Mapping[str, str], cell: Mapping[str, str], fold_columns: Sequence[str], found: Mapping[str, str]
) -> list[tuple[str, str]]:
    """(fold, part) of a row, "" for none."""
    if fold_columns:
        return [(column, _part(path, line, row[column])) for column in fold_columns]
    if "part" not in cell:
        if not cell["fold"]:
            raise SplitListError(f"{path}, line {line}: column {found['fold']!r} is empty; it tells the fold in which the clip is tested")
        return [(f"fold {cell['fold']}", "test")]
    fold = f"fold {cell['fold']}" if cell.get("fold") else "split"
    return [(fold, _part(path, line, cell["part"]))]


def _part(path: Path, line: int, word: str) -> str:
    canonical = re.sub(r"[\s_/-]", "", word).lower()
    if canonical not in PART_WORDS:
        known = ", ".join(word for word in PART_WORDS if word)
        raise SplitListError(f"{path}, line {line}: {word!r} is no part; known words: {known}")
    return PART_WORDS[canonical]


def _seconds(path: Path, line: int, cell: Mapping[str, str], role: str) -> float | None:
    if not cell.get(role):
        return None
    try:
        value = float(cell[role])
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise SplitListError(f"{path}, line {line}: expected seconds as {role}, got {cell[role]!r}")
    return value


def _train_on_the_others(parts_of: Mapping[str, dict[str, list]], things: Sequence[tuple]) -> None:
    for parts in parts_of.values():
        tested = set(parts["test"])
        parts["train"] = [thing for thing in things if thing not in tested]


def _names(things: Sequence[tuple]) -> dict[tuple, str]:
    """A name of its own for each thing: the clip's, and where it has several segments or files their number behind it."""
    count = Counter(thing[0] for thing in things)
    seen: Counter[str] = Counter()
    names = {}
    for thing in things:
        seen[thing[0]] += 1
        names[thing] = thing[0] if count[thing[0]] == 1 else f"{thing[0]}#{seen[thing[0]]}"
    return names


def _item(name: str, thing: tuple, facts: Mapping[str, str], labels: Mapping[str, str], *, several: bool) -> Item:
    """The item of a thing; in a list of several corpora the speakers and sentences of one are not those of another."""
    clip, path, start_s, end_s = thing

    def of_corpus(value: str) -> str:
        return f"{facts['corpus']} {value}" if several and value else value

    return Item(
        item_id=name,
        speaker=of_corpus(facts["speaker"]),
        sentence=of_corpus(facts["sentence"]),
        label=next(iter(labels.values()), ""),
        recording=of_corpus(facts["recording"]) or (clip if name != clip else _cut_from(clip)),
        corpus=facts["corpus"],
        media=(Span(path.replace("\\", "/"), start_s, end_s),) if path else (),
    )


def _cut_from(clip: str) -> str:
    """What "talk_seg03.wav" was cut from, "" where a name does not say that it is a piece."""
    piece = _PIECE.fullmatch(clip)
    return piece.group(1) if piece else ""


def _said(found: Mapping[str, str], *roles: str) -> str:
    return " and ".join(repr(found[role]) for role in roles if role in found)
