"""The leak audit of folds: what two parts share, and which clips are left out or counted twice.

A pure function from clips, folds and pairs of equal media to findings; `findings.mark_allowed` then adds what the config allows. Nothing
here reads a file or a config, so that the same function audits our runs and third-party split lists.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from avemo_jax.clips import RECORDING, ROW_OFFSET, Clip, SharedMedia
from avemo_jax.identity import clip_identity, identity, sentence_identity, spellings
from avemo_jax.protocols.audit.findings import Finding, listed
from avemo_jax.protocols.audit.look_alikes import clip_look_alikes, look_alikes_in_corpora
from avemo_jax.protocols.folds import PARTS, Fold
from avemo_jax.protocols.named import natural_order
from avemo_jax.text import count_of

# With so few sentences, every split has all of them in all parts.
FEW_SENTENCES = 20
# If the median sentence is spoken by at least this share of the speakers, all speakers read the same sentences, and no split by speaker can
# separate sentences. Improvised speech, film and scripts with roles are far below.
READ_BY_ALL = 0.5
_SMALLEST_OVERLAP_S = 0.05  # spans of one file that overlap by at most this count as adjacent


@dataclasses.dataclass(frozen=True)
class Span:
    """A segment of a media file.

    Attributes:
      path: as in the list or the corpus.
      start_s, end_s: in seconds; None means the beginning or the end of the file.
      region: "sound", or the region of the picture or the row of a table of pixels.
    """

    path: str
    start_s: float | None = None
    end_s: float | None = None
    region: str = "full"


@dataclasses.dataclass(frozen=True)
class Item:
    """A clip, or a row of a split list, as the audit sees it; "" for unknown fields.

    Attributes:
      item_id: name of the item in the folds.
      speaker, sentence, label: as in `Clip`.
      recording: from which the item was cut, if it is a segment or a frame of something longer.
      corpus: of the item.
      media: segments of files of which it consists.
      named_speaker: the speaker and corpus that the item's name states by the naming rules of a known corpus.
    """

    item_id: str
    speaker: str = ""
    sentence: str = ""
    label: str = ""
    recording: str = ""
    corpus: str = ""
    media: tuple[Span, ...] = ()
    named_speaker: str = ""


def items_of(clips: Sequence[Clip]) -> tuple[Item, ...]:
    """Return the clips as items; with several corpora, speakers and sentences get the corpus as prefix."""
    several = len({identity(clip.corpus) for clip in clips}) > 1

    def of_corpus(clip: Clip, name: str) -> str:
        is_named = not several or not name or name.startswith(f"{clip.corpus}:")  # joined corpora have this prefix already
        return name if is_named else f"{clip.corpus} {name}"

    return tuple(
        Item(
            item_id=clip.clip_id,
            speaker=of_corpus(clip, clip.speaker),
            sentence=of_corpus(clip, clip.sentence),
            label=clip.label,
            corpus=clip.corpus,
            recording=of_corpus(clip, clip.attributes.get(RECORDING, "")),
            media=tuple(
                Span(path, *span, region)
                for path, span, region in (
                    (clip.audio, clip.audio_span_s, "sound"),
                    (clip.video, clip.video_span_s, f"{clip.video_region} {clip.attributes.get(ROW_OFFSET, '')}".strip()),
                )
                if path is not None
            ),
        )
        for clip in clips
    )


def audit_folds(
    folds: Sequence[Fold],
    items: Sequence[Item],
    *,
    each_once: bool,
    leaves_out: bool = False,
    shared_media: Sequence[SharedMedia] | None = None,
) -> list[Finding]:
    """Return findings for everything that two parts of a fold share, and for clips that are left out or counted twice.

    Args:
      folds: train and validation parts may be empty.
      items: all items that the folds divide.
      each_once: the protocol tests every clip exactly once.
      leaves_out: the protocol leaves clips out of folds; `check_folds` has checked which ones.
      shared_media: pairs of clips that hold the same recording; None if media were not compared.
    """
    members = _Members(folds, items)
    findings = [
        *members.coverage(each_once=each_once, leaves_out=leaves_out),
        *members.shared("clip_in_two_parts", [item.item_id for item in items], "clip", by=clip_identity),
        *_clips_that_look_alike(members, items),
        *members.shared("speaker_in_two_parts", [item.speaker for item in items], "speaker", info_without_test=True),
        *_speakers_that_look_alike(members, items),
        *_sentences(members, items),
        *_recordings(members, items),
        *_media(members, items, shared_media),
    ]
    num_unknown = sum(not item.speaker for item in items)
    if num_unknown:
        detail = f"{num_unknown} of {len(items)} clips have no speaker, so the audit cannot check whether that speaker is in two parts"
        findings.append(Finding("speakers_unknown", detail, num_unknown))
    if absent := [fold.name for fold in folds if not fold.validation]:
        detail = f"no validation part in {listed(absent)}: epochs and settings are chosen on the training or the test part there"
        findings.append(Finding("validation_absent", detail, len(absent)))
    return findings


class _Members:
    """Membership of items in parts: (num_items, 3) bool for each fold."""

    def __init__(self, folds: Sequence[Fold], items: Sequence[Item]):
        self.folds, self.items = folds, items
        rows = {item.item_id: row for row, item in enumerate(items)}
        self.unknown: dict[str, str] = {}
        self.of: list[np.ndarray] = []
        for fold in folds:
            inside = np.zeros((len(items), len(PARTS)), bool)
            for column, part in enumerate(PARTS):
                known = [rows[item_id] for item_id in getattr(fold, part) if item_id in rows]
                inside[known, column] = True
                if len(known) < len(getattr(fold, part)):
                    self.unknown |= {item_id: f"{fold.name}, {part}" for item_id in getattr(fold, part) if item_id not in rows}
            self.of.append(inside)

    def shared(
        self,
        name: str,
        groups: Sequence[str],
        word: str,
        *,
        info_without_test: bool = False,
        reason: str = "",
        by: Callable[[str], str] = identity,
    ) -> list[Finding]:
        """Return a finding of that name if a group, in any spelling, has members in two parts of a fold.

        Args:
          name: of the finding.
          groups: group of each item; "" for none.
          word: kind of group, for the message.
          info_without_test: the finding is only info if no test part is concerned: a validation part that is too easy makes the choice
            poorer but no test result better.
          reason: why the finding is only info; "" if it is not.
          by: maps all spellings of a group to one identity.
        """
        spelled = {key: " = ".join(several) for key, several in spellings(groups, by).items()}
        shown = np.asarray([spelled.get(by(group), "") for group in groups], dtype=object).astype(str)
        names, code = np.unique(shown, return_inverse=True)
        where: dict[str, str] = {}
        num_folds, concerns_test = 0, False
        for fold, inside in zip(self.folds, self.of, strict=True):
            present = np.zeros((len(names), len(PARTS)), bool)
            for column in range(len(PARTS)):
                present[code[inside[:, column]], column] = True
            split = (present.sum(axis=1) > 1) & (names != "")
            num_folds += bool(split.any())
            concerns_test |= bool(present[split, PARTS.index("test")].any())
            for group in np.flatnonzero(split):
                parts = " and ".join(part for part, is_in in zip(PARTS, present[group], strict=True) if is_in)
                where.setdefault(str(names[group]), f"{fold.name}: {parts}")
        if not where:
            return []
        if info_without_test and not concerns_test:
            reason = "no test part is concerned"
        examples = [f"{group} ({where[group]})" for group in sorted(where, key=natural_order)]
        folds = f"in {num_folds} of {count_of(len(self.folds), 'fold')}"
        detail = f"{count_of(len(where), word)} in two parts of a fold, {folds}: {listed(examples, 3)}{f'; {reason}' if reason else ''}"
        return [Finding(name, detail, len(where), tuple(examples), "info" if reason else "")]

    def look_alikes(
        self, name: str, identities: Sequence[str], pairs: Iterable[tuple[str, str]], shown: Callable[[str], str], word: str
    ) -> list[Finding]:
        """Return a finding of that name if two identities that are probably one are in two parts of a fold; info if none of them is tested.

        Args:
          name: of the finding.
          identities: identity of each item's speaker or clip.
          pairs: of identities that are probably one.
          shown: returns the spellings of an identity, for the message.
          word: kind of identity, for the message.
        """
        pairs = list(pairs)
        if not pairs:
            return []
        parts_of: list[dict[str, set[str]]] = []
        for inside in self.of:
            parts_of.append(defaultdict(set))
            for row, column in np.argwhere(inside).tolist():
                parts_of[-1][identities[row]].add(PARTS[column])
        where: dict[str, str] = {}
        concerns_test = False
        for (first, second), (fold, parts) in itertools.product(pairs, zip(self.folds, parts_of, strict=True)):
            sides = [sorted(parts.get(one, ()), key=PARTS.index) for one in (first, second)]
            apart = [(one, other) for one, other in itertools.product(*sides) if one != other]
            if apart:
                concerns_test |= any("test" in both for both in apart)
                where.setdefault(f"{shown(first)} and {shown(second)}", f"{fold.name}: {' and '.join(apart[0])}")
        if not where:
            return []
        examples = [f"{pair} ({parts})" for pair, parts in where.items()]
        number = f"{count_of(len(where), 'pair')} of {word}s in two parts of a fold that look like one {word}"
        reason = "" if concerns_test else "; no test part is concerned"
        return [Finding(name, f"{number}: {listed(examples, 3)}{reason}", len(where), tuple(examples), "info" if reason else "")]

    def pairs(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
        """Return for P pairs of rows: (P,) bool, both are in some fold; and pair -> fold and parts of those that are in two parts."""
        together = np.zeros(len(first), bool)
        where: dict[int, str] = {}
        for fold, inside in zip(self.folds, self.of, strict=True):
            one, other = inside[first], inside[second]
            together |= one.any(axis=1) & other.any(axis=1)
            apart = (one[:, :, None] & other[:, None, :] & ~np.eye(len(PARTS), dtype=bool)).any(axis=(1, 2))
            for pair in np.flatnonzero(apart):
                parts = [PARTS[int(sides[pair].argmax())] for sides in (one, other)]
                where.setdefault(int(pair), f"{fold.name}: {' and '.join(parts)}")
        return together, where

    def coverage(self, *, each_once: bool, leaves_out: bool) -> list[Finding]:
        """Return findings for clips that are in no part, never tested, tested twice, or not in the corpus."""
        findings = []
        if self.unknown:
            examples = [f"{item_id} ({where})" for item_id, where in self.unknown.items()]
            detail = f"{count_of(len(examples), 'clip')} of the folds that the corpus does not have: {listed(examples, 3)}"
            findings.append(Finding("clip_dropped", detail, len(examples), tuple(examples)))
        in_no_part: dict[str, str] = {}
        times_tested = np.zeros(len(self.items), int)
        for fold, inside in zip(self.folds, self.of, strict=True):
            times_tested += inside[:, PARTS.index("test")]
            for row in np.flatnonzero(~inside.any(axis=1)).tolist():
                in_no_part.setdefault(self.items[row].item_id, fold.name)
        if in_no_part and not leaves_out:
            examples = [f"{item_id} ({fold})" for item_id, fold in in_no_part.items()]
            detail = f"{count_of(len(in_no_part), 'clip')} in no part of a fold: {listed(examples, 3)}"
            findings.append(Finding("clip_dropped", detail, len(in_no_part), tuple(examples)))
        if each_once:
            for name, wrong, what in (
                ("clip_dropped", times_tested == 0, "in no test part, though the protocol tests each clip once"),
                ("clip_counted_twice", times_tested > 1, "in the test parts of several folds, though the protocol tests each clip once"),
            ):
                ids = tuple(self.items[row].item_id for row in np.flatnonzero(wrong).tolist())
                if ids:
                    findings.append(Finding(name, f"{count_of(len(ids), 'clip')} {what}: {listed(ids, 3)}", len(ids), ids))
        return findings


def _speakers_that_look_alike(members: _Members, items: Sequence[Item]) -> list[Finding]:
    """Compare speakers with similar names, of one corpus or of two that may be one, and the speakers that names of known corpora state."""

    def name(item: Item) -> str:  # with several corpora the speaker's name has the corpus as prefix
        return item.speaker.removeprefix(item.corpus).lstrip(": ") if item.corpus else item.speaker

    speakers = [identity(item.speaker) for item in items]
    named = {(identity(item.corpus), identity(name(item)), speaker) for item, speaker in zip(items, speakers, strict=True) if speaker}
    spelled = spellings(item.speaker for item in items)
    pairs = look_alikes_in_corpora(named)
    findings = members.look_alikes("speakers_look_alike", speakers, pairs, lambda one: " = ".join(spelled[one]), "speaker")
    return [*findings, *_speakers_that_names_state(members, items, speakers)]


def _speakers_that_names_state(members: _Members, items: Sequence[Item], speakers: Sequence[str]) -> list[Finding]:
    """Return a finding if clips of two speakers are, by the naming rules of their corpus, of one speaker, who is in two parts."""
    stated: dict[str, set[str]] = defaultdict(set)
    for item, speaker in zip(items, speakers, strict=True):
        stated[item.named_speaker].add(speaker)
    groups = [item.named_speaker if len(stated[item.named_speaker]) > 1 else "" for item in items]
    findings = members.shared("speakers_look_alike", groups, "speaker", info_without_test=True)
    why = "the names of clips state other speakers than the list: by names"
    return [dataclasses.replace(finding, detail=f"{why}, {finding.detail}") for finding in findings]


def _clips_that_look_alike(members: _Members, items: Sequence[Item]) -> list[Finding]:
    """Compare clips with similar names, unless their speakers differ."""
    clips = [clip_identity(item.item_id) for item in items]
    speaker_of = {clip: identity(item.speaker) for clip, item in zip(clips, items, strict=True)}

    def may_be_one(first: str, second: str) -> bool:
        return speaker_of[first] == speaker_of[second] or not speaker_of[first] or not speaker_of[second]

    pairs = [pair for pair in clip_look_alikes(clips) if may_be_one(*pair)]
    spelled = spellings((item.item_id for item in items), clip_identity)
    return members.look_alikes("clips_look_alike", clips, pairs, lambda one: " = ".join(spelled[one]), "clip")


def _sentences(members: _Members, items: Sequence[Item]) -> list[Finding]:
    """Return findings for sentences in two parts; each corpus has its own severity, see `_why_sentences_are_shared`."""
    corpora = [identity(item.corpus) for item in items]
    reasons = {
        corpus: _why_sentences_are_shared([item for item, of in zip(items, corpora, strict=True) if of == corpus])
        for corpus in set(corpora)
    }
    findings = []
    for reason in sorted(set(reasons.values())):
        sentences = [item.sentence if reasons[corpus] == reason else "" for item, corpus in zip(items, corpora, strict=True)]
        findings += members.shared(
            "sentence_in_two_parts", sentences, "sentence", info_without_test=True, reason=reason, by=sentence_identity
        )
    return findings


def _why_sentences_are_shared(items: Sequence[Item]) -> str:
    """Return why no split could separate the sentences of these items, or "" if a split could."""
    speakers_of: dict[str, set[str]] = defaultdict(set)
    for item in items:
        if item.sentence:
            speakers_of[sentence_identity(item.sentence)].add(identity(item.speaker))
    num_speakers = len({identity(item.speaker) for item in items if item.sentence})
    few = len(speakers_of) <= FEW_SENTENCES
    read_by_all = num_speakers > 1 and np.median([len(speakers) for speakers in speakers_of.values()] or [0]) >= READ_BY_ALL * num_speakers
    return f"the corpus has only {len(speakers_of)} sentences" if few else "every speaker reads the same ones" if read_by_all else ""


def _recordings(members: _Members, items: Sequence[Item]) -> list[Finding]:
    """Return a finding for segments of one recording in two parts, by the recording's name or by overlapping spans of one file."""
    named = members.shared("segments_in_two_parts", [item.recording for item in items], "recording", by=clip_identity)
    return named or members.shared("segments_in_two_parts", _overlapping(items), "segment of a file")


def _overlapping(items: Sequence[Item]) -> list[str]:
    """Return for each item a name of the overlapping spans to which it belongs; "" if it overlaps none, or only equal spans."""
    spans: dict[tuple[str, str], dict[tuple[float, float], list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, item in enumerate(items):
        for span in set(item.media):
            whole = (span.start_s or 0.0, np.inf if span.end_s is None else span.end_s)
            spans[span.path, span.region][whole].append(row)
    names = [""] * len(items)
    for (path, _), rows_of in spans.items():
        reached = -np.inf
        group: list[tuple[float, float]] = []
        for start_s, end_s in [*sorted(rows_of), (np.inf, np.inf)]:
            if start_s >= reached - _SMALLEST_OVERLAP_S:
                if len(group) > 1:
                    for row in itertools.chain.from_iterable(rows_of[span] for span in group):
                        names[row] = f"{path} from {group[0][0]:g} s"
                group = []
            group.append((start_s, end_s))
            reached = max(reached, end_s)
    return names


def _media(members: _Members, items: Sequence[Item], shared_media: Sequence[SharedMedia] | None) -> list[Finding]:
    rows = {item.item_id: row for row, item in enumerate(items)}
    same_span: dict[Span, list[str]] = defaultdict(list)
    for item in items:
        for span in set(item.media):
            same_span[span].append(item.item_id)
    known = {
        (first, second): SharedMedia(first, second, "bytes", f"both name {span.path}")
        for span, ids in same_span.items()
        for first, second in itertools.pairwise(ids)
    }
    for pair in shared_media or ():
        if pair.first in rows and pair.second in rows:
            known.setdefault((pair.first, pair.second), pair)
    findings = []
    for name, word, pairs in (
        ("same_bytes_in_two_parts", "the same bytes", [pair for pair in known.values() if pair.how == "bytes"]),
        ("near_duplicate_in_two_parts", "the same recording", [pair for pair in known.values() if pair.how != "bytes"]),
    ):
        sides = [np.array([rows[getattr(pair, side)] for pair in pairs], int) for side in ("first", "second")]
        together, where = members.pairs(*sides)
        if where:
            examples = tuple(f"{pairs[i].first} and {pairs[i].second} ({at}; {pairs[i].detail})" for i, at in where.items())
            detail = f"{count_of(len(where), 'pair')} of clips with {word} in two parts of a fold: {listed(examples, 2)}"
            findings.append(Finding(name, detail, len(where), examples))
        if in_one_part := [pairs[i] for i in np.flatnonzero(together).tolist() if i not in where]:
            examples = tuple(f"{pair.first} and {pair.second} ({pair.detail})" for pair in in_one_part)
            detail = f"{count_of(len(in_one_part), 'pair')} of clips with {word}, always in one part: {listed(examples, 2)}"
            findings.append(Finding("duplicates_in_one_part", detail, len(in_one_part), examples))
    if shared_media is None:
        findings.append(Finding("media_not_compared", "the audit did not search for near-duplicate media"))
    return findings
