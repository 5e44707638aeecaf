"""From segment posteriors to predictions.csv and results.json."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.evaluation.calibration import reliability, scale_by_trial
from avemo_jax.evaluation.metrics import (
    FROM_CONFUSION,
    METRICS,
    all_metrics,
    calibration_bins,
    confusion,
    ece_from_bins,
    per_class,
    recall_from_confusion,
    segment_share,
    squared_errors,
    surprises,
)
from avemo_jax.evaluation.statistics import NUM_RESAMPLES, group_difference, speaker_bootstrap

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

    def rows(self, chosen: np.ndarray) -> Predictions:
        """The rows where `chosen` (N,) bool is true; at least one."""
        kept = {name: getattr(self, name)[chosen] for name in ("clip", "speaker", "gender", "fold", "seed", "label", "probabilities")}
        return Predictions(**kept, classes=self.classes)

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
    validation: Predictions | None = None,
    num_train: Mapping[str, int] | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> dict[str, Any]:
    """Measure predictions: the content of results.json.

    Args:
      predictions: of all folds and seeds.
      label_target: what the labels are: "acted", "crowd", ...
      select: "validation", or "test" where the epoch was chosen on the test part, which marks every number.
      leaks: findings of the leak audit, as they are to be shown.
      speaker_independent: of the fold table.
      baseline: `summarise` of the classical baseline on the same folds, to stand beside; only what a table needs is kept.
      validation: what each trial said of its validation part, from which its temperature is fitted; None leaves temperatures out.
      num_train: number of training clips of each fold, which the corrected t-test over folds asks for; None leaves it out.

    Returns:
      A dict of plain Python values. For each metric `mean_of_folds` and `std_of_folds` (sample deviation; None for one fold) are over all
      folds and seeds, `pooled` over all rows, `ci95` is the bootstrap interval over speakers of the pooled metric (None for one
      speaker). `per_seed` has the pooled metrics and their mean of folds for every seed. Empty groups are never shown. `calibration` is
      pooled over all rows; its `scaled` is the same after each trial's temperature, None where there is no `validation`.
      results.schema.json describes all of it.

    Raises:
      ValueError: `validation` does not belong to these predictions, or has clips of the test part of the same fold.
    """
    data = predictions
    per_fold: list[dict[str, Any]] = []
    for seed in np.unique(data.seed):
        for fold in np.unique(data.fold[data.seed == seed]):
            rows = (data.seed == seed) & (data.fold == fold)
            values = all_metrics(data.label[rows], data.probabilities[rows])
            sizes = {"num_clips": int(rows.sum())} | ({} if num_train is None else {"num_train": int(num_train[str(fold)])})
            per_fold.append({"fold": str(fold), "seed": int(seed)} | sizes | values)
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
    per_speaker = _per_group(data, data.speaker)
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
        "per_class": per_class(data.label, data.predicted, data.classes),
        "per_speaker": per_speaker,
        "speaker_spread": {name: _spread_of_speakers([entry[name] for entry in per_speaker.values()]) for name in ("war", "uar")},
        "per_gender": _per_group(data, data.gender),
        "gender_gap": _gender_gap(data, num_resamples),
        "calibration": _calibration(data, validation, num_resamples),
        "confusion": {"classes": list(data.classes), "counts": counts.tolist()},
        "leaks": list(leaks),
        "seconds": float(seconds),
    } | ({} if baseline is None else {"baseline": {name: baseline[name] for name in ("system", "metrics", "per_seed", "per_fold")}})


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "mean_of_folds": float(np.mean(values)),
        "std_of_folds": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    }


def _spread_of_speakers(values: Sequence[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation, "lowest": float(min(values)), "highest": float(max(values))}


def _intervals(data: Predictions, num_resamples: int) -> dict[str, list[float] | None]:
    counts = speaker_sums(data)
    intervals = {name: _interval(counts, metric, num_resamples) for name, metric in FROM_CONFUSION.items()}
    return intervals | {"ece": _interval(speaker_sums(data, calibration_bins), ece_from_bins, num_resamples, "error")}


def _interval(sums: np.ndarray, metric: Callable, num_resamples: int, scale: str = "share") -> list[float] | None:
    bounds = speaker_bootstrap(sums, metric, num_resamples=num_resamples, scale=scale)
    return None if bounds is None else list(bounds)


def speaker_sums(data: Predictions, count: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """What each speaker adds, in the order of their names: (G, ...) of `count(label, probabilities)`, by default confusion matrices."""
    if count is None:
        return np.stack([confusion(data.label[rows], data.predicted[rows], len(data.classes)) for rows in _rows_of(data.speaker)])
    return np.stack([count(data.label[rows], data.probabilities[rows]) for rows in _rows_of(data.speaker)])


def _rows_of(groups: np.ndarray) -> list[np.ndarray]:
    return [groups == group for group in np.unique(groups)]


def _calibration(data: Predictions, validation: Predictions | None, num_resamples: int) -> dict[str, Any]:
    """How far what was said can be relied upon, as it was said and after each trial's temperature."""
    scaled = None
    if validation is not None:
        probabilities, temperatures = scale_by_trial(data, validation)
        scaled = _calibration_of(dataclasses.replace(data, probabilities=probabilities), num_resamples) | {"temperatures": temperatures}
    return _calibration_of(data, num_resamples) | {"scaled": scaled}


def _calibration_of(data: Predictions, num_resamples: int) -> dict[str, Any]:
    def mean(values: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> dict[str, Any]:
        own = values(data.label, data.probabilities)
        sums = np.stack([[own[rows].sum(), rows.sum()] for rows in _rows_of(data.speaker)])
        interval = _interval(sums, lambda drawn: drawn[..., 0] / drawn[..., 1], num_resamples, "positive")
        return {"pooled": float(own.mean()), "ci95": interval}

    bins = speaker_sums(data, calibration_bins)
    ece = {"pooled": float(ece_from_bins(bins.sum(0))), "ci95": _interval(bins, ece_from_bins, num_resamples, "error")}
    diagram = reliability(data.label, data.probabilities)
    return {"ece": ece, "brier": mean(squared_errors), "nll": mean(surprises), "reliability": diagram}


def _gender_gap(data: Predictions, num_resamples: int) -> dict[str, Any] | None:
    """How far female speakers are above male ones, with the interval over speakers; None where one of them is absent."""
    groups = [data.speaker[data.gender == gender] for gender in ("female", "male")]
    if not all(map(len, groups)):
        return None
    speakers, counts = np.unique(data.speaker), speaker_sums(data)
    first, second = (counts[np.isin(speakers, group)] for group in groups)
    gap: dict[str, Any] = {"between": ["female", "male"]}
    for name in ("war", "uar"):
        found = group_difference(first, second, FROM_CONFUSION[name], num_resamples=num_resamples)
        interval = None if found.low is None else [found.low, found.high]
        gap[name] = {"difference": found.difference, "ci95": interval, "p": found.p}
    return gap


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
