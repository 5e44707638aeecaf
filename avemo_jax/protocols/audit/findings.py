"""What the leak audit can find, by name: how bad each is, who may allow it, and how a run that must not go on is told so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from avemo_jax.protocols.folds import LeakError
from avemo_jax.text import shorten_list

# "fails": the run stops unless the finding is allowed by name, and then wears it in every table.
# "marks": allowed, and always worn in every table.
# "notes": reported in audit.json, on the terminal and in the report; makes no number too good by itself.
Severity = Literal["fails", "marks", "notes"]
NUM_EXAMPLES = 8


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding: how bad it is, and a sentence that says what it means."""

    severity: Severity
    meaning: str


FINDINGS: dict[str, Kind] = {
    "speaker_in_two_parts": Kind(
        "fails", "a speaker is in two parts of a fold: the test measures known voices and faces (a note where no test part is concerned)"
    ),
    "speakers_look_alike": Kind(
        "fails",
        "two names in two parts of a fold look like one speaker (actor_01 and Actor1, spk-3 and 3, Maria and maria_2; a note where no test "
        "part is concerned)",
    ),
    "sentence_in_two_parts": Kind(
        "fails",
        "a sentence is in two parts of a fold: the words may give the class away (a note where no test part is concerned, where the corpus "
        "has only a few sentences, and where every speaker reads the same ones, so that no split by speaker can keep them apart)",
    ),
    "clip_in_two_parts": Kind("fails", "a clip is in two parts of a fold"),
    "clips_look_alike": Kind(
        "fails",
        "two names in two parts of a fold look like one clip, with folders and without (a note where no test part is concerned)",
    ),
    "segments_in_two_parts": Kind(
        "fails", "segments or frames of one recording, or overlapping spans of one file, are in two parts of a fold"
    ),
    "same_bytes_in_two_parts": Kind("fails", "two clips whose media are the same bytes are in two parts of a fold"),
    "near_duplicate_in_two_parts": Kind(
        "fails", "two clips that hold the same recording (re-encoded, louder, trimmed) are in two parts of a fold"
    ),
    "groups_differ": Kind("fails", "the corpus on disk does not have exactly the speakers or sessions that the protocol names"),
    "clip_dropped": Kind("fails", "a clip is in no part of a fold, is never tested though the protocol tests each, or has no prediction"),
    "clip_counted_twice": Kind("fails", "a clip is tested in several folds, or predicted twice by one seed"),
    "prediction_outside_test_part": Kind("fails", "a prediction is of a clip that is not in the test part of its fold"),
    "label_changed": Kind("fails", "a label beside a prediction is not the corpus's"),
    "classes_differ": Kind("fails", "the classes of the predictions are not those of the label set"),
    "fitted_outside_training": Kind(
        "fails", "a scaler, PCA, feature selection, fusion weight or threshold changes when clips change that it must not see"
    ),
    "stack_saw_clips": Kind("fails", "a stacked network learns from predictions of clips that the networks below it were trained on"),
    "encoder_saw_corpus": Kind("fails", "an encoder's published weights were trained on this corpus"),
    "column_is_no_feature": Kind(
        "marks", "a column of the feature table counts rows, or copies the class, the speaker or another label, and is used on purpose"
    ),
    "selected_on_test": Kind("marks", "the epoch was chosen on the test part"),
    "transductive": Kind("marks", "unlabelled clips of test speakers are used to normalise them"),
    "encoder_training_unknown": Kind("notes", "its owner does not say what an encoder was trained on"),
    "clips_lost": Kind("notes", "clips that could not be decoded or show no face; they are in the denominator of every number"),
    "duplicates_in_one_part": Kind("notes", "clips that hold the same recording, always in one part: they count more than others"),
    "labels_disagree": Kind("notes", "rows of one clip have several labels"),
    "speakers_unknown": Kind("notes", "clips whose speaker is not known: whether it is in two parts cannot be checked"),
    "validation_absent": Kind("notes", "a fold has no validation part: whatever is chosen can only be chosen on train or test"),
    "media_not_listed": Kind("notes", "media in the folder of a split list that the list does not name"),
    "media_not_compared": Kind("notes", "near-duplicate media were not looked for"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Attributes:
      name: one of FINDINGS.
      detail: a sentence with counts and examples.
      count: how many speakers, sentences, clips or pairs it is about.
      examples: up to NUM_EXAMPLES of them.
      severity: of its kind, unless the circumstances make it less.
      protocol: the one that it is about, where a run has several; "" where it is about all.
      allowed_by: what allows it: "protocol.allow_leaks", "views.table.allow_columns", or the protocol that implies it; "" where nothing
        does.
    """

    name: str
    detail: str
    count: int = 1
    examples: tuple[str, ...] = ()
    severity: Severity | Literal[""] = ""
    allowed_by: str = ""
    protocol: str = ""

    def __post_init__(self):
        if self.name not in FINDINGS:
            raise ValueError(f"unknown finding {self.name!r}; known: {', '.join(FINDINGS)}")
        if not self.severity:
            object.__setattr__(self, "severity", FINDINGS[self.name].severity)
        object.__setattr__(self, "examples", tuple(self.examples)[:NUM_EXAMPLES])

    @property
    def is_worn(self) -> bool:
        """Whether every table of the run wears it."""
        return self.severity != "notes"

    @property
    def stops(self) -> bool:
        """Whether the run must not go on."""
        return self.severity == "fails" and not self.allowed_by

    def as_dict(self) -> dict[str, Any]:
        """The finding as audit.json has it."""
        values = dataclasses.asdict(self)
        if not self.protocol:
            values.pop("protocol")
        return {"finding": values.pop("name"), "severity": values.pop("severity"), "allowed_by": values.pop("allowed_by")} | values


def check_allowed(names: Sequence[str]) -> None:
    """Check the names of protocol.allow_leaks.

    Raises:
      ValueError: there is no such finding, or it needs no leave; the message lists those that can be allowed.
    """
    allowable = [name for name, kind in FINDINGS.items() if kind.severity == "fails"]
    if unknown := [str(name) for name in names if name not in allowable]:
        raise ValueError(f"protocol.allow_leaks names {', '.join(unknown)}; the findings that can be allowed: {', '.join(allowable)}")


def judge(findings: Sequence[Finding], *, allow: Sequence[str] = (), implied: Sequence[str] = (), protocol: str = "") -> list[Finding]:
    """Say of each finding what allows it, the worst first.

    Args:
      allow: names in protocol.allow_leaks.
      implied: names that choosing this protocol allows, because it is made so.
      protocol: its name.

    Raises:
      ValueError: see `check_allowed`.
    """
    check_allowed(allow)

    def judged(finding: Finding) -> Finding:
        if finding.severity != "fails":
            return finding
        by = f"protocol {protocol}" if finding.name in implied else "protocol.allow_leaks" if finding.name in allow else ""
        return dataclasses.replace(finding, allowed_by=by)

    return worst_first(map(judged, findings))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """What stops the run first, then what is worn, then notes."""
    order, names = {"fails": 0, "marks": 1, "notes": 2}, list(FINDINGS)
    return sorted(findings, key=lambda finding: (not finding.stops, order[finding.severity], names.index(finding.name)))


def refuse(findings: Sequence[Finding]) -> None:
    """Stop a run whose findings nothing allows.

    Raises:
      LeakError: names each of them and says how to allow it.
    """
    if stopping := [finding for finding in findings if finding.stops]:
        names = tuple(dict.fromkeys(finding.name for finding in stopping))
        raise LeakError(
            "the leak audit found what makes the numbers of this run wrong or too good:\n"
            + "\n".join(f"  {finding.name}: {finding.detail}" for finding in stopping)
            + f'\nMend it, or run all the same with --config.protocol.allow_leaks="{names}"; every table then wears it.'
        )


def format_findings(findings: Sequence[Finding]) -> str:
    """The findings as text for the terminal, a line each, and what they come to."""
    if not findings:
        return "no findings"
    lines = []
    for finding in findings:
        how = (
            f"allowed by {finding.allowed_by}"
            if finding.allowed_by
            else {"fails": "FAILS", "marks": "marked", "notes": "note"}[finding.severity]
        )
        of = f"{finding.protocol}: " if finding.protocol else ""
        lines.append(f"{of}{finding.name} ({how}): {finding.detail}")
    num_stopping = sum(finding.stops for finding in findings)
    num_worn = sum(finding.is_worn for finding in findings) - num_stopping
    return "\n".join([*lines, f"{len(findings)} findings: {num_stopping} fail, {num_worn} worn in every table, the rest are notes"])


def listed(names: Sequence[str], limit: int = NUM_EXAMPLES) -> str:
    """List the first names, and how many more there are."""
    return shorten_list(names, limit)


def number_of(count: int, word: str) -> str:
    """1 clip, 2 clips, 0 stretches of files."""
    return f"{count} {word if count == 1 else _PLURALS.get(word, f'{word}s')}"


_PLURALS = {"stretch of a file": "stretches of files", "class": "classes"}
