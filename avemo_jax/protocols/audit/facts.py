"""The leak audit of everything but the folds: groups on disk, stacked networks, encoders, fits, feature columns and lost clips."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from avemo_jax.feature_columns import TableColumns, parts_like
from avemo_jax.identity import identity
from avemo_jax.protocols.audit.findings import Finding, listed
from avemo_jax.protocols.folds import PARTS, Fold, FoldTable
from avemo_jax.text import count_of


def audit_groups(table: FoldTable) -> list[Finding]:
    """Return a finding if the corpus on disk does not have the speakers or sessions that a published protocol names."""
    differ = table.groups_differ
    return [Finding("groups_differ", differ.detail, len(differ.names), differ.names)] if differ else []


@dataclasses.dataclass(frozen=True)
class StackUse:
    """The training clips of a stacked network and of one of its base networks.

    Attributes:
      fold: name of the fold.
      base, stack: names of the base network and of the stacked one.
      base_trained_on: clips on which the base network was trained; for out-of-fold predictions a mapping: clip -> the clips on which the
        network that predicts it was trained.
      stack_learns_from: clips with predictions on which the stacked network is trained.
    """

    fold: str
    base: str
    stack: str
    base_trained_on: Collection[str] | Mapping[str, Collection[str]]
    stack_learns_from: Collection[str]


def audit_stacks(uses: Iterable[StackUse]) -> list[Finding]:
    """Return a finding if a stacked network learns from predictions of clips on which its base networks were trained."""
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
    detail = f"base networks predict {count_of(len(clips), 'clip')} of their own training part for the stacked network: " + listed(
        [where for where, _ in found], 3
    )
    return [Finding("stack_saw_clips", detail, len(clips), tuple(clips))]


# Collections that owners of encoders name -> the corpora of this project in them. EmoBox: Ma et al. 2024, arXiv 2406.07162, table 1, and
# https://github.com/emo-box/EmoBox#datasets.
COLLECTIONS: dict[str, tuple[str, ...]] = {
    "emobox": ("crema_d", "emodb", "enterface", "iemocap", "meld", "ravdess", "savee", "tess"),
}
# Corpora that hold the same recordings or pictures: CK48 is cut out of CK+, FER+ has other labels for FER2013.
SAME_MEDIA = (("ck_plus", "ck48"), ("fer2013", "ferplus"))


@dataclasses.dataclass(frozen=True)
class EncoderUse:
    """An encoder with published weights: its name, and the corpora on which it was trained (None if its owner does not state them)."""

    encoder: str
    trained_on: tuple[str, ...] | None


def audit_encoders(uses: Iterable[EncoderUse], corpora: Iterable[str]) -> list[Finding]:
    """Return findings for encoders that were trained on a corpus of the experiment, or on unknown corpora."""
    names = {_letters(corpus) for corpus in corpora}
    same = {_letters(one): frozenset(map(_letters, group)) for group in SAME_MEDIA for one in group}
    findings = []
    for use in dict.fromkeys(uses):
        if use.trained_on is None:
            findings.append(Finding("encoder_training_unknown", f"the owner of {use.encoder} does not state on what it was trained"))
            continue
        own = {one: name for name in use.trained_on for one in COLLECTIONS.get(_letters(name), (name,))}
        if both := sorted(one for one in own if names & {_letters(one), *same.get(_letters(one), ())}):
            named = [one if own[one] == one else f"{one} ({own[one]})" for one in both]
            detail = f"{use.encoder} was trained on {listed(named)}, whose recordings or pictures this experiment tests on"
            findings.append(Finding("encoder_saw_corpus", detail, len(both), tuple(both)))
    return findings


def _letters(corpus: str) -> str:
    """Return a corpus's name without separators, so that "CREMA-D" equals "crema_d", and "CK+" "ck_plus"."""
    return re.sub(r"[\W_]", "", identity(corpus.replace("+", "plus")))


@dataclasses.dataclass(frozen=True)
class FitUse:
    """A result of `fits.changed_by`: what is fitted, in which fold, and the fitted values that changed with clips outside the part."""

    what: str
    fold: str
    changed: tuple[str, ...]


def audit_fits(uses: Iterable[FitUse]) -> list[Finding]:
    """Return a finding if something was fitted on clips outside its training part."""
    wrong = [use for use in uses if use.changed]
    if not wrong:
        return []
    examples = tuple(f"{use.what} ({use.fold}: {listed(use.changed, 3)})" for use in wrong)
    what = list(dict.fromkeys(use.what for use in wrong))
    detail = f"{listed(what)} changes when clips outside its part change, in {count_of(len(wrong), 'fold')}: {listed(examples, 3)}"
    return [Finding("fitted_outside_training", detail, len(what), examples)]


def audit_columns(allowed: Mapping[str, str]) -> list[Finding]:
    """Return a finding for columns of a feature table that may reveal the label and that the config allows.

    Args:
      allowed: column -> what it looks like ("a row counter", "the class (...)").
    """
    if not allowed:
        return []
    examples = tuple(f"{column!r} looks like {what}" for column, what in allowed.items())
    detail = f"{count_of(len(allowed), 'column')} of the feature table may reveal the label: {listed(examples)}"
    return [Finding("column_is_no_feature", detail, len(allowed), examples, allowed_by="views.table.allow_columns")]


def find_part_columns(table: FoldTable, columns: TableColumns) -> dict[str, str]:
    """Return column -> which fold or part its content gives away, for the columns of a feature table that do and are not known already."""
    if columns.values is None:
        return {}
    clips = columns.clips
    parts: dict[str, list[str]] = {}
    if table.each_clip_once:
        tested_in = {clip: fold.name for fold in table.folds for clip in fold.test}
        parts["fold"] = [tested_in.get(clip, "") for clip in clips]
    for fold in table.folds:
        part_of = {clip: part for part in PARTS for clip in getattr(fold, part)}
        parts[f"part of {fold.name}"] = [part_of.get(clip, "") for clip in clips]
    found = parts_like(columns.values, parts, drawn_one_by_one=not table.groups_by)
    return {columns.used[index]: what for index, what in found.items() if columns.used[index] not in columns.allowed}


def audit_part_columns(found: Mapping[str, str]) -> list[Finding]:
    """Return a finding for columns of a feature table that give away folds or parts.

    Args:
      found: column -> which of them, from `find_part_columns`.
    """
    if not found:
        return []
    examples = tuple(f"{column!r} looks like {what}" for column, what in found.items())
    detail = (
        f"{count_of(len(found), 'column')} of the feature table may tell which clips are tested: {listed(examples)}; leave them out with "
        f'--config.views.table.drop_columns="{tuple(found)}", or keep them with --config.views.table.allow_columns'
    )
    return [Finding("column_tells_part", detail, len(found), examples)]


def audit_lost(folds: Sequence[Fold], lost: Mapping[str, str]) -> list[Finding]:
    """Return a finding with the numbers of damaged clips, by kind of damage, and of those in test parts.

    Args:
      lost: clip -> kind of damage ("undecodable", "no_face", ...).
    """
    named = {clip: kind for clip, kind in lost.items() if any(clip in getattr(fold, part) for fold in folds for part in PARTS)}
    if not named:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(named.values()).items()))
    tested = {clip for fold in folds for clip in fold.test}
    detail = (
        f"{count_of(len(named), 'clip')} damaged ({kinds}), {len(named.keys() & tested)} of them in test parts: they stay in the "
        f"denominator and are predicted from the remaining data"
    )
    examples = tuple(f"{clip} ({kind})" for clip, kind in sorted(named.items()))
    return [Finding("clips_lost", detail, len(named), examples)]
