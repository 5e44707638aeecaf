"""Paired tests of two entries, their agreement, and the clips on which they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from avemo_jax.comparison.entries import Entry
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import confusion, tested_metrics
from avemo_jax.evaluation.paired import corrected_resampled_t, holm, mcnemar_exact, paired_bootstrap
from avemo_jax.evaluation.predictions import Predictions, speaker_sums
from avemo_jax.evaluation.statistics import NUM_RESAMPLES


def compare_pairs(entries: Sequence[Entry], *, num_resamples: int = NUM_RESAMPLES) -> list[dict[str, Any]]:
    """Compare each pair of aligned entries.

    Returns:
      One dict a pair. Each tested metric has the difference first minus second with interval and p of the paired bootstrap over
      speakers, all seeds together. `mcnemar` and `agreement` use the lowest seed of each entry. `folds` has the corrected resampled t-test
      where both were tested on the same folds, each fold's value a mean over seeds; else `why_not`, the reason. Each test's `p_holm` is
      adjusted for the number of pairs.
    """
    pairs = [compare_pair(first, second, num_resamples=num_resamples) for first, second in itertools.combinations(entries, 2)]
    names = [metric.name for metric in tested_metrics()]
    tests: list[list[dict[str, Any]]] = [[pair[name] for pair in pairs] for name in (*names, "mcnemar")]
    tests += [[pair["folds"].get(name, {"p": None}) for pair in pairs] for name in names]
    for family in tests:
        add_holm(family)
    return pairs


def add_holm(family: Sequence[dict[str, Any]]) -> None:
    """Set `p_holm` of each test of a family to its `p` adjusted for their number."""
    for one, adjusted in zip(family, holm([one["p"] for one in family]), strict=True):
        one["p_holm"] = adjusted


def compare_pair(first: Entry, second: Entry, *, num_resamples: int = NUM_RESAMPLES) -> dict[str, Any]:
    """Compare two aligned entries; the result is one of `compare_pairs` without Holm's correction."""
    sums = speaker_sums(first.predictions), speaker_sums(second.predictions)
    pair: dict[str, Any] = {"first": first.name, "second": second.name}
    pair |= tested_differences(*sums, num_resamples=num_resamples)
    seeds = first.seeds[0], second.seeds[0]
    one, other = (by_clip(entry.of_seed(seed)) for entry, seed in zip((first, second), seeds, strict=True))
    right = one.predicted == one.label, other.predicted == other.label
    tested = mcnemar_exact(*right)
    pair["mcnemar"] = {"seeds": list(seeds), "first_alone": tested.first_alone, "second_alone": tested.second_alone, "p": tested.p}
    pair["folds"] = _over_folds(first, second)
    pair["agreement"] = {
        "share": float(np.mean(one.predicted == other.predicted)),
        "kappa": _kappa(one, other),
        "both_right": int(np.sum(right[0] & right[1])),
        "neither_right": int(np.sum(~right[0] & ~right[1])),
    }
    pair["by_class"] = _alone(np.array(one.classes)[one.label], *right)
    pair["by_speaker"] = _alone(one.speaker, *right)
    return pair


def differing_clips(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a list of clips for which the entries, each at its lowest seed, predict different classes."""
    predictions = [by_clip(entry.of_seed(entry.seeds[0])) for entry in entries]
    first, names = predictions[0], np.array(predictions[0].classes)
    differ = np.any([one.predicted != first.predicted for one in predictions[1:]], axis=0)
    header = ["clip", "speaker", "label", *(entry.name for entry in entries)]
    columns = [first.clip, first.speaker, names[first.label], *(names[one.predicted] for one in predictions)]
    return header, [list(map(str, row)) for row in zip(*(column[differ] for column in columns), strict=True)]


def by_clip(predictions: Predictions) -> Predictions:
    """Return predictions of one seed sorted by clip: fold and seed are cleared."""
    columns = {name: getattr(predictions, name) for name in ("clip", "speaker", "gender", "label", "probabilities")}
    size = len(predictions.clip)
    return Predictions(**columns, fold=np.full(size, ""), seed=np.zeros(size, int), classes=predictions.classes)


def tested_differences(first: np.ndarray, second: np.ndarray, *, num_resamples: int) -> dict[str, Any]:
    """Test the difference of each tested metric of two systems' confusion matrices by speaker, (G, K, K) each: metric -> JSON."""
    return {metric.name: to_json(paired_bootstrap(first, second, metric.value, num_resamples=num_resamples)) for metric in tested_metrics()}


def _over_folds(first: Entry, second: Entry) -> dict[str, Any]:
    if not (first.has_folds and second.has_folds):
        return {"why_not": f"folds of {(second if first.has_folds else first).name} are not known"}
    parts = [_folds(entry) for entry in (first, second)]
    if parts[0].keys() != parts[1].keys():
        return {"why_not": "they were not tested on the same folds"}
    if len(parts[0]) < 2:
        return {"why_not": "there is only one fold"}
    clips = sorted(parts[0], key=lambda one: parts[0][one])
    num_clips, num_test = len(np.unique(first.predictions.clip)), float(np.mean([len(one) for one in clips]))
    known = [entry.num_train.get(part[one]) for entry, part in zip((first, second), parts, strict=True) for one in clips]
    are_known = all(count is not None for count in known)
    # Where the number of training clips is not known, all clips outside the test part are assumed to be training clips.
    num_train = float(np.mean(known)) if are_known else num_clips - num_test  # type: ignore[arg-type]
    values = {entry.name: [_of_fold(entry, part[one]) for one in clips] for entry, part in zip((first, second), parts, strict=True)}
    found: dict[str, Any] = {"num_folds": len(clips), "num_train": num_train, "num_test": num_test, "num_train_is_known": are_known}
    for metric in tested_metrics():
        differences = [one[metric.name] - other[metric.name] for one, other in zip(*values.values(), strict=True)]
        found[metric.name] = to_json(corrected_resampled_t(differences, num_train=num_train, num_test=num_test))
    return found


def _folds(entry: Entry) -> dict[frozenset[str], str]:
    data = entry.predictions
    return {frozenset(data.clip[data.fold == fold].tolist()): str(fold) for fold in np.unique(data.fold)}


def _of_fold(entry: Entry, fold: str) -> dict[str, float]:
    """Metrics of a fold, means over seeds."""
    data = entry.predictions
    counts = np.stack(
        [
            confusion(data.label[rows], data.predicted[rows], len(data.classes))
            for rows in ((data.fold == fold) & (data.seed == seed) for seed in entry.seeds)
        ]
    )
    return {metric.name: float(metric.value(counts).mean()) for metric in tested_metrics()}


def _kappa(one: Predictions, other: Predictions) -> float | None:
    """Return Cohen's kappa; None where both predict the same single class for every clip."""
    if len(np.unique(np.concatenate([one.predicted, other.predicted]))) < 2:
        return None
    return float(cohen_kappa_score(one.predicted, other.predicted, labels=range(len(one.classes))))


def _alone(groups: np.ndarray, first_right: np.ndarray, second_right: np.ndarray) -> dict[str, dict[str, int]]:
    return {
        str(group): {
            "num_clips": int(np.sum(groups == group)),
            "first_alone": int(np.sum((groups == group) & first_right & ~second_right)),
            "second_alone": int(np.sum((groups == group) & ~first_right & second_right)),
        }
        for group in np.unique(groups)
    }
