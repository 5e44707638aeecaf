"""Out-of-fold predictions of all trials at clip level, and predictions.csv."""

from __future__ import annotations

import csv
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.csv_files import read_cell, write_rows
from avemo_jax.evaluation.metrics import confusion, segment_share

# Decimals of a probability in predictions.csv. `Predictions` rounds to them on construction, so metrics are measured on what is written.
PROBABILITY_DIGITS = 6
_FIXED_COLUMNS = ("clip", "speaker", "fold", "seed", "label", "predicted")
_ROWS_OF_A_BLOCK = 20_000  # of a file that is read: more are no faster, and their text takes 1 kB a row


class PredictionSource(Protocol):
    """Out-of-fold predictions that are taken one trial at a time: `Predictions` in memory, `StoredPredictions` of a file.

    Attributes:
      classes, dimensions: names, as of `Predictions`.
      trials: (seed, fold) of each trial that has rows, ascending.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def dimensions(self) -> tuple[str, ...]: ...

    @property
    def trials(self) -> tuple[tuple[int, str], ...]: ...

    def part(self, seed: int, fold: str) -> Predictions:
        """Return the rows of one trial, sorted by clip."""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of all trials, one row for each clip and seed, sorted by (seed, fold, clip).

    Rows may be given in any order; construction sorts them and rounds probabilities to PROBABILITY_DIGITS.

    Attributes:
      clip, speaker, gender, fold: (N,) str.
      seed: (N,) int64, the seed of the trial.
      label: (N,) int64, true class.
      probabilities: (N, K) float64; the prediction is the class of the largest, the first of equal ones.
      classes: K class names in the order of the columns.
      dimensions: names of the D dimensions; () where none are predicted.
      rating, value: (N, D) float64, the ratings, NaN where a clip has none, and the predictions of them in units of the scale.

    Raises:
      ValueError: columns of different lengths or without rows, probabilities of another shape or not finite.
    """

    clip: np.ndarray
    speaker: np.ndarray
    gender: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    rating: np.ndarray = None  # type: ignore[assignment]  # (N, 0) after construction
    value: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self):
        clip, speaker, gender, fold = (np.asarray(getattr(self, name), dtype=str) for name in ("clip", "speaker", "gender", "fold"))
        seed, label = (np.asarray(getattr(self, name), dtype=np.int64) for name in ("seed", "label"))
        probabilities = np.round(np.asarray(self.probabilities, dtype=np.float64), PROBABILITY_DIGITS) + 0.0  # + 0.0: no "-0.000000"
        columns = {"clip": clip, "speaker": speaker, "gender": gender, "fold": fold, "seed": seed, "label": label}
        lengths = {name: len(values) for name, values in columns.items()} | {"probabilities": len(probabilities)}
        if len(set(lengths.values())) != 1 or not len(clip):
            raise ValueError(f"predictions need columns of one length, at least 1; got {lengths}")
        if probabilities.shape != (len(clip), len(self.classes)):
            raise ValueError(f"expected probabilities of shape {(len(clip), len(self.classes))}, got {probabilities.shape}")
        if not np.isfinite(probabilities).all():
            damaged = clip[~np.isfinite(probabilities).all(axis=1)]
            raise ValueError(f"probabilities of {len(damaged)} clips are not finite, the first is {damaged[0]}")
        of_dimensions = {
            name: np.round(np.asarray(np.empty((len(clip), 0)) if given is None else given, dtype=np.float64), PROBABILITY_DIGITS) + 0.0
            for name, given in (("rating", self.rating), ("value", self.value))
        }
        for name, values in of_dimensions.items():
            if values.shape != (len(clip), len(self.dimensions)):
                raise ValueError(f"expected {name} of shape {(len(clip), len(self.dimensions))}, got {values.shape}")
        if not np.isfinite(of_dimensions["value"]).all():
            damaged = clip[~np.isfinite(of_dimensions["value"]).all(axis=1)]
            raise ValueError(f"predicted ratings of {len(damaged)} clips are not finite, the first is {damaged[0]}")
        order: Any = slice(None) if _is_sorted(seed, fold, clip) else np.lexsort((clip, fold, seed))
        for name, values in (columns | of_dimensions).items():
            object.__setattr__(self, name, values[order])
        object.__setattr__(self, "probabilities", probabilities[order])
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "dimensions", tuple(self.dimensions))

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each row, (N,) int64."""
        return self.probabilities.argmax(axis=1)

    @functools.cached_property
    def _spans(self) -> dict[tuple[int, str], slice]:
        """The rows of each trial: they lie one after another, since rows are sorted."""
        starts = np.flatnonzero(np.r_[True, (self.seed[1:] != self.seed[:-1]) | (self.fold[1:] != self.fold[:-1])])
        ends = [*starts[1:].tolist(), len(self.clip)]
        return {(int(self.seed[start]), str(self.fold[start])): slice(start, end) for start, end in zip(starts.tolist(), ends, strict=True)}

    @property
    def trials(self) -> tuple[tuple[int, str], ...]:
        """(seed, fold) of each trial, ascending."""
        return tuple(self._spans)

    def part(self, seed: int, fold: str) -> Predictions:
        """Return the rows of one trial, as views of these arrays."""
        return self._taken(self._spans[seed, fold])

    def rows(self, chosen: np.ndarray) -> Predictions:
        """Return the rows where `chosen` (N,) bool is true; at least one."""
        if not chosen.any():
            raise ValueError("predictions need at least one row; none was chosen")
        return self._taken(chosen)

    def _taken(self, rows: Any) -> Predictions:
        """Return some of the rows, in the order that they have; they are sorted and rounded, so that nothing is computed again."""
        taken = object.__new__(Predictions)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            object.__setattr__(taken, field.name, value[rows] if isinstance(value, np.ndarray) else value)
        return taken

    def confusion(self) -> np.ndarray:
        """Count (label, prediction) pairs: (K, K) int64, rows are labels."""
        return confusion(self.label, self.predicted, len(self.classes))


def _is_sorted(seed: np.ndarray, fold: np.ndarray, clip: np.ndarray) -> bool:
    """Return whether rows are sorted by (seed, fold, clip) already; rows of files are, and sorting many names is slow."""
    is_after = np.zeros(max(len(seed) - 1, 0), dtype=bool)
    for column in (clip, fold, seed):  # the last one decides, those before it among equal ones
        is_after = (column[:-1] < column[1:]) | ((column[:-1] == column[1:]) & (is_after | (column is clip)))
    return bool(is_after.all())


def aggregate_segments(
    clip_index: np.ndarray, probabilities: np.ndarray, num_clips: int, *, fallback: np.ndarray | None = None, rule: str = "mean"
) -> np.ndarray:
    """Combine the probabilities of each clip's segments.

    Args:
      clip_index: (S,) int, the clip of each segment, in [0, num_clips).
      probabilities: (S, K) float.
      num_clips: number of clips, including those without a segment (undecodable, for example): they have a row too, so they stay in the
        denominator of every metric.
      fallback: (K,) probabilities of a clip without a segment, such as the class frequencies of the training part. Default: uniform.
      rule: "mean" of the segments' probabilities, or their "vote"; see `metrics.segment_share`.

    Returns:
      (num_clips, K) float64.
    """
    clip_index, probabilities = np.asarray(clip_index), segment_share(np.asarray(probabilities, dtype=np.float64), rule)
    num_classes = probabilities.shape[1]
    sums, counts = np.zeros((num_clips, num_classes)), np.bincount(clip_index, minlength=num_clips)
    np.add.at(sums, clip_index, probabilities)
    fallback = np.full(num_classes, 1 / num_classes) if fallback is None else np.asarray(fallback, dtype=np.float64)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], fallback)


def ensemble_of_seeds(predictions: Predictions) -> Predictions | None:
    """Return the predictions of all seeds together: of each clip the mean of the seeds' predictions, as rows of the lowest seed.

    Probabilities are averaged and not their logarithms: `--mode=predict` joins the networks of a run in this way, so the row measures the
    rule that new recordings get; and a probability of 0.000000 in predictions.csv is only known to be below 5e-7, so in a mean of
    logarithms the digits that are not written would decide. Nothing is selected or fitted: every seed counts the same.

    Returns:
      None for one seed, and where the seeds were not tested on the same clips in the same folds.

    Source: Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep ensembles, section 2.4.
    """
    first, *others = (predictions.rows(predictions.seed == seed) for seed in np.unique(predictions.seed))
    if not others or any(not (np.array_equal(one.clip, first.clip) and np.array_equal(one.fold, first.fold)) for one in others):
        return None
    means = {name: np.mean([getattr(one, name) for one in (first, *others)], axis=0) for name in ("probabilities", "value")}
    return dataclasses.replace(first, **means)


def write_predictions_csv(path: Path, predictions: PredictionSource) -> None:
    """Write predictions.csv: clip,speaker,fold,seed,label,predicted,p_<class>...; equal predictions give equal bytes.

    Two columns for each dimension follow, rating_<dimension>, empty where a clip has none, and value_<dimension>, its prediction.
    """
    with atomic_file(path) as stream:
        write_rows(stream, _csv_rows(predictions))


def _csv_rows(predictions: PredictionSource) -> Iterator[list[Any]]:
    classes, dimensions = predictions.classes, predictions.dimensions
    yield [*_FIXED_COLUMNS, *(f"p_{name}" for name in classes), *_dimension_columns(dimensions)]
    number = f"%.{PROBABILITY_DIGITS}f"
    for trial in predictions.trials:
        part = predictions.part(*trial)
        words = [[classes[index] for index in indices.tolist()] for indices in (part.label, part.predicted)]
        pairs = np.stack([part.rating, part.value], axis=2).reshape(len(part.clip), -1)
        numbers = np.concatenate([part.probabilities, pairs], axis=1).tolist()
        fixed = (part.clip.tolist(), part.speaker.tolist(), part.fold.tolist(), part.seed.tolist())
        for *cells, values in zip(*fixed, *words, numbers, strict=True):
            yield [*cells, *("" if value != value else number % value for value in values)]  # NaN alone differs from itself


def _dimension_columns(dimensions: Sequence[str]) -> list[str]:
    return [f"{kind}_{name}" for name in dimensions for kind in ("rating", "value")]


def read_predictions_csv(path: Path, *, genders: Mapping[str, str] | None = None) -> Predictions:
    """Read a file of `write_predictions_csv`.

    Args:
      genders: gender of each speaker, which the file does not have; a speaker without one is "unknown".

    Raises:
      ValueError: the header or a label is not as expected; the message has the line.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        fixed = len(_FIXED_COLUMNS)
        classes = tuple(name.removeprefix("p_") for name in itertools.takewhile(lambda name: name.startswith("p_"), header[fixed:]))
        own = fixed + len(classes)
        dimensions = tuple(name.removeprefix("rating_") for name in header[own::2])
        if tuple(header[:fixed]) != _FIXED_COLUMNS or not classes or header[own:] != _dimension_columns(dimensions):
            raise ValueError(f"{path}: expected the header {','.join(_FIXED_COLUMNS)},p_<class>..., got {','.join(header)}")
        blocks, number = [], 2
        while lines := list(itertools.islice(reader, _ROWS_OF_A_BLOCK)):
            rows = [list(map(read_cell, line)) for line in lines]
            for row in rows:
                if len(row) != len(header) or row[4] not in classes:
                    expected = f"expected {len(header)} fields and a label among {', '.join(classes)}"
                    raise ValueError(f"{path}, line {number}: {expected}, got {row}")
                number += 1
            blocks.append(_columns_of(rows, classes, own))
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]} if blocks else _columns_of([], classes, own)
    speakers, speaker_of = np.unique(columns["speaker"], return_inverse=True)
    known = np.array([(genders or {}).get(speaker, "unknown") for speaker in speakers.tolist()], dtype=str)
    return Predictions(**columns, gender=known[speaker_of], classes=classes, dimensions=dimensions)


def _columns_of(rows: Sequence[Sequence[str]], classes: tuple[str, ...], own: int) -> dict[str, np.ndarray]:
    """Return the columns of rows of a file, of which those of dimensions begin at `own`."""
    columns = list(zip(*rows, strict=True))
    if not columns:
        return {name: np.empty(0) for name in ("clip", "speaker", "fold", "seed", "label")} | {"probabilities": np.empty((0, len(classes)))}
    index_of = {name: index for index, name in enumerate(classes)}
    return {
        "clip": np.array(columns[0]),
        "speaker": np.array(columns[1]),
        "fold": np.array(columns[2]),
        "seed": np.array(columns[3], dtype=np.int64),
        "label": np.array([index_of[word] for word in columns[4]]),
        "probabilities": np.array(columns[len(_FIXED_COLUMNS) : own], dtype=np.float64).T,
        "rating": np.array([[float(cell or "nan") for cell in column] for column in columns[own::2]]).reshape(-1, len(rows)).T,
        "value": np.array(columns[own + 1 :: 2], dtype=np.float64).reshape(-1, len(rows)).T,
    }


def largest_difference(one: PredictionSource, other: PredictionSource) -> float:
    """Return the largest difference of a probability or value; inf where clips, folds, seeds, labels or ratings differ."""
    names = ("clip", "speaker", "fold", "seed", "label")
    if (one.classes, one.dimensions, one.trials) != (other.classes, other.dimensions, other.trials):
        return float("inf")
    largest = 0.0
    for trial in one.trials:
        first, second = one.part(*trial), other.part(*trial)
        is_same = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)
        if not is_same or not np.array_equal(first.rating, second.rating, equal_nan=True):
            return float("inf")
        found = (float(np.abs(getattr(first, name) - getattr(second, name)).max(initial=0)) for name in ("probabilities", "value"))
        largest = max(largest, *found)
    return largest


def speakers_of(predictions: PredictionSource) -> set[str]:
    """Return the names of the speakers."""
    return {name for trial in predictions.trials for name in np.unique(predictions.part(*trial).speaker).tolist()}


def confusion_of(predictions: PredictionSource) -> np.ndarray:
    """Count (label, prediction) pairs of all trials: (K, K) int64, rows are labels."""
    return np.sum([predictions.part(*trial).confusion() for trial in predictions.trials], axis=0)


def speaker_sums(predictions: PredictionSource, sums: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Collect what each speaker adds to a metric's sums, in the order of the speakers' names.

    Args:
      sums: (N,) labels and (N, K) probabilities to additive sums, such as `Metric.sums`; default: the confusion matrix.

    Returns:
      (G, ...) for G speakers.
    """
    found: dict[str, np.ndarray] = {}
    for trial in predictions.trials:
        part = predictions.part(*trial)
        for speaker, rows in rows_by(part.speaker):
            label, probabilities = part.label[rows], part.probabilities[rows]
            own = sums(label, probabilities) if sums is not None else confusion(label, probabilities.argmax(1), len(part.classes))
            found[speaker] = found[speaker] + own if speaker in found else own
    return np.stack([found[speaker] for speaker in sorted(found)])


def rows_by(groups: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each of the names in `groups` (N,) str, ascending, with the indices of its rows, which keep their order."""
    order = np.argsort(groups, kind="stable")
    names, starts = np.unique(groups[order], return_index=True)
    for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
        yield str(name), rows
