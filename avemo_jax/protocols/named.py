"""Published fold tables as data: the speakers, sessions or sentences of each part.

Groups have canonical names (`canonical`), so that "Actor_01", "01" and "s1" are all speaker "1". To add a table, add an entry to `NAMED`.
`GROUPS` lists the groups of a complete corpus; single splits need it, because no table names their training part, and so do protocols
without a table (`loso`, `speaker10`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from avemo_jax.identity import identity

Group = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedFolds:
    """The groups of a published protocol.

    Attributes:
      corpus: for which the protocol was published.
      name: of the protocol in configs.
      groups_by: kind of the groups: "speaker", "session", "sentence", or an attribute such as "usage" (`Clip.group`).
      test: groups of the test part, one tuple a fold.
      validation: groups of the validation part, one tuple a fold; None if none were published (`rules.make_folds` then holds groups out).
      note: source and peculiarities.
      validation_by: attribute of which every fifth value, in natural order, is held out of the training groups for validation, because
        too few groups are left to hold out a whole one; "" if the validation part has its own groups.
      crossed_with: attribute by which each fold is divided again: its test clips have one value, its other clips another one; "" if not.
    """

    corpus: str
    name: str
    groups_by: str
    test: tuple[Group, ...]
    validation: tuple[Group, ...] | None
    note: str
    validation_by: str = ""
    crossed_with: str = ""


def canonical(name: str) -> str:
    """Return the number at the end of a name without leading zeros ("Actor_01" -> "1"), or the name itself if it ends with none."""
    digits = re.search(r"\d+$", identity(name))
    return str(int(digits.group())) if digits else name


def natural_order(name: str) -> tuple[float, str]:
    """Return a sorting key: by number if the canonical name is one, then by name."""
    number = canonical(name)
    return (float(number) if number.isdecimal() else float("inf"), name)


def _numbers(*numbers: int) -> Group:
    return tuple(str(number) for number in numbers)


def _span(first: int, last: int) -> Group:
    return _numbers(*range(first, last + 1))


def _each_in_turn(count: int, *, first: int = 1) -> tuple[Group, ...]:
    """Return each of the groups 1 to `count` alone, beginning with `first` and going round."""
    return tuple(_numbers((first - 1 + index) % count + 1) for index in range(count))


# Corpora with the parts of their owner: of all three kinds, or without a validation part.
_WITH_PARTS = ("folder", "meld", "table_of_clips")
_WITHOUT_VALIDATION = {"affectnet": "val_set", "raf_db": "test"}  # -> the owner's name of the test part

_LUNA5 = NamedFolds(
    corpus="ravdess",
    name="luna5",
    groups_by="speaker",
    test=(
        _numbers(2, 5, 14, 15, 16),
        _numbers(3, 6, 7, 13, 18),
        _numbers(10, 11, 12, 19, 20),
        _numbers(8, 17, 21, 23, 24),
        _numbers(1, 4, 9, 22),
    ),
    validation=(_numbers(3, 6), _numbers(10, 11), _numbers(8, 17), _numbers(1, 14), _numbers(2, 5)),
    note="five folds over actors of Luna-Jimenez et al. 2022, with their published validation actors",
)

NAMED: tuple[NamedFolds, ...] = (
    _LUNA5,
    dataclasses.replace(
        _LUNA5,
        name="luna5_text",
        crossed_with="sentence",
        note="ten folds: the actors of luna5, and the test clips have one of the two sentences, all other clips of the fold the other one",
    ),
    NamedFolds(
        corpus="ravdess",
        name="emobox6",
        groups_by="speaker",
        test=(
            _numbers(1, 11, 20, 21),
            _numbers(4, 10, 12, 14),
            _numbers(8, 9, 19, 23),
            _numbers(3, 5, 7, 24),
            _numbers(2, 15, 16, 18),
            _numbers(6, 13, 17, 22),
        ),
        validation=None,
        note="six folds over actors of EmoBox (Ma et al. 2024)",
    ),
    NamedFolds(
        corpus="ravdess",
        name="seq6",
        groups_by="speaker",
        test=(_span(1, 4), _span(5, 8), _span(9, 12), _span(13, 16), _span(17, 20), _span(21, 24)),
        validation=None,
        note="six folds over actors in order, as in HiCMAE (Sun et al. 2024)",
    ),
    NamedFolds(
        corpus="ravdess",
        name="audeering",
        groups_by="speaker",
        test=(_span(21, 24),),
        validation=(_numbers(16, 17, 19, 20),),
        note="one split: train 1-15 and 18, validation 16, 17, 19, 20, test 21-24 (audEERING)",
    ),
    NamedFolds(
        corpus="iemocap",
        name="session5",
        groups_by="session",
        test=_each_in_turn(5),
        validation=_each_in_turn(5, first=2),
        note="the test part is one session; validation is the next session, so that both of its speakers are unseen",
    ),
    NamedFolds(
        corpus="ravdess",
        name="text_independent",
        groups_by="sentence",
        test=(("1",), ("2",)),
        validation=None,
        validation_by="speaker",
        note="the test part is one of the two sentences, the other one trains; all speakers are in both parts",
    ),
    NamedFolds(
        corpus="crema_d",
        name="seq5",
        groups_by="speaker",
        test=(_span(1001, 1018), _span(1019, 1036), _span(1037, 1054), _span(1055, 1072), _span(1073, 1091)),
        validation=(_span(1019, 1024), _span(1037, 1042), _span(1055, 1060), _span(1073, 1078), _span(1001, 1006)),
        note="five folds over actors in order; validation is our choice, the first six actors of the next fold's group",
    ),
    NamedFolds(
        corpus="enterface",
        name="subject5",
        groups_by="speaker",
        test=((*_span(1, 5), *_span(7, 10)), _span(11, 19), _span(20, 28), _span(29, 37), _span(38, 44)),
        validation=(_numbers(13, 14, 15), _numbers(20, 21, 22), _numbers(29, 30, 31), _numbers(38, 39, 40), _numbers(1, 2, 3)),
        note="five folds over subjects in order, without subject 6, as the corpus has no single sentences of this subject; validation is "
        "our choice, three subjects of the next fold's group",
    ),
    NamedFolds(
        corpus="enterface",
        name="text_independent",
        groups_by="sentence",
        test=_each_in_turn(5),
        validation=_each_in_turn(5, first=2),
        note="the test part is the sentence of one number for every emotion, validation is the next number; all subjects are in all parts",
    ),
    NamedFolds(
        corpus="fer2013",
        name="official",
        groups_by="usage",
        test=(("PrivateTest",),),
        validation=(("PublicTest",),),
        note="the table's column Usage: Training, PublicTest to validate, PrivateTest to test; the persons are unknown, and some faces are "
        "in several parts",
    ),
    *(
        NamedFolds(
            corpus=corpus,
            name="official",
            groups_by="split",
            test=(("test",),),
            validation=(("validation",),),
            note="the parts that the corpus names; what they share (speakers, sentences) is for the audit to find",
        )
        for corpus in _WITH_PARTS
    ),
    *(
        NamedFolds(
            corpus=corpus,
            name="official",
            groups_by="split",
            test=(("test",),),
            validation=None,
            validation_by="picture",
            note=f"the owner's parts: {test} to test; the people are unknown, and may be in both",
        )
        for corpus, test in _WITHOUT_VALIDATION.items()
    ),
    NamedFolds(
        corpus="msp_improv",
        name="session6",
        groups_by="session",
        test=_each_in_turn(6),
        validation=_each_in_turn(6, first=2),
        note="the test part is one session of two actors; validation is the next session",
    ),
    NamedFolds(
        corpus="tess",
        name="cross_speaker2",
        groups_by="speaker",
        test=(("OAF",), ("YAF",)),
        validation=None,
        validation_by="sentence",
        note="two folds: one of the two speakers is the test part, the other one trains; both speak the same words",
    ),
)

# The groups of a complete corpus.
GROUPS: dict[tuple[str, str], Group] = {
    ("ravdess", "speaker"): _span(1, 24),
    ("iemocap", "session"): _span(1, 5),
    ("ravdess", "sentence"): _span(1, 2),
    ("crema_d", "speaker"): _span(1001, 1091),
    ("emodb", "speaker"): _numbers(3, *range(8, 17)),
    ("enterface", "speaker"): (*_span(1, 5), *_span(7, 44)),
    ("enterface", "sentence"): _span(1, 5),
    ("fer2013", "usage"): ("Training", "PublicTest", "PrivateTest"),
    **{(corpus, "split"): ("train", "validation", "test") for corpus in _WITH_PARTS},
    **{(corpus, "split"): ("train", "test") for corpus in _WITHOUT_VALIDATION},
    ("msp_improv", "session"): _span(1, 6),
    ("jaffe", "speaker"): ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM"),
    ("rml", "speaker"): _span(1, 8),
    ("savee", "speaker"): ("DC", "JE", "JK", "KL"),
    ("tess", "speaker"): ("OAF", "YAF"),
}
# Groups of them that some archives of the owner lack.
MAY_LACK: dict[tuple[str, str], Group] = {("enterface", "speaker"): ("12",)}


def named_folds(corpus: str, name: str) -> NamedFolds | None:
    """Return the published table of that corpus and name, or None."""
    return next((table for table in NAMED if table.corpus == corpus and table.name == name), None)


def expected_groups(table: NamedFolds) -> Group:
    """Return the groups that a corpus must have for a table: those in `GROUPS`, else all groups that the table tests."""
    return GROUPS.get((table.corpus, table.groups_by)) or tuple(group for part in table.test for group in part)


@dataclasses.dataclass(frozen=True)
class GroupsDiffer:
    """Differences between the groups of a corpus on disk and those that a protocol names.

    Attributes:
      detail: a sentence with both numbers and the names.
      names: missing groups, then extra ones.
    """

    detail: str
    names: Group


def compare_groups(protocol: str, corpus: str, groups_by: str, expected: Iterable[str], found: Iterable[str]) -> GroupsDiffer | None:
    """Return how the speakers or sessions of a corpus on disk differ from those that a protocol names, or None."""
    wanted, present = set(expected), {canonical(name) for name in found}
    missing = sorted(wanted - present - set(MAY_LACK.get((corpus, groups_by), ())), key=natural_order)
    extra = sorted(present - wanted, key=natural_order)
    if not missing and not extra:
        return None
    texts = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("extra", extra)) if names]
    named = f"protocol {protocol} names {len(wanted)} {groups_by}s of {corpus}"
    detail = f"{named}, and the clips have {len(present)} ({'; '.join(texts)})"
    return GroupsDiffer(detail, (*missing, *extra))
