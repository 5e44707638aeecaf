"""The findings of the leak audit: names, severities, which of them a config allows, and the error that stops a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from avemo_jax.protocols.folds import LeakError
from avemo_jax.text import count_of, shorten_list

# "error": the run stops unless the config allows the finding by name; every table of the run then lists it.
# "warning": the run continues, and every table lists the finding.
# "info": listed in audit.json, on the terminal and in the report; it does not make a result too good by itself.
Severity = Literal["error", "warning", "info"]
NUM_EXAMPLES = 8


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding: its default severity, and its meaning in one sentence."""

    severity: Severity
    meaning: str


FINDINGS: dict[str, Kind] = {
    "speaker_in_two_parts": Kind(
        "error", "a speaker is in two parts of a fold: the test measures known voices and faces (info if no test part is concerned)"
    ),
    "speakers_look_alike": Kind(
        "error",
        "two names in two parts of a fold look like one speaker (actor_01 and Actor1, spk-3 and 3, Maria and maria_2), or are one by the "
        "names of their clips (info if no test part is concerned)",
    ),
    "sentence_in_two_parts": Kind(
        "error",
        "a sentence is in two parts of a fold: the words may reveal the class (info if no test part is concerned, if the corpus has only "
        "a few sentences, or if every speaker reads the same ones, so that no split by speaker can keep them apart)",
    ),
    "clip_in_two_parts": Kind("error", "a clip is in two parts of a fold"),
    "clips_look_alike": Kind(
        "error",
        "two names in two parts of a fold look like one clip: with folders and without, with other separators, or as a file manager "
        "names a copy (info if no test part is concerned)",
    ),
    "segments_in_two_parts": Kind(
        "error", "segments, frames or augmented versions of one recording, or overlapping spans of one file, are in two parts of a fold"
    ),
    "same_bytes_in_two_parts": Kind("error", "two clips with identical media files are in two parts of a fold"),
    "near_duplicate_in_two_parts": Kind(
        "error", "two clips that hold the same recording (re-encoded, louder, trimmed, a film and its frame) are in two parts of a fold"
    ),
    "groups_differ": Kind("error", "the corpus on disk does not have exactly the speakers or sessions that the protocol names"),
    "clip_dropped": Kind("error", "a clip is in no part of a fold, is never tested though the protocol tests each, or has no prediction"),
    "clip_counted_twice": Kind("error", "a clip is tested in several folds, or predicted twice by one seed"),
    "prediction_outside_test_part": Kind("error", "a prediction is of a clip that is not in the test part of its fold"),
    "label_changed": Kind("error", "the label in a row of predictions is not the label in the corpus"),
    "classes_differ": Kind("error", "the classes of the predictions are not those of the label set"),
    "fitted_outside_training": Kind(
        "error", "a scaler, PCA, feature selection, fusion weight or threshold changes when clips change that its fit must not use"
    ),
    "stack_saw_clips": Kind("error", "a stacked network learns from predictions of clips on which its base networks were trained"),
    "encoder_saw_corpus": Kind("error", "an encoder's published weights were trained on this corpus"),
    "column_tells_part": Kind(
        "error", "a column of the feature table tells which fold or part a clip is in, as a split that was written into the table does"
    ),
    "column_is_no_feature": Kind(
        "warning", "a column of the feature table counts rows or copies the class, the speaker or another label; the config allows it"
    ),
    "selected_on_test": Kind("warning", "the epoch was chosen on the test part"),
    "transductive": Kind("warning", "unlabelled clips of test speakers are used to normalise them"),
    "adapted_to_speaker": Kind("warning", "labelled clips of each test speaker are given; his other clips are tested"),
    "encoder_training_unknown": Kind("info", "the owner of an encoder does not state on what it was trained"),
    "clips_lost": Kind("info", "clips that cannot be decoded or show no face; they stay in the denominator of every metric"),
    "duplicates_in_one_part": Kind("info", "clips that hold the same recording, always in one part; that recording counts several times"),
    "labels_disagree": Kind("info", "rows of one clip have several labels"),
    "speakers_unknown": Kind("info", "clips with an unknown speaker: the audit cannot check whether this speaker is in two parts"),
    "validation_absent": Kind("info", "a fold has no validation part; only the training and the test part are left to choose epochs on"),
    "media_not_listed": Kind("info", "media files in the folder of a split list that are not in the list"),
    "media_not_compared": Kind("info", "near-duplicate media were not searched for, or not in all media, or in a part of them alone"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of the audit.

    Attributes:
      name: a key of FINDINGS.
      detail: a sentence with counts and examples.
      count: number of speakers, sentences, clips or pairs concerned.
      examples: up to NUM_EXAMPLES of them.
      severity: that of its kind if "", or a lower one.
      protocol: that the finding concerns, if the run has several; "" if it concerns all.
      allowed_by: "protocol.allow_leaks", "views.table.allow_columns", or "protocol NAME" if the protocol implies the finding; "" if nothing
        allows it.
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
    def is_flagged(self) -> bool:
        """Return whether every table of the run lists the finding."""
        return self.severity != "info"

    @property
    def stops(self) -> bool:
        """Return whether the finding stops the run: an error that nothing allows."""
        return self.severity == "error" and not self.allowed_by

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as an entry of audit.json."""
        values = dataclasses.asdict(self)
        if not self.protocol:
            values.pop("protocol")
        return {"finding": values.pop("name"), "severity": values.pop("severity"), "allowed_by": values.pop("allowed_by")} | values


def check_allowed(names: Sequence[str]) -> None:
    """Check the names of protocol.allow_leaks.

    Raises:
      ValueError: a name is unknown, or the finding stops no run; the message lists the names that can be allowed.
    """
    allowable = [name for name, kind in FINDINGS.items() if kind.severity == "error"]
    if unknown := [str(name) for name in names if name not in allowable]:
        raise ValueError(f"protocol.allow_leaks names {', '.join(unknown)}; expected names of these findings: {', '.join(allowable)}")


def mark_allowed(
    findings: Sequence[Finding], *, allow: Sequence[str] = (), implied: Sequence[str] = (), protocol: str = ""
) -> list[Finding]:
    """Return the findings with `allowed_by` set, the worst first.

    Args:
      allow: names in protocol.allow_leaks.
      implied: names that choosing this protocol allows, because it consists of them.
      protocol: its name.

    Raises:
      ValueError: see `check_allowed`.
    """
    check_allowed(allow)

    def marked(finding: Finding) -> Finding:
        if finding.severity != "error":
            return finding
        by = f"protocol {protocol}" if finding.name in implied else "protocol.allow_leaks" if finding.name in allow else ""
        return dataclasses.replace(finding, allowed_by=by)

    return worst_first(map(marked, findings))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings that stop the run first, then other errors, warnings and infos."""
    order, names = {"error": 0, "warning": 1, "info": 2}, list(FINDINGS)
    return sorted(findings, key=lambda finding: (not finding.stops, order[finding.severity], names.index(finding.name)))


def refuse(findings: Sequence[Finding]) -> None:
    """Raise LeakError if findings stop the run.

    Raises:
      LeakError: the message lists them, and the flag that allows them.
    """
    if stopping := [finding for finding in findings if finding.stops]:
        names = tuple(dict.fromkeys(finding.name for finding in stopping))
        raise LeakError(
            "the leak audit found errors, which would make the results of this run wrong or too good:\n"
            + "\n".join(f"  {finding.name}: {finding.detail}" for finding in stopping)
            + f'\nFix them, or continue with --config.protocol.allow_leaks="{names}"; every table will then list them.'
        )


def format_findings(findings: Sequence[Finding]) -> str:
    """Return the findings as text for the terminal: one line each, then a summary."""
    if not findings:
        return "no findings"
    lines = []
    for finding in findings:
        status = f"allowed by {finding.allowed_by}" if finding.allowed_by else finding.severity
        of = f"{finding.protocol}: " if finding.protocol else ""
        lines.append(f"{of}{finding.name} ({status}): {finding.detail}")
    num_stopping = sum(finding.stops for finding in findings)
    num_flagged = sum(finding.is_flagged for finding in findings) - num_stopping
    num_info = len(findings) - num_stopping - num_flagged
    total = count_of(len(findings), "finding")
    lines.append(f"{total}: {num_stopping} stop the run, {num_flagged} flagged in every table, {num_info} info")
    return "\n".join(lines)


def media_not_compared(reasons: Mapping[str, str]) -> list[Finding]:
    """Return a finding of the clips of which media, or a part of them, were not compared: clip -> what, and why."""
    if not reasons:
        return []
    examples = tuple(f"{name}: {why}" for name, why in reasons.items())
    detail = f"not compared: media of {count_of(len(examples), 'clip')}, or a part of them: {listed(examples, 2)}"
    return [Finding("media_not_compared", detail, len(examples), examples)]


def listed(names: Sequence[str], limit: int = NUM_EXAMPLES) -> str:
    """Join the first names with commas and state the number of the others."""
    return shorten_list(names, limit)
