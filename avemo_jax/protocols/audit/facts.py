"""The leak audit of what a run is made of beside its folds: groups on disk, stacks, encoders, what is fitted, clips lost on the way."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from avemo_jax.identity import identity
from avemo_jax.protocols.audit.findings import Finding, listed, number_of
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable


def audit_groups(table: FoldTable) -> list[Finding]:
    """Say where the corpus on disk has not the speakers or sessions that a published protocol names."""
    differ = table.groups_differ
    return [Finding("groups_differ", differ.detail, len(differ.names), differ.names)] if differ else []


@dataclasses.dataclass(frozen=True)
class StackUse:
    """How a stacked network came by what it learns from.

    Attributes:
      fold: name of the fold.
      base, stack: names of the networks below and of the stacked one.
      base_trained_on: clips that the base network was trained on; a mapping where predictions are out of fold: clip -> the clips that
        the network which predicts it was trained on.
      stack_learns_from: clips whose predictions the stacked network learns from.
    """

    fold: str
    base: str
    stack: str
    base_trained_on: Collection[str] | Mapping[str, Collection[str]]
    stack_learns_from: Collection[str]


def audit_stacks(uses: Iterable[StackUse]) -> list[Finding]:
    """Look for base networks that predict clips which they were trained on for a stacked network to learn from."""
    found = []
    for use in uses:
        trained_on = use.base_trained_on
        if isinstance(trained_on, Mapping):
            seen = [clip for clip in use.stack_learns_from if clip in trained_on.get(clip, ())]
        else:
            seen = sorted(set(use.stack_learns_from) & set(trained_on))
        if seen:
            found.append((f"{use.fold}: {use.stack} on {use.base}, {len(seen)} of {len(use.stack_learns_from)} clips", seen))
    if not found:
        return []
    clips = sorted(set(itertools.chain.from_iterable(seen for _, seen in found)))
    detail = f"base networks predict {number_of(len(clips), 'clip')} that they were trained on, and the stack learns from it: " + listed(
        [where for where, _ in found], 3
    )
    return [Finding("stack_saw_clips", detail, len(clips), tuple(clips))]


@dataclasses.dataclass(frozen=True)
class EncoderUse:
    """An encoder with published weights: its name, what it was trained on (None: its owner does not say)."""

    encoder: str
    trained_on: tuple[str, ...] | None


def audit_encoders(uses: Iterable[EncoderUse], corpora: Iterable[str]) -> list[Finding]:
    """Look for encoders that were trained on a corpus of the experiment."""
    names = {_letters(corpus) for corpus in corpora}
    findings = []
    for use in dict.fromkeys(uses):
        if use.trained_on is None:
            findings.append(Finding("encoder_training_unknown", f"the owner of {use.encoder} does not say what it was trained on"))
        elif both := sorted(name for name in use.trained_on if _letters(name) in names):
            detail = f"{use.encoder} was trained on {listed(both)}, which this experiment tests on"
            findings.append(Finding("encoder_saw_corpus", detail, len(both), tuple(both)))
    return findings


def _letters(corpus: str) -> str:
    """A corpus's name without separators: "CREMA-D" and "crema_d" are one."""
    return re.sub(r"[\W_]", "", identity(corpus))


@dataclasses.dataclass(frozen=True)
class FitUse:
    """A check by `fits.changed_by`: what is fitted, in which fold, and what of it changed when clips changed that it must not see."""

    what: str
    fold: str
    changed: tuple[str, ...]


def audit_fits(uses: Iterable[FitUse]) -> list[Finding]:
    """Name what was fitted on clips outside the part that it may see."""
    wrong = [use for use in uses if use.changed]
    if not wrong:
        return []
    examples = tuple(f"{use.what} ({use.fold}: {listed(use.changed, 3)})" for use in wrong)
    what = list(dict.fromkeys(use.what for use in wrong))
    detail = f"{listed(what)} changes when clips outside its part change, shown in {number_of(len(wrong), 'fold')}: {listed(examples, 3)}"
    return [Finding("fitted_outside_training", detail, len(what), examples)]


def audit_columns(allowed: Mapping[str, str]) -> list[Finding]:
    """Report the columns of a feature table that are kept on purpose though they give something away.

    Args:
      allowed: column -> what it looks like ("a row counter", "the class (...)").
    """
    if not allowed:
        return []
    examples = tuple(f"{column!r} looks like {what}" for column, what in allowed.items())
    detail = f"{number_of(len(allowed), 'column')} of the feature table may give the answer away: {listed(examples)}"
    return [Finding("column_is_no_feature", detail, len(allowed), examples, allowed_by="views.table.allow_columns")]


def audit_lost(folds: Sequence[Fold], lost: Mapping[str, str]) -> list[Finding]:
    """Count the clips that gave no or a doubtful example, by kind and part.

    Args:
      lost: clip -> what is wrong with it ("undecodable", "no_face", ...).
    """
    named = {clip: kind for clip, kind in lost.items() if any(clip in getattr(fold, part) for fold in folds for part in PARTS)}
    if not named:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(named.values()).items()))
    tested = {clip for fold in folds for clip in fold.test}
    detail = (
        f"{number_of(len(named), 'clip')} lost on the way ({kinds}), {len(named.keys() & tested)} of them in test parts: they are in the "
        f"denominator, judged without what is lost"
    )
    examples = tuple(f"{clip} ({kind})" for clip, kind in sorted(named.items()))
    return [Finding("clips_lost", detail, len(named), examples)]
