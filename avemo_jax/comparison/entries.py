"""Entries of a comparison: the predictions of one system with its caveats."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.evaluation.predictions import Predictions, ensemble_of_seeds, read_predictions_csv
from avemo_jax.evaluation.results import RunResults
from avemo_jax.labels import LABEL_SETS, canonical
from avemo_jax.labels import label_set as find_label_set
from avemo_jax.reporting.caveats import protocol_caveats
from avemo_jax.reporting.report import read_results

UNKNOWN_PROTOCOL = "not stated"


class ComparisonError(ValueError):
    """Systems that cannot be compared: files that do not match their declaration, different clips, labels or classes."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One system's predictions.

    Attributes:
      name: in tables; unique in a comparison.
      predictions: one row a clip, fold and seed. Predicted labels without probabilities are one-hot.
      has_probabilities: False for predicted labels alone, which have no calibration error and cannot be fused.
      protocol: its name, UNKNOWN_PROTOCOL where it is not declared.
      caveats: of every number: shared speakers, selection on the test part, leaks.
      notes: findings made while reading.
      source: path of the run or file.
      num_train: training clips of each fold, where they are known.
      has_folds: whether `predictions.fold` are folds.
      together: seeds that these predictions are the mean of; () for predictions of each seed.
    """

    name: str
    predictions: Predictions
    has_probabilities: bool = True
    protocol: str = UNKNOWN_PROTOCOL
    caveats: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    num_train: Mapping[str, int] = dataclasses.field(default_factory=dict)
    has_folds: bool = True
    together: tuple[int, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(np.unique(self.predictions.seed).tolist())

    def of_seed(self, seed: int) -> Predictions:
        """Return the predictions of one seed."""
        return self.predictions.rows(self.predictions.seed == seed)


def with_seed_ensembles(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries, each with probabilities of several seeds followed by an entry of these seeds together."""
    found = []
    for entry in entries:
        found.append(entry)
        together = ensemble_of_seeds(entry.predictions) if entry.has_probabilities else None
        if together is not None:
            name = f"{entry.name} (ensemble of the {len(entry.seeds)} seeds)"
            found.append(dataclasses.replace(entry, name=name, predictions=together, notes=(), together=entry.seeds))
    return found


@dataclasses.dataclass(frozen=True)
class Reference:
    """Labels and speakers of the clips, independent of any system.

    Attributes:
      corpus: name, "" where it is not known.
      classes: class names in their order.
      label, speaker: of each clip id.
      class_of: class index of a word for an emotion, or None.
      clip_of: clip id of a media file's name (without its ending) by the naming rules of the corpus, or None.
    """

    corpus: str
    classes: tuple[str, ...]
    label: Mapping[str, int]
    speaker: Mapping[str, str]
    class_of: Callable[[str], int | None]
    clip_of: Callable[[str], str | None]


def read_run(directory: Path, name: str | None = None) -> tuple[Entry, RunResults]:
    """Read a run's directory: its entry and its results.

    Args:
      directory: of a run. Of a run of several protocols, FOLDER:PROTOCOL names one; FOLDER alone is the last of them.
      name: in tables; None: the name of its system.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: predictions.csv is damaged, or one seed predicts a clip twice; the run has no such protocol, or no classes.
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
    results = read_results(directory)
    if not results.has_classes:
        raise ComparisonError(
            f"{directory} predicts {' and '.join(one.dimension for one in results.dimensions)} and no classes; a comparison is of "
            "predicted classes, so name runs with classes"
        )
    file = directory / "predictions.csv"
    if protocol and protocol != results.protocol:
        others = {one.protocol: one for one in results.protocols}
        if protocol not in others:
            known = tuple(others) or (results.protocol,)
            raise ComparisonError(f"{directory} was run under {', '.join(known)}; expected one of these after the colon, got {protocol!r}")
        file = directory / f"predictions-{protocol}.csv"
        chosen = {
            name: getattr(others[protocol], name)
            for name in (
                *("protocol", "speaker_independent", "fold_hash", "num_clips", "num_trials", "num_failed", "leaks", "metrics"),
                "seed_ensemble",
            )
        }
        # The number of training clips of each fold is known for the last protocol alone.
        results = dataclasses.replace(results, **chosen, per_fold=(), baseline=None)
    predictions = read_predictions_csv(file)
    check_unique(predictions, str(file))
    entry = Entry(
        name=name or results.system,
        predictions=predictions,
        protocol=results.protocol,
        caveats=tuple(protocol_caveats(results)),
        source=str(directory) if not protocol else f"{directory}:{protocol}",
        num_train={one.fold: one.num_train for one in results.per_fold if one.num_train is not None},
    )
    return entry, results


def check_unique(predictions: Predictions, source: str) -> None:
    """Raise ComparisonError where one seed predicts a clip twice."""
    rows = Counter(zip(predictions.clip.tolist(), predictions.seed.tolist(), strict=True))
    if twice := sorted(clip for (clip, _), count in rows.items() if count > 1):
        raise ComparisonError(
            f"{source}: {len(twice)} clips are predicted twice by one seed, the first is {twice[0]}; "
            "a comparison needs one prediction a clip (for a file of several seeds declare seed=COLUMN)"
        )


def reference_of(entry: Entry, *, corpus: str, label_set: str, clip_of: Callable[[str], str | None]) -> Reference:
    """Make a reference from a run's predictions, with the synonyms of its label set where that is a known one."""
    data = entry.predictions
    labels = find_label_set(label_set) if label_set in LABEL_SETS or "," in label_set else None
    return Reference(
        corpus=corpus,
        classes=data.classes,
        label=dict(zip(data.clip.tolist(), data.label.tolist(), strict=True)),
        speaker=dict(zip(data.clip.tolist(), data.speaker.tolist(), strict=True)),
        class_of=labels.class_index if labels is not None and labels.classes == data.classes else index_among(data.classes),
        clip_of=clip_of,
    )


def index_among(classes: tuple[str, ...]) -> Callable[[str], int | None]:
    """Return a function from a word to the index of the class of that name or a synonym, or None."""
    index = {canonical(name): place for place, name in enumerate(classes)} | {name: place for place, name in enumerate(classes)}
    return lambda word: index.get(word, index.get(canonical(word)))
