"""Out-of-fold predictions of all trials at clip level, and predictions.csv."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.csv_files import read_cell, write_rows
from avemo_jax.evaluation.metrics import confusion, segment_share

# Decimals of a probability in predictions.csv. `Predictions` rounds to them on construction, so metrics are measured on what is written.
PROBABILITY_DIGITS = 6
_FIXED_COLUMNS = ("clip", "speaker", "fold", "seed", "label", "predicted")


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
        order = np.lexsort((clip, fold, seed))
        for name, values in (columns | of_dimensions).items():
            object.__setattr__(self, name, values[order])
        object.__setattr__(self, "probabilities", probabilities[order])
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "dimensions", tuple(self.dimensions))

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each row, (N,) int64."""
        return self.probabilities.argmax(axis=1)

    def rows(self, chosen: np.ndarray) -> Predictions:
        """Return the rows where `chosen` (N,) bool is true; at least one."""
        names = ("clip", "speaker", "gender", "fold", "seed", "label", "probabilities", "rating", "value")
        return dataclasses.replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def confusion(self) -> np.ndarray:
        """Count (label, prediction) pairs: (K, K) int64, rows are labels."""
        return confusion(self.label, self.predicted, len(self.classes))


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


def write_predictions_csv(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv: clip,speaker,fold,seed,label,predicted,p_<class>...; equal predictions give equal bytes.

    Two columns for each dimension follow, rating_<dimension>, empty where a clip has none, and value_<dimension>, its prediction.
    """
    with atomic_file(path) as stream:
        write_rows(stream, _csv_rows(predictions))


def _csv_rows(predictions: Predictions) -> Iterator[list[Any]]:
    classes = predictions.classes
    dimensions = predictions.dimensions
    yield [*_FIXED_COLUMNS, *(f"p_{name}" for name in classes), *_dimension_columns(dimensions)]
    for row, predicted in enumerate(predictions.predicted):
        fixed = [getattr(predictions, name)[row] for name in ("clip", "speaker", "fold", "seed")]
        words = [classes[predictions.label[row]], classes[predicted]]
        pairs = np.stack([predictions.rating[row], predictions.value[row]], axis=1).ravel()
        numbers = (*predictions.probabilities[row], *pairs)
        yield [*fixed, *words, *("" if np.isnan(number) else f"{number:.{PROBABILITY_DIGITS}f}" for number in numbers)]


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
        rows = [list(map(read_cell, row)) for row in reader]
    fixed = len(_FIXED_COLUMNS)
    classes = tuple(name.removeprefix("p_") for name in itertools.takewhile(lambda name: name.startswith("p_"), header[fixed:]))
    own = fixed + len(classes)
    dimensions = tuple(name.removeprefix("rating_") for name in header[own::2])
    if tuple(header[:fixed]) != _FIXED_COLUMNS or not classes or header[own:] != _dimension_columns(dimensions):
        raise ValueError(f"{path}: expected the header {','.join(_FIXED_COLUMNS)},p_<class>..., got {','.join(header)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or row[4] not in classes:
            raise ValueError(f"{path}, line {number}: expected {len(header)} fields and a label among {', '.join(classes)}, got {row}")
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return Predictions(
        clip=np.array(columns[0]),
        speaker=np.array(columns[1]),
        gender=np.array([(genders or {}).get(speaker, "unknown") for speaker in columns[1]]),
        fold=np.array(columns[2]),
        seed=np.array(columns[3], dtype=np.int64),
        label=np.array([classes.index(word) for word in columns[4]]),
        probabilities=np.array(columns[fixed:own], dtype=np.float64).T,
        classes=classes,
        dimensions=dimensions,
        rating=np.array([[float(cell or "nan") for cell in column] for column in columns[own::2]]).reshape(-1, len(rows)).T,
        value=np.array(columns[own + 1 :: 2], dtype=np.float64).reshape(-1, len(rows)).T,
    )


def largest_difference(one: Predictions, other: Predictions) -> float:
    """Return the largest difference of a probability or value; inf where clips, folds, seeds, labels or ratings differ."""
    names = ("clip", "speaker", "fold", "seed", "label")
    is_same = (one.classes, one.dimensions) == (other.classes, other.dimensions)
    is_same = is_same and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    if not is_same or not np.array_equal(one.rating, other.rating, equal_nan=True):
        return float("inf")
    return max(float(np.abs(getattr(one, name) - getattr(other, name)).max(initial=0)) for name in ("probabilities", "value"))


def speaker_sums(predictions: Predictions, sums: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Collect what each speaker adds to a metric's sums, in the order of the speakers' names.

    Args:
      sums: (N,) labels and (N, K) probabilities to additive sums, such as `Metric.sums`; default: the confusion matrix.

    Returns:
      (G, ...) for G speakers.
    """
    data = predictions
    speakers = [data.speaker == speaker for speaker in np.unique(data.speaker)]
    if sums is None:
        return np.stack([confusion(data.label[rows], data.predicted[rows], len(data.classes)) for rows in speakers])
    return np.stack([sums(data.label[rows], data.probabilities[rows]) for rows in speakers])
