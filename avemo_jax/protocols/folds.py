"""Folds: train, validation and test parts of a corpus, and the check that a table of them keeps its promises."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence, Set

from avemo_jax.clips import Clip
from avemo_jax.identity import first_spellings
from avemo_jax.protocols import named
from avemo_jax.text import shorten_list

PARTS = ("train", "validation", "test")
# Clips or groups that a message names before it counts the rest.
_NUM_NAMED = 8


class LeakError(ValueError):
    """Folds that are refused for training: parts share speakers or clips, a part is empty, or a clip is in no part."""


@dataclasses.dataclass(frozen=True)
class Fold:
    """One division of a corpus: clip ids of the three parts, each sorted."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FoldTable:
    """All folds of a protocol.

    Attributes:
      protocol: its name.
      folds: in order.
      groups_by: groups that the test part does not share with other parts: "speaker", "session", "sentence", "corpus" or an attribute of
        the clips; "" if clips are drawn one by one.
      note: source of the folds, and the rule of the validation part.
      each_clip_once: every clip is in the test part of exactly one fold (cross-validation); False for a single split.
      validation_by: groups that the train and the validation part do not share, if they are not `groups_by`, else "". Example: one of two
        speakers is tested, and both other parts are of the other speaker, with different sentences. The epoch is then chosen on a known
        speaker, which makes the choice poorer but no test result better, because the test part still shares no `groups_by`.
      crossed_with: a second attribute that the test part does not share with other parts, else "". Clips that would share it, or
        `groups_by`, are in no part of that fold.
      groups_differ: how the corpus on disk differs from the one that the protocol names, or None.
      joined: tables of one protocol each; their folds in order are the folds of this table. Empty for a table of one protocol.
    """

    protocol: str
    folds: tuple[Fold, ...]
    groups_by: str
    note: str
    each_clip_once: bool = True
    validation_by: str = ""
    crossed_with: str = ""
    groups_differ: named.GroupsDiffer | None = None
    joined: tuple[FoldTable, ...] = ()

    @property
    def tables(self) -> tuple[FoldTable, ...]:
        """Return the joined tables of one protocol each, or this table alone if it has one protocol."""
        return self.joined or (self,)

    def table_of(self, fold: int) -> FoldTable:
        """Return the table of one protocol to which the fold with this index belongs."""
        return next(table for table, folds in self.spans() if fold in folds)

    def spans(self) -> list[tuple[FoldTable, range]]:
        """Return each table of one protocol with the indices of its folds in this table."""
        starts = [0, *itertools.accumulate(len(table.folds) for table in self.tables)]
        return [(table, range(start, start + len(table.folds))) for table, start in zip(self.tables, starts, strict=False)]

    @functools.cached_property
    def content_hash(self) -> str:
        """Return the SHA-256 over the folds' names and clip ids."""
        content = [[fold.name, *(list(getattr(fold, part)) for part in PARTS)] for fold in self.folds]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def speaker_independent(self) -> bool:
        """Return whether no speaker of a test part is in another part of its fold (no speaker is in two sessions or two corpora)."""
        return self.groups_by in ("speaker", "session", "corpus")

    @property
    def implies(self) -> tuple[str, ...]:
        """Return the findings of the leak audit that choosing this protocol allows, because it consists of them; every table lists them."""
        if self.speaker_independent:
            return ()
        speakers = ("speaker_in_two_parts", "speakers_look_alike")
        return speakers if self.groups_by == "sentence" else (*speakers, "sentence_in_two_parts")


def in_one_spelling(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips with one spelling for each speaker, session and sentence, the first one, so that protocols group them correctly."""
    first = {field: first_spellings(getattr(clip, field) for clip in clips) for field in ("speaker", "session", "sentence")}

    def respelled(clip: Clip) -> Clip:
        changes = {field: known.get(getattr(clip, field), "") for field, known in first.items()}
        is_same = all(getattr(clip, field) == value for field, value in changes.items())
        return clip if is_same else dataclasses.replace(clip, **changes)  # type: ignore[arg-type]

    return [respelled(clip) for clip in clips]


def join_tables(tables: Sequence[FoldTable]) -> FoldTable:
    """Return one table with all folds of several protocols; `FoldTable.spans` separates them again.

    Raises:
      ValueError: a protocol is named twice.
    """
    names = [table.protocol for table in tables]
    if len(set(names)) != len(names):
        raise ValueError(f"protocol.name must name no protocol twice, got {', '.join(names)}")
    if len(tables) == 1:
        return tables[0]
    notes = "; ".join(f"{table.protocol}: {table.note}" for table in tables)
    folds = tuple(fold for table in tables for fold in table.folds)
    return FoldTable(",".join(names), folds, "", notes, each_clip_once=False, joined=tuple(tables))


def check_folds(table: FoldTable, clips: Sequence[Clip]) -> None:
    """Check that a fold table has the properties of its protocol.

    Raises:
      LeakError: two parts of a fold share clips, or speakers, sessions or sentences that the protocol separates; a part is empty; a clip
        is in no part, unless the protocol leaves clips out; a clip is tested never or twice although the protocol tests each once. The
        message names them.
    """
    by_id = {clip.clip_id: clip for clip in clips}
    groups_of = {attribute: _groups_of(attribute, by_id) for second in PARTS[1:] for attribute in _separated(table, second)}
    for fold in table.folds:
        _check_fold(table, fold, groups_of, by_id.keys())
    tested = Counter(clip_id for fold in table.folds for clip_id in fold.test)
    if table.each_clip_once:
        never = sorted(by_id.keys() - tested.keys())
        twice = sorted(clip_id for clip_id, count in tested.items() if count > 1)
        for names, what in ((never, "in no test part"), (twice, "in the test parts of several folds")):
            if names:
                raise LeakError(f"protocol {table.protocol} tests each clip once, but these are {what}: {shorten_list(names, _NUM_NAMED)}")


def _separated(table: FoldTable, second: str) -> tuple[str, ...]:
    """Return the attributes that the part `second` of a fold shares with no part before it."""
    groups_by = table.groups_by if second == "test" or not table.validation_by else table.validation_by
    # A session protocol separates speakers too.
    separated = {"": (), "session": ("session", "speaker")}.get(groups_by, (groups_by,))
    return (*separated, table.crossed_with) if second == "test" and table.crossed_with else separated


def _groups_of(attribute: str, by_id: Mapping[str, Clip]) -> dict[str, str]:
    """Return clip id -> its group, all spellings of a group as the first one."""
    known = first_spellings(clip.group(attribute) for clip in by_id.values())
    return {clip_id: known.get(clip.group(attribute), "") for clip_id, clip in by_id.items()}


def _check_fold(table: FoldTable, fold: Fold, groups_of: Mapping[str, Mapping[str, str]], clip_ids: Set[str]) -> None:
    """Check one fold.

    Args:
      groups_of: attribute -> clip id -> group, for the attributes that the protocol separates.
      clip_ids: of the corpus.
    """
    where = f"protocol {table.protocol}, {fold.name}"
    parts = {part: set(getattr(fold, part)) for part in PARTS}
    for part, ids in parts.items():
        if not ids:
            raise LeakError(f"{where}: the {part} part is empty; use fewer folds or another protocol")
        if unknown := sorted(ids - clip_ids):
            raise LeakError(f"{where}: the {part} part names clips that the corpus does not have: {shorten_list(unknown, _NUM_NAMED)}")
    left_out = clip_ids - set().union(*parts.values())
    if table.crossed_with:  # only what shares a group with the test part may be left out
        tested = {attribute: {groups[clip_id] for clip_id in parts["test"]} for attribute, groups in groups_of.items()}
        left_out = {one for one in left_out if not any(groups[one] in tested[attribute] for attribute, groups in groups_of.items())}
    if left_out:
        raise LeakError(f"{where}: clips in no part: {shorten_list(sorted(left_out), _NUM_NAMED)}")
    for first, second in itertools.combinations(PARTS, 2):
        if shared := sorted(parts[first] & parts[second]):
            raise LeakError(f"{where}: clips in both the {first} and the {second} part: {shorten_list(shared, _NUM_NAMED)}")
        for attribute in _separated(table, second):
            groups = [{groups_of[attribute][clip_id] for clip_id in parts[part]} for part in (first, second)]
            if shared := sorted(groups[0] & groups[1], key=named.natural_order):
                raise LeakError(f"{where}: {attribute}s in both the {first} and the {second} part: {shorten_list(shared, _NUM_NAMED)}")
