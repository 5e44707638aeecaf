"""Make the folds of a protocol by its name: published tables of groups, and rules for any corpus."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from avemo_jax.clips import Clip
from avemo_jax.protocols import named
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable, check_folds, in_one_spelling
from avemo_jax.text import nearest, shorten_list


def make_folds(
    name: str, clips: Sequence[Clip], labels: Sequence[int], *, num_folds: int = 5, seed: int = 0, groups_may_differ: bool = False
) -> FoldTable:
    """Return the folds of a protocol over clips, in any order.

    Args:
      name: a protocol of `protocol_names`.
      clips: all clips of the experiment; of one corpus if the protocol is a published table.
      labels: class index of each clip; random and stratified protocols balance them.
      num_folds: of `random_k` and `speaker_k`.
      seed: of the shuffles of random and stratified protocols.
      groups_may_differ: accept a corpus that lacks speakers or sessions which the protocol names; the leak audit then reports it. Groups
        that the protocol does not name are tested if each group is a fold, and refused if they would never be tested.

    Returns:
      A table that has passed `check_folds`.

    Raises:
      ValueError: the protocol is unknown or does not fit these clips; the message lists the protocols that fit.
      LeakError: `check_folds` found a leak.
    """
    if len(clips) != len(labels):
        raise ValueError(f"expected one label a clip, got {len(clips)} clips and {len(labels)} labels")
    if not clips:
        raise ValueError(f"protocol {name} needs clips, got none")
    order = sorted(range(len(clips)), key=lambda index: clips[index].clip_id)
    clips, labels = in_one_spelling([clips[index] for index in order]), [labels[index] for index in order]
    corpus = _corpus(clips)
    check_protocol(name, corpus)
    published = named.named_folds(corpus, name)
    table = _ANY[name](name, clips, np.asarray(labels), num_folds, seed) if published is None else _published(published, clips)
    if table.groups_differ and not groups_may_differ:
        raise ValueError(
            f"{table.groups_differ.detail}. Complete the corpus, use speaker_k, which accepts any speakers, or, if the missing ones were "
            f"never recorded (RAVDESS song has no actor 18), continue with --config.protocol.allow_leaks=\"('groups_differ',)\"; every "
            f"table will then list this"
        )
    check_folds(table, clips)
    return table


def check_protocol(name: str, corpus: str) -> None:
    """Check that a protocol fits a corpus, of which no clip is needed.

    Args:
      corpus: its name, or "NAME+NAME".

    Raises:
      ValueError: the protocol is unknown or is for other corpora; the message lists those that fit.
    """
    names = protocol_names("+".join(sorted(corpus.lower().split("+"))))
    if name not in names:
        owners = sorted({entry.corpus for entry in named.NAMED if entry.name == name} | set(_OWNERS.get(name, ())))
        if name == CROSS_CORPUS:
            owners = ["joined corpora (--config.corpus.name=NAME+NAME)"]
        reason = f"is for {' and '.join(owners)}, and the clips are of {corpus}" if owners else f"is unknown{nearest(name, names)}"
        raise ValueError(f"protocol {name!r} {reason}; protocols for this corpus: {', '.join(names)} (--config.protocol.name=)")


def protocol_names(corpus: str) -> tuple[str, ...]:
    """Return the names of all protocols that fit a corpus, published tables first."""
    return (*(table.name for table in named.NAMED if table.corpus == corpus), *(name for name in _ANY if _fits(name, corpus)))


def _corpus(clips: Sequence[Clip]) -> str:
    return "+".join(sorted({clip.corpus.lower() for clip in clips}))


def _fold(name: str, clips: Sequence[Clip], validation: Sequence[bool], test: Sequence[bool]) -> Fold:
    """Return a fold from one flag a clip for validation and test; all other clips train."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for clip, validates, tests in zip(clips, validation, test, strict=True):
        parts["test" if tests else "validation" if validates else "train"].append(clip.clip_id)
    return Fold(name, **{part: tuple(sorted(ids)) for part, ids in parts.items()})


def _numbered(count: int) -> list[str]:
    """Return fold1 ... fold5, or fold01 ... fold10: names that sort in order and that no CSV reader parses as numbers."""
    return [f"fold{index:0{len(str(count))}}" for index in range(1, count + 1)]


def _grouped(
    name: str, clips: Sequence[Clip], groups_by: str, rows: Iterable[tuple[str, named.Group, named.Group]], note: str, **fields: Any
) -> FoldTable:
    """Return a table from rows of (fold name, validation groups, test groups)."""
    group_of = _groups_of(name, clips, groups_by)
    folds = [
        _fold(fold_name, clips, [group in validation for group in group_of], [group in test for group in group_of])
        for fold_name, validation, test in rows
    ]
    return FoldTable(name, tuple(folds), groups_by, note, **fields)


def _groups_of(name: str, clips: Sequence[Clip], by: str) -> list[str]:
    """Return the group of each clip, or raise ValueError if a clip has none."""
    if unknown := [clip.clip_id for clip in clips if not clip.group(by)]:
        raise ValueError(
            f"protocol {name} needs the {by} of every clip, and the corpus does not state it for {len(unknown)} clips: "
            f"{shorten_list(unknown, 8)}"
        )
    return [clip.group(by) for clip in clips]


def _held_out(name: str, clips: Sequence[Clip], by: str) -> set[str]:
    """Return every fifth value in natural order, for validation."""
    return set(sorted(set(_groups_of(name, clips, by)), key=named.natural_order)[4::5])


def _genders(clips: Sequence[Clip]) -> dict[str, str]:
    """Return speaker -> gender, in natural order of the speakers."""
    return {clip.speaker: clip.gender for clip in sorted(clips, key=lambda clip: named.natural_order(clip.speaker))}


def _one_of_each_gender(speakers: Sequence[str], genders: dict[str, str]) -> named.Group:
    """Return the first speaker of each gender, or the first two if all are of one gender."""
    first = {genders[speaker]: speaker for speaker in reversed(speakers)}
    return tuple(first.values()) if len(first) > 1 else tuple(speakers[:2])


_ONE_OF_EACH = "validation is the first speaker of each gender of the next fold's group (its first two if it has one gender)"


def _published(table: named.NamedFolds, clips: Sequence[Clip]) -> FoldTable:
    group_of = _groups_of(table.name, clips, table.groups_by)
    groups = sorted(set(group_of), key=named.natural_order)
    differ = named.compare_groups(table.name, table.corpus, table.groups_by, named.expected_groups(table), groups)

    def as_on_disk(part: tuple[named.Group, ...]) -> list[named.Group]:
        return [tuple(group for group in groups if named.canonical(group) in members) for members in part]

    test, note = as_on_disk(table.test), table.note
    if table.validation_by:
        is_cross_validation = len(test) > 1
        others = clips if is_cross_validation else [clip for clip, group in zip(clips, group_of, strict=True) if group not in test[0]]
        held_out = _held_out(table.name, others, table.validation_by)
        validates = [clip.group(table.validation_by) in held_out for clip in clips]
        folds = [
            _fold(fold_name, clips, validates, [group in members for group in group_of])
            for fold_name, members in zip(_numbered(len(test)), test, strict=True)
        ]
        note = f"{note}; validation is every fifth {table.validation_by} of the training {table.groups_by}s ({len(held_out)} held out)"
        return FoldTable(
            table.name,
            tuple(folds),
            table.groups_by,
            note,
            each_clip_once=is_cross_validation,
            validation_by=table.validation_by,
            groups_differ=differ,
        )
    if table.validation is not None:
        validation = as_on_disk(table.validation)
    else:
        genders = _genders(clips)
        validation = [_one_of_each_gender(group, genders) for group in (*test[1:], test[0])]
        note = f"{note}; {_ONE_OF_EACH}"
    rows = zip(_numbered(len(test)), validation, test, strict=True)
    whole = _grouped(table.name, clips, table.groups_by, rows, note, each_clip_once=len(test) > 1, groups_differ=differ)
    return _crossed(whole, clips, table.crossed_with) if table.crossed_with else whole


def _crossed(table: FoldTable, clips: Sequence[Clip], attribute: str) -> FoldTable:
    """Return a table with a fold for each fold and value of an attribute: its test clips have this value, its other clips have others."""
    value_of = dict(zip((clip.clip_id for clip in clips), _groups_of(table.protocol, clips, attribute), strict=True))
    pairs = [(fold, value) for fold in table.folds for value in sorted(set(value_of.values()), key=named.natural_order)]
    folds = [
        Fold(name, *(tuple(one for one in getattr(fold, part) if (value_of[one] == value) == (part == "test")) for part in PARTS))
        for name, (fold, value) in zip(_numbered(len(pairs)), pairs, strict=True)
    ]
    return dataclasses.replace(table, folds=tuple(folds), crossed_with=attribute)


def _loso(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    _groups_of(name, clips, "speaker")
    genders = _genders(clips)
    corpus, speakers = _corpus(clips), tuple(genders)
    known = named.GROUPS.get((corpus, "speaker"))
    differ = named.compare_groups(name, corpus, "speaker", known, speakers) if known else None
    if len(speakers) < 3:
        raise ValueError(f"protocol {name} needs at least 3 speakers, one for each part, and the clips have {len(speakers)}")
    rows = []
    for index, speaker in enumerate(speakers):
        following = (*speakers[index + 1 :], *speakers[:index])
        several = len({genders[other] for other in following}) > 1 and len(speakers) > 3
        rows.append((f"speaker_{speaker}", _one_of_each_gender(following, genders) if several else following[:1], (speaker,)))
    note = "the test part is one speaker; validation is the next speaker of each gender (the next speaker if all are of one gender)"
    return _grouped(name, clips, "speaker", rows, note, groups_differ=differ)


def _speaker10(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    session_of = {clip.speaker: clip.session for clip in clips}
    differ = named.compare_groups(name, "iemocap", "session", named.GROUPS["iemocap", "session"], session_of.values())
    rows = []
    for speaker in sorted(session_of):
        partners = [other for other in session_of if session_of[other] == session_of[speaker] and other != speaker]
        if len(partners) != 1:
            raise ValueError(f"protocol {name} expects 2 speakers a session, and session {session_of[speaker]} has {len(partners) + 1}")
        rows.append((f"speaker_{speaker}", (partners[0],), (speaker,)))
    note = "the test part is one speaker; validation is the other speaker of the session"
    return _grouped(name, clips, "speaker", rows, note, groups_differ=differ)


def _next_group(name: str, clips: Sequence[Clip], groups_by: str, num_folds: int, note: str) -> FoldTable:
    """Return a table whose folds take the groups in turn, in natural order; validation is the next fold's test part."""
    groups = sorted(set(_groups_of(name, clips, groups_by)), key=named.natural_order)
    if len(groups) < num_folds:
        raise ValueError(f"protocol {name} needs at least {num_folds} {groups_by}s, one for each fold, and the clips have {len(groups)}")
    dealt = [tuple(groups[start::num_folds]) for start in range(num_folds)]
    rows = zip(_numbered(num_folds), [*dealt[1:], dealt[0]], dealt, strict=True)
    return _grouped(name, clips, groups_by, rows, f"{note}; validation is the next fold's test part")


def _subject10(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    note = "ten folds that take the subjects in turn, in order of their numbers (step of ten)"
    return _next_group(name, clips, "speaker", 10, note)


def _text_independent(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    note = f"{len({clip.sentence for clip in clips})} sentences, which five folds take in turn, in order; speakers are in all parts"
    return _next_group(name, clips, "sentence", 5, note)


def _speaker_k(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    speakers = _groups_of(name, clips, "speaker")
    genders = _genders(clips)
    if len(genders) < 3:
        raise ValueError(
            f"protocol {name} needs at least 3 speakers, because train, validation and test have different speakers, and the clips have "
            f"{len(genders)}; --config.protocol.name=random_k divides the clips without regard to speakers, and every table says so"
        )
    if num_folds < 3 or num_folds > len(genders):
        raise ValueError(
            f"protocol {name} needs at least 3 folds, because train, validation and test have different speakers, and at most as many as "
            f"speakers: got num_folds={num_folds} and {len(genders)} speakers; set --config.protocol.num_folds"
        )
    from sklearn.model_selection import StratifiedGroupKFold  # imported late, because it is slow and few protocols use it

    # One stratum for each pair of label and gender balances both.
    strata = [f"{label}-{clip.gender}" for label, clip in zip(labels, clips, strict=True)]
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    try:
        splits = list(splitter.split(speakers, strata, speakers))
    except ValueError as error:
        advice = "a smaller --config.protocol.num_folds, or " if num_folds > 3 else ""
        raise ValueError(
            f"protocol {name}: {len(clips)} clips of {len(genders)} speakers are too few for {num_folds} folds that balance class and "
            f"gender ({error}); set {advice}--config.protocol.name=loso, which balances nothing"
        ) from error
    tests = [tuple(sorted({speakers[index] for index in test}, key=named.natural_order)) for _, test in splits]
    if empty := [fold_name for fold_name, test in zip(_numbered(num_folds), tests, strict=True) if not test]:
        raise ValueError(
            f"protocol {name}: {len(genders)} speakers leave {', '.join(empty)} empty; set fewer folds, another --config.protocol.seed, "
            "or --config.protocol.name=loso"
        )
    validation = [_one_of_each_gender(group, genders) for group in (*tests[1:], tests[0])]
    rows = zip(_numbered(num_folds), validation, tests, strict=True)
    note = (
        f"{num_folds} folds over speakers, stratified by class and gender, seed {seed} (scikit-learn StratifiedGroupKFold); {_ONE_OF_EACH}"
    )
    return _grouped(name, clips, "speaker", rows, note)


def _cross_corpus(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    corpora = sorted({clip.corpus for clip in clips})
    for corpus in corpora:
        words = {clip.label: label for clip, label in zip(clips, labels, strict=True) if clip.corpus == corpus}
        trained = {label for clip, label in zip(clips, labels, strict=True) if clip.corpus != corpus}
        if unknown := sorted(word for word, label in words.items() if label not in trained):
            raise ValueError(
                f"protocol {name} trains on other corpora than it tests, and {', '.join(unknown)} of {corpus} are in none of the others; "
                "set --config.corpus.label_set to classes that all have"
            )
    held_out: set[str] = set()
    for corpus in corpora:
        speakers = sorted({clip.speaker for clip in clips if clip.corpus == corpus and clip.speaker}, key=named.natural_order)
        # every fifth, or the last of a few; a corpus of one speaker, or of unknown ones, trains as a whole
        held_out |= set(speakers[4::5] or speakers[1:][-1:])
    if without := [corpus for corpus in corpora if not any(clip.speaker in held_out for clip in clips if clip.corpus != corpus)]:
        raise ValueError(
            f"protocol {name} validates on held-out speakers of the training corpora, and without {without[0]} no corpus has two named "
            "speakers; join another corpus"
        )
    validates = [clip.speaker in held_out for clip in clips]
    folds = [_fold(corpus, clips, validates, [clip.corpus == corpus for clip in clips]) for corpus in corpora]
    note = (
        "the test part is one corpus, the others train; validation is every fifth speaker of each training corpus (the last one of 2 to 4 "
        f"speakers; {len(held_out)} held out in all)"
    )
    return FoldTable(name, tuple(folds), "corpus", note, validation_by="speaker")


def _random_k(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    num_folds = 10 if name == "random10" else num_folds
    smallest = min(Counter(labels.tolist()).values())
    if not 3 <= num_folds <= smallest:
        raise ValueError(
            f"protocol {name} needs at least 3 folds, and at most as many as clips of the smallest class: got {num_folds} folds and "
            f"{smallest} clips; use random_k with another --config.protocol.num_folds"
        )
    from sklearn.model_selection import StratifiedKFold

    part = np.empty(len(clips), dtype=int)
    for index, (_, test) in enumerate(StratifiedKFold(num_folds, shuffle=True, random_state=seed).split(labels, labels)):
        part[test] = index
    folds = [
        _fold(fold_name, clips, list(part == (index + 1) % num_folds), list(part == index))
        for index, fold_name in enumerate(_numbered(num_folds))
    ]
    note = (
        f"SPEAKER-DEPENDENT: {num_folds} random folds over clips, stratified by class, seed {seed} (scikit-learn StratifiedKFold); "
        "validation is the next fold's test part"
    )
    return FoldTable(name, tuple(folds), "", note)


# Protocol -> shares of (validation, test) clips.
_HOLDOUTS = {"holdout_50_25_25": (0.25, 0.25), "holdout_80_20": (0.1, 0.2), "holdout": (0.1, 0.2)}


def _holdout(name: str, clips: Sequence[Clip], labels: np.ndarray, num_folds: int, seed: int) -> FoldTable:
    from sklearn.model_selection import train_test_split

    validation_share, test_share = _HOLDOUTS[name]
    rest, test = train_test_split(np.arange(len(clips)), test_size=test_share, stratify=labels, random_state=seed)
    size = round(validation_share * len(clips))
    _, validation = train_test_split(rest, test_size=size, stratify=labels[rest], random_state=seed)
    flags = np.zeros((2, len(clips)), dtype=bool)
    flags[0, validation] = flags[1, test] = True
    note = (
        f"SPEAKER-DEPENDENT: one random split over clips, stratified by class, seed {seed}: {1 - validation_share - test_share:.0%} train, "
        f"{validation_share:.0%} validation, {test_share:.0%} test"
    )
    fold = _fold("fold1", clips, list(flags[0]), list(flags[1]))
    return FoldTable("holdout_80_20" if name == "holdout" else name, (fold,), "", note, each_clip_once=False)


CROSS_CORPUS = "cross_corpus"
_Maker = Callable[[str, Sequence[Clip], np.ndarray, int, int], FoldTable]
_ANY: dict[str, _Maker] = {
    "loso": _loso,
    CROSS_CORPUS: _cross_corpus,
    "speaker_k": _speaker_k,
    "speaker10": _speaker10,
    "subject10": _subject10,
    "text_independent": _text_independent,
    "random10": _random_k,
    "random_k": _random_k,
    "holdout_50_25_25": _holdout,
    "holdout_80_20": _holdout,
    "holdout": _holdout,
}


# Protocols for some corpora only.
_OWNERS = {"speaker10": ("iemocap",), "subject10": ("ck48", "ck_plus"), "text_independent": ("crema_d", "emodb", "tess")}


def _fits(name: str, corpus: str) -> bool:
    if name == CROSS_CORPUS:
        return "+" in corpus
    return name not in _OWNERS or corpus in _OWNERS[name]
