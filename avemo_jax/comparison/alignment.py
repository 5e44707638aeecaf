"""Alignment of entries: the same clips, and the same order of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from avemo_jax.comparison.entries import ComparisonError, Entry
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.text import shorten_list

ON = ("all", "common")


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The clips of a comparison.

    Attributes:
      on: "all": every entry has every clip; "common": clips that some entry lacks are left out.
      num_clips: clips that are compared.
      left_out: entry -> number of its clips that are left out.
    """

    on: str
    num_clips: int
    left_out: dict[str, int]

    def sentence(self) -> str:
        """Describe the clips that the numbers are measured on."""
        if not any(self.left_out.values()):
            return f"on all {self.num_clips} clips"
        lost = ", ".join(f"{count} of {name}" for name, count in self.left_out.items() if count)
        return f"on the {self.num_clips} clips that all have; left out: {lost}"


def align(entries: Sequence[Entry], *, on: str = "all") -> tuple[list[Entry], Alignment]:
    """Restrict entries to the same clips, and bring their classes into the order of the first.

    Args:
      on: "all" refuses entries of different clips; "common" takes the clips that all of them have.

    Raises:
      ComparisonError: fewer than two entries, two of one name, different classes, clips that some entries lack (the message has their
        number and examples), no clip in common, a clip with two labels or two speakers, or a seed without predictions for some clips.
    """
    if on not in ON:
        raise ComparisonError(f"--on must be one of {', '.join(ON)}, got {on!r}")
    if len(entries) < 2:
        raise ComparisonError(
            "a comparison needs two systems or more: --runs=FOLDER,FOLDER or --predictions=NAME=FILE;... (may be repeated)"
        )
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        raise ComparisonError(f"two entries have one name among {', '.join(names)}; a run is named by --runs=NAME=FOLDER")
    entries = [_in_order(entry, entries[0].predictions.classes) for entry in entries]
    clips = [set(entry.predictions.clip.tolist()) for entry in entries]
    common, every = set.intersection(*clips), set.union(*clips)
    if on == "all" and common != every:
        lines = [f"  {name}: {len(own)}, lacks {_some(every - own)}" for name, own in zip(names, clips, strict=True) if own != every]
        raise ComparisonError(
            f"the systems are not on the same clips; of {len(every)} in all\n"
            + "\n".join(lines)
            + f"\n--on=common compares them on the {len(common)} clips that all have, and states it"
        )
    if not common:
        raise ComparisonError(f"no clip is in all of {', '.join(names)}")
    clip_ids = np.array(sorted(common))
    rows = [np.isin(entry.predictions.clip, clip_ids) for entry in entries]
    aligned = [dataclasses.replace(entry, predictions=entry.predictions.rows(own)) for entry, own in zip(entries, rows, strict=True)]
    for entry in aligned:
        _check_same(aligned[0], entry)
    left_out = {name: len(own) - len(common) for name, own in zip(names, clips, strict=True)}
    return aligned, Alignment(on, len(common), left_out)


def _in_order(entry: Entry, classes: tuple[str, ...]) -> Entry:
    own = entry.predictions.classes
    if own == classes:
        return entry
    if set(own) != set(classes):
        raise ComparisonError(f"{entry.name} has the classes {', '.join(own)}; the first system has {', '.join(classes)}")
    data = entry.predictions
    columns = {name: getattr(data, name) for name in ("clip", "speaker", "gender", "fold", "seed")}
    label = np.array([classes.index(name) for name in own])[data.label]
    probabilities = data.probabilities[:, [own.index(name) for name in classes]]
    return dataclasses.replace(entry, predictions=Predictions(**columns, label=label, probabilities=probabilities, classes=classes))


def _check_same(first: Entry, other: Entry) -> None:
    """Check that labels and speakers of the clips agree, and that each seed predicts each clip once."""
    for seed in other.seeds:
        mine, theirs = first.of_seed(first.seeds[0]), other.of_seed(seed)
        if len(theirs.clip) != len(np.unique(first.predictions.clip)):
            raise ComparisonError(
                f"{other.name}: seed {seed} predicts {len(theirs.clip)} clips, others more; every seed must predict all of them"
            )
        for what, (left, right) in {
            "label": (_by_clip(mine, "label"), _by_clip(theirs, "label")),
            "speaker": (_by_clip(mine, "speaker"), _by_clip(theirs, "speaker")),
        }.items():
            if (left != right).any():
                clips = np.sort(mine.clip)[left != right]
                raise ComparisonError(f"{first.name} and {other.name} disagree on the {what} of {len(clips)} clips: {_some(set(clips))}")


def _by_clip(predictions: Predictions, name: str) -> np.ndarray:
    return getattr(predictions, name)[np.argsort(predictions.clip)]


def _some(names: set[str]) -> str:
    return f"{len(names)}: {shorten_list(sorted(names))}"
