"""Putting entries on the same clips, in the same order of classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from avemo_jax.comparison.entries import ComparisonError, Entry
from avemo_jax.evaluation.results import Predictions

ON = ("all", "common")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What a comparison is on.

    Attributes:
      on: "all": every entry has every clip; "common": clips that some entry lacks were left out.
      num_clips: clips that are compared.
      left_out: entry -> how many of its clips are not compared.
    """

    on: str
    num_clips: int
    left_out: dict[str, int]

    def sentence(self) -> str:
        """What every number is of."""
        if not any(self.left_out.values()):
            return f"on all {self.num_clips} clips"
        lost = ", ".join(f"{count} of {name}" for name, count in self.left_out.items() if count)
        return f"on the {self.num_clips} clips that all have; left out are {lost}"


def align(entries: Sequence[Entry], *, on: str = "all") -> tuple[list[Entry], Alignment]:
    """Restrict entries to the same clips, and bring their classes into the order of the first.

    Args:
      on: "all" refuses entries of different clips; "common" takes the clips that all of them have.

    Raises:
      ComparisonError: fewer than two entries, two of one name, other classes, clips that are not in all (their numbers, and the first of
        them), no clip in common, a clip with two labels or two speakers, or a seed that has not judged every clip.
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
            + f"\n--on=common compares them on the {len(common)} clips that all have, and says so"
        )
    if not common:
        raise ComparisonError(f"no clip is in all of {', '.join(names)}")
    kept = np.array(sorted(common))
    aligned = [dataclasses.replace(entry, predictions=entry.predictions.rows(np.isin(entry.predictions.clip, kept))) for entry in entries]
    for entry in aligned:
        _check_same(aligned[0], entry)
    left_out = {name: len(own) - len(common) for name, own in zip(names, clips, strict=True)}
    return aligned, Alignment(on, len(common), left_out)


def _in_order(entry: Entry, classes: tuple[str, ...]) -> Entry:
    own = entry.predictions.classes
    if own == classes:
        return entry
    if set(own) != set(classes):
        raise ComparisonError(f"{entry.name} tells apart {', '.join(own)}; the first system {', '.join(classes)}")
    data = entry.predictions
    columns = {name: getattr(data, name) for name in ("clip", "speaker", "gender", "fold", "seed")}
    label = np.array([classes.index(name) for name in own])[data.label]
    probabilities = data.probabilities[:, [own.index(name) for name in classes]]
    return dataclasses.replace(entry, predictions=Predictions(**columns, label=label, probabilities=probabilities, classes=classes))


def _check_same(first: Entry, other: Entry) -> None:
    """Labels and speakers of the clips agree, and each seed judges each clip once."""
    for seed in other.seeds:
        mine, theirs = first.of_seed(first.seeds[0]), other.of_seed(seed)
        if len(theirs.clip) != len(np.unique(first.predictions.clip)):
            raise ComparisonError(
                f"{other.name}: seed {seed} judges {len(theirs.clip)} clips and others more; a seed must judge all of them"
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
    rest = len(names) - _SHOWN
    return f"{len(names)}: " + ", ".join(sorted(names)[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
