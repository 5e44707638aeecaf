"""Published fold tables as data: which speakers or sessions make up each part.

A group is named by its canonical name (`canonical`), so that "Actor_01", "01" and "s1" are all speaker "1". To add a table, add an
entry to `NAMED`. `GROUPS` says what a complete corpus has; it is needed for single splits, whose training part no table names, and for
protocols that take the groups as they come (`loso`, `speaker10`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

Group = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedFolds:
    """The groups of a published protocol.

    Attributes:
      corpus: corpus it is for.
      name: what configs call it.
      groups_by: what its groups are: "speaker", "session" or "sentence", or an attribute such as "usage" (`Clip.group`).
      test: groups of the test part, a tuple a fold.
      validation: groups of the validation part, a tuple a fold; None where none was published (then `folds` states its rule).
      note: source, and what is worth knowing.
      validation_by: where so few groups are left beside the test part that none can be spared: what is held out of the training
        groups for validation instead, every fifth of its values in natural order. "" where the validation part has groups of its own.
    """

    corpus: str
    name: str
    groups_by: str
    test: tuple[Group, ...]
    validation: tuple[Group, ...] | None
    note: str
    validation_by: str = ""


def canonical(name: str) -> str:
    """Return the number a name ends with, without leading zeros ("Actor_01" -> "1"), or the name itself where it ends with none."""
    digits = re.search(r"\d+$", name)
    return str(int(digits.group())) if digits else name


def natural_order(name: str) -> tuple[float, str]:
    """Sorting key: by number where the canonical name is one, then by name."""
    number = canonical(name)
    return (float(number) if number.isdecimal() else float("inf"), name)


def _numbers(*numbers: int) -> Group:
    return tuple(str(number) for number in numbers)


def _span(first: int, last: int) -> Group:
    return _numbers(*range(first, last + 1))


NAMED: tuple[NamedFolds, ...] = (
    NamedFolds(
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
        test=tuple(_numbers(session) for session in range(1, 6)),
        validation=tuple(_numbers(session % 5 + 1) for session in range(1, 6)),
        note="one session tested a fold; validation is the next session, so both of its speakers are unseen",
    ),
    NamedFolds(
        corpus="tess",
        name="cross_speaker2",
        groups_by="speaker",
        test=(("OAF",), ("YAF",)),
        validation=None,
        validation_by="sentence",
        note="one of the two speakers tested, the other trained on, and the other way round; both speak the same words",
    ),
)

# The groups that a complete corpus has.
GROUPS: dict[tuple[str, str], Group] = {
    ("ravdess", "speaker"): _span(1, 24),
    ("iemocap", "session"): _span(1, 5),
    ("tess", "speaker"): ("OAF", "YAF"),
}


def named_folds(corpus: str, name: str) -> NamedFolds | None:
    """Return the published table of that corpus and name, or None."""
    return next((table for table in NAMED if table.corpus == corpus and table.name == name), None)


def expected_groups(table: NamedFolds) -> Group:
    """Return the groups a corpus must have for a table: all that the corpus is known to have, else all that the table tests."""
    return GROUPS.get((table.corpus, table.groups_by)) or tuple(group for part in table.test for group in part)


def check_groups(protocol: str, corpus: str, groups_by: str, expected: Iterable[str], found: Iterable[str]) -> None:
    """Raise ValueError unless the corpus has exactly the expected groups; names those missing and those too many."""
    wanted, present = set(expected), {canonical(name) for name in found}
    missing = sorted(wanted - present, key=natural_order)
    extra = sorted(present - wanted, key=natural_order)
    if missing or extra:
        found_text = "; ".join(
            text for text, names in ((f"missing: {', '.join(missing)}", missing), (f"not among them: {', '.join(extra)}", extra)) if names
        )
        raise ValueError(
            f"protocol {protocol} names {len(wanted)} {groups_by}s of {corpus}, and the clips at hand have {len(present)} ({found_text}). "
            f"Complete the corpus or, where what is missing was never recorded (RAVDESS song has no actor 18), use speaker_k, which takes "
            f"the speakers as they are"
        )
