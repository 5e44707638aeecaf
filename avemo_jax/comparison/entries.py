"""What is compared: an entry is what one system said of some clips, and what must be said beside its numbers."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.evaluation.results import Predictions, read_predictions_csv
from avemo_jax.labels import LABEL_SETS, canonical
from avemo_jax.reporting.standing import marks


class ComparisonError(ValueError):
    """Systems that cannot be compared as they are: files that are not as declared, other clips, other labels, other classes."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One system's predictions.

    Attributes:
      name: what tables call it; no two entries of a comparison have the same.
      predictions: one row a clip, fold and seed. Where only labels were said, the probability of the one that was said is 1.
      has_probabilities: whether more than labels was said; without, there is no calibration error and nothing to fuse.
      protocol: its name, "not said" where nobody said it.
      marks: what must be said beside every number: speakers shared, selected on test, leaks.
      notes: what was found when it was read.
      source: where it comes from.
      num_train: training clips of each fold, where they are known.
      has_folds: whether `predictions.fold` are folds.
    """

    name: str
    predictions: Predictions
    has_probabilities: bool = True
    protocol: str = "not said"
    marks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    num_train: Mapping[str, int] = dataclasses.field(default_factory=dict)
    has_folds: bool = True

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(np.unique(self.predictions.seed).tolist())

    def of_seed(self, seed: int) -> Predictions:
        """The predictions of one seed."""
        return self.predictions.rows(self.predictions.seed == seed)


@dataclasses.dataclass(frozen=True)
class Reference:
    """What is known of the clips without any system's word.

    Attributes:
      corpus: name, "" where none is known.
      classes: class names in their order.
      label, speaker: of each clip id.
      class_of: class index of a word for an emotion, None where it has none.
      clip_of: clip id that a media file's name (without its ending) belongs to, or None: what a corpus knows of its own names.
    """

    corpus: str
    classes: tuple[str, ...]
    label: Mapping[str, int]
    speaker: Mapping[str, str]
    class_of: Callable[[str], int | None]
    clip_of: Callable[[str], str | None]


def read_run(directory: Path, name: str | None = None) -> tuple[Entry, dict[str, Any]]:
    """Read a run's directory: its entry, and its results.json.

    Args:
      directory: of a run; of one of several protocols, FOLDER:PROTOCOL names another than the run's own, which is the last.
      name: what tables call it; None: its system.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: predictions.csv is damaged, or one seed says twice what it thinks of a clip; the run has no such protocol.
    """
    directory, protocol = Path(directory), ""
    if not directory.is_dir() and ":" in directory.name:
        folder, _, protocol = directory.name.rpartition(":")
        directory = directory.parent / folder
    missing = [file for file in ("results.json", "predictions.csv") if not (directory / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{directory} has no {' and no '.join(missing)}: there is no run, or it has not finished; --mode=train does"
        )
    results: dict[str, Any] = json.loads((directory / "results.json").read_text())
    file = directory / "predictions.csv"
    if protocol and protocol != results["protocol"]:
        beside = {one["protocol"]: one for one in results.get("protocols", ())}
        if protocol not in beside:
            known = tuple(beside) or (results["protocol"],)
            raise ComparisonError(f"{directory} was run under {', '.join(known)}; expected one of these behind the colon, got {protocol!r}")
        file = directory / f"predictions-{protocol}.csv"
        # How many clips each fold trained on is known of the run's own protocol alone.
        results = results | beside[protocol] | {"per_fold": [], "baseline": None}
    predictions = read_predictions_csv(file)
    check_unique(predictions, str(file))
    entry = Entry(
        name=name or results["system"],
        predictions=predictions,
        protocol=results["protocol"],
        marks=tuple(mark for mark in marks(results) if not mark.startswith("does not beat")),
        source=str(directory) if not protocol else f"{directory}:{protocol}",
        num_train={one["fold"]: one["num_train"] for one in results["per_fold"] if "num_train" in one},
    )
    return entry, results


def check_unique(predictions: Predictions, source: str) -> None:
    """Raise ComparisonError where one seed says twice what it thinks of a clip."""
    rows = Counter(zip(predictions.clip.tolist(), predictions.seed.tolist(), strict=True))
    if twice := sorted(clip for (clip, _), count in rows.items() if count > 1):
        raise ComparisonError(
            f"{source}: {len(twice)} clips are predicted twice by one seed, the first is {twice[0]}; "
            "a comparison needs one prediction a clip (a file of several seeds says so: seed=COLUMN)"
        )


def reference_of(entry: Entry, results: Mapping[str, Any], clip_of: Callable[[str], str | None]) -> Reference:
    """What a run's predictions tell of the clips."""
    data = entry.predictions
    labels = LABEL_SETS.get(results["label_set"])
    return Reference(
        corpus=results["corpus"],
        classes=data.classes,
        label=dict(zip(data.clip.tolist(), data.label.tolist(), strict=True)),
        speaker=dict(zip(data.clip.tolist(), data.speaker.tolist(), strict=True)),
        class_of=labels.class_index if labels is not None and labels.classes == data.classes else index_among(data.classes),
        clip_of=clip_of,
    )


def index_among(classes: tuple[str, ...]) -> Callable[[str], int | None]:
    """Function from a word to the class that is called so, or by a synonym."""
    index = {canonical(name): place for place, name in enumerate(classes)} | {name: place for place, name in enumerate(classes)}
    return lambda word: index.get(word, index.get(canonical(word)))
