"""From segment posteriors to predictions.csv and results.json."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.evaluation.metrics import (
    FROM_CONFUSION,
    METRICS,
    all_metrics,
    calibration_bins,
    confusion,
    ece_from_bins,
    recall_from_confusion,
    segment_share,
)
from avemo_jax.evaluation.statistics import speaker_bootstrap

# Digits of a probability in predictions.csv. `Predictions` rounds to them at once, so what is measured is what is written.
PROBABILITY_DIGITS = 6
_FIXED_COLUMNS = ("clip", "speaker", "fold", "seed", "label", "predicted")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a grid said about its test parts, at clip level, one row for each clip and seed, sorted by (seed, fold, clip).

    Rows may be given in any order; they are sorted, and probabilities rounded to PROBABILITY_DIGITS, on construction.

    Attributes:
      clip, speaker, gender, fold: (N,) str.
      seed: (N,) int64, the seed of the trial.
      label: (N,) int64, true class.
      probabilities: (N, K) float64; the prediction is the largest, the first of equal ones.
      classes: K class names in the order of the columns.
    """

    clip: np.ndarray
    speaker: np.ndarray
    gender: np.ndarray
    fold: np.ndarray
    seed: np.ndarray
    label: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]

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
        order = np.lexsort((clip, fold, seed))
        for name, values in columns.items():
            object.__setattr__(self, name, values[order])
        object.__setattr__(self, "probabilities", probabilities[order])
        object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def predicted(self) -> np.ndarray:
        """(N,) int64, the most probable class."""
        return self.probabilities.argmax(axis=1)

    def confusion(self) -> np.ndarray:
        """(K, K) int64 counts, rows are labels."""
        return confusion(self.label, self.predicted, len(self.classes))


def aggregate_segments(
    clip_index: np.ndarray, probabilities: np.ndarray, num_clips: int, *, fallback: np.ndarray | None = None, rule: str = "mean"
) -> np.ndarray:
    """Say of each clip what its segments say together.

    Args:
      clip_index: (S,) int, which clip a segment is of, in [0, num_clips).
      probabilities: (S, K) float.
      num_clips: number of clips, those without a segment (undecodable, for example) included: they keep their row, so they stay in the
        denominator of every metric.
      fallback: (K,) what is said of a clip without a segment; best the class frequencies of the training part. Default: all classes alike.
      rule: "mean" of their posteriors, or their "vote"; see `metrics.segment_share`.

    Returns:
      (num_clips, K) float64.
    """
    clip_index, probabilities = np.asarray(clip_index), segment_share(np.asarray(probabilities, dtype=np.float64), rule)
    num_classes = probabilities.shape[1]
    sums, counts = np.zeros((num_clips, num_classes)), np.bincount(clip_index, minlength=num_clips)
    np.add.at(sums, clip_index, probabilities)
    fallback = np.full(num_classes, 1 / num_classes) if fallback is None else np.asarray(fallback, dtype=np.float64)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], fallback)


def write_predictions_csv(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv: clip,speaker,fold,seed,label,predicted,p_<class>...; equal predictions, equal bytes."""
    classes = predictions.classes
    with atomic_file(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_FIXED_COLUMNS, *(f"p_{name}" for name in classes)])
        for row, predicted in enumerate(predictions.predicted):
            fixed = [getattr(predictions, name)[row] for name in ("clip", "speaker", "fold", "seed")]
            words = [classes[predictions.label[row]], classes[predicted]]
            writer.writerow([*fixed, *words, *(f"{value:.{PROBABILITY_DIGITS}f}" for value in predictions.probabilities[row])])


def read_predictions_csv(path: Path, *, genders: Mapping[str, str] | None = None) -> Predictions:
    """Read what `write_predictions_csv` wrote; the file has no genders, so they come from `genders` by speaker, or are "unknown".

    Raises:
      ValueError: header or a label is not as expected, with the row.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        rows = list(reader)
    fixed = len(_FIXED_COLUMNS)
    classes = tuple(name.removeprefix("p_") for name in header[fixed:])
    if tuple(header[:fixed]) != _FIXED_COLUMNS or not classes or not all(name.startswith("p_") for name in header[fixed:]):
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
        probabilities=np.array(columns[fixed:], dtype=np.float64).T,
        classes=classes,
    )


def summarise(
    predictions: Predictions,
    *,
    corpus: str,
    system: str,
    protocol: str,
    label_set: str,
    label_target: str,
    fold_hash: str,
    select: str,
    num_undecodable: int,
    num_without_face: int,
    num_params: int,
    leaks: Sequence[Any],
    seconds: float,
    speaker_independent: bool,
    baseline: Mapping[str, Any] | None = None,
    num_resamples: int = 2000,
) -> dict[str, Any]:
    """Measure predictions: the content of results.json.

    Args:
      predictions: of all folds and seeds.
      label_target: what the labels are: "acted", "crowd", ...
      select: "validation", or "test" where the epoch was chosen on the test part, which marks every number.
      leaks: findings of the leak audit, as they are to be shown.
      speaker_independent: of the fold table.
      baseline: `summarise` of the classical baseline on the same folds, to stand beside; only what a table needs is kept.

    Returns:
      A dict of plain Python values. For each metric `mean_of_folds` and `std_of_folds` (sample deviation; None for one fold) are over all
      folds and seeds, `pooled` over all rows, `ci95` is the bootstrap interval over speakers of the pooled metric (None for one
      speaker). `per_seed` has the pooled metrics and their mean of folds for every seed. Empty groups are never shown.
    """
    data = predictions
    per_fold: list[dict[str, Any]] = []
    for seed in np.unique(data.seed):
        for fold in np.unique(data.fold[data.seed == seed]):
            rows = (data.seed == seed) & (data.fold == fold)
            values = all_metrics(data.label[rows], data.probabilities[rows])
            per_fold.append({"fold": str(fold), "seed": int(seed), "num_clips": int(rows.sum())} | values)
    pooled = all_metrics(data.label, data.probabilities)
    intervals = _intervals(data, num_resamples)
    metrics = {name: _spread([entry[name] for entry in per_fold]) | {"pooled": pooled[name], "ci95": intervals[name]} for name in METRICS}

    per_seed: list[dict[str, Any]] = []
    for seed in np.unique(data.seed):
        values = all_metrics(data.label[data.seed == seed], data.probabilities[data.seed == seed])
        folds = [entry for entry in per_fold if entry["seed"] == seed]
        per_seed.append(
            {"seed": int(seed)}
            | {name: {"mean_of_folds": float(np.mean([entry[name] for entry in folds])), "pooled": values[name]} for name in METRICS}
        )

    counts = data.confusion()
    recall = recall_from_confusion(counts)
    return {
        "corpus": corpus,
        "system": system,
        "protocol": protocol,
        "speaker_independent": speaker_independent,
        "label_set": label_set,
        "label_target": label_target,
        "fold_hash": fold_hash,
        "select": select,
        "num_clips": len(np.unique(data.clip)),
        "num_undecodable": num_undecodable,
        "num_without_face": num_without_face,
        "num_params": num_params,
        "metrics": metrics,
        "per_fold": per_fold,
        "per_seed": per_seed,
        "per_class_recall": {
            name: float(value) for name, value, support in zip(data.classes, recall, counts.sum(1), strict=True) if support
        },
        "per_speaker": _per_group(data, data.speaker),
        "per_gender": _per_group(data, data.gender),
        "confusion": {"classes": list(data.classes), "counts": counts.tolist()},
        "leaks": list(leaks),
        "seconds": float(seconds),
    } | ({} if baseline is None else {"baseline": {name: baseline[name] for name in ("system", "metrics", "per_seed", "per_fold")}})


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean_of_folds": float(np.mean(values)),
        "std_of_folds": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    }


def _intervals(data: Predictions, num_resamples: int) -> dict[str, list[float] | None]:
    speakers = [data.speaker == speaker for speaker in np.unique(data.speaker)]
    counts = np.stack([confusion(data.label[rows], data.predicted[rows], len(data.classes)) for rows in speakers])
    bins = np.stack([calibration_bins(data.label[rows], data.probabilities[rows]) for rows in speakers])

    def interval(sums: np.ndarray, metric: Callable) -> list[float] | None:
        bounds = speaker_bootstrap(sums, metric, num_resamples=num_resamples)
        return None if bounds is None else list(bounds)

    return {name: interval(counts, metric) for name, metric in FROM_CONFUSION.items()} | {"ece": interval(bins, ece_from_bins)}


def _per_group(data: Predictions, groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """WAR and UAR of each speaker or gender over all seeds; num_clips counts a clip once."""
    result: dict[str, dict[str, Any]] = {}
    for group in np.unique(groups):
        rows = groups == group
        counts = confusion(data.label[rows], data.predicted[rows], len(data.classes))
        result[str(group)] = {
            "num_clips": len(np.unique(data.clip[rows])),
            "war": float(FROM_CONFUSION["war"](counts)),
            "uar": float(FROM_CONFUSION["uar"](counts)),
        }
    return result
