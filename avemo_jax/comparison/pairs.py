"""Two entries side by side: paired tests, agreement, and where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from avemo_jax.comparison.entries import Entry
from avemo_jax.evaluation.metrics import FROM_CONFUSION, confusion
from avemo_jax.evaluation.paired import corrected_resampled_t, holm, mcnemar_exact, paired_bootstrap
from avemo_jax.evaluation.results import Predictions, speaker_sums
from avemo_jax.evaluation.statistics import NUM_RESAMPLES, Difference

TESTED = ("uar", "war", "macro_f1")


def compare_pairs(entries: Sequence[Entry], *, num_resamples: int = NUM_RESAMPLES) -> list[dict[str, Any]]:
    """Compare each pair of aligned entries.

    Returns:
      One dict a pair. `uar`, `war` and `macro_f1` are differences first minus second with interval and p of the paired bootstrap over
      speakers, all seeds together. `mcnemar` and `agreement` are of one seed each, the lowest. `folds` has the corrected resampled t-test
      where both were tested on the same folds, each fold's value a mean over seeds; else the reason why not. Each test's `p_holm` is
      adjusted for the number of pairs.
    """
    pairs = [compare_pair(first, second, num_resamples=num_resamples) for first, second in itertools.combinations(entries, 2)]
    tests: list[list[dict[str, Any]]] = [[pair[name] for pair in pairs] for name in (*TESTED, "mcnemar")]
    tests += [[pair["folds"].get(name, {"p": None}) for pair in pairs] for name in TESTED]
    for family in tests:
        for one, adjusted in zip(family, holm([one["p"] for one in family]), strict=True):
            one["p_holm"] = adjusted
    return pairs


def compare_pair(first: Entry, second: Entry, *, num_resamples: int = NUM_RESAMPLES) -> dict[str, Any]:
    """Compare two aligned entries; see `compare_pairs`, which adds Holm's correction."""
    sums = speaker_sums(first.predictions), speaker_sums(second.predictions)
    pair: dict[str, Any] = {"first": first.name, "second": second.name}
    pair |= {name: as_dict(paired_bootstrap(*sums, FROM_CONFUSION[name], num_resamples=num_resamples)) for name in TESTED}
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
    """Header and rows of the clips of which entries, each at its lowest seed, do not all say the same."""
    said = [by_clip(entry.of_seed(entry.seeds[0])) for entry in entries]
    words = np.array(said[0].classes)
    differ = np.any([one.predicted != said[0].predicted for one in said[1:]], axis=0)
    header = ["clip", "speaker", "label", *(entry.name for entry in entries)]
    columns = [said[0].clip, said[0].speaker, words[said[0].label], *(words[one.predicted] for one in said)]
    return header, [list(map(str, row)) for row in zip(*(column[differ] for column in columns), strict=True)]


def by_clip(predictions: Predictions) -> Predictions:
    """Predictions of one seed with fold and seed forgotten, so that rows are in the order of the clips."""
    columns = {name: getattr(predictions, name) for name in ("clip", "speaker", "gender", "label", "probabilities")}
    size = len(predictions.clip)
    return Predictions(**columns, fold=np.full(size, ""), seed=np.zeros(size, int), classes=predictions.classes)


def as_dict(found: Difference) -> dict[str, Any]:
    """A difference as JSON has it."""
    return {"difference": found.difference, "ci95": None if found.low is None else [found.low, found.high], "p": found.p}


def _over_folds(first: Entry, second: Entry) -> dict[str, Any]:
    if not (first.has_folds and second.has_folds):
        return {"why_not": f"folds of {(second if first.has_folds else first).name} are not known"}
    parts = [_folds(entry) for entry in (first, second)]
    if parts[0].keys() != parts[1].keys():
        return {"why_not": "they were not tested on the same folds"}
    if len(parts[0]) < 2:
        return {"why_not": "there is one fold alone"}
    clips = sorted(parts[0], key=lambda one: parts[0][one])
    num_clips, num_test = len(np.unique(first.predictions.clip)), float(np.mean([len(one) for one in clips]))
    known = [entry.num_train.get(part[one]) for entry, part in zip((first, second), parts, strict=True) for one in clips]
    are_known = all(count is not None for count in known)
    # Where nobody counted the training clips, whatever was not tested counts as having trained.
    num_train = float(np.mean(known)) if are_known else num_clips - num_test  # type: ignore[arg-type]
    values = {entry.name: [_of_fold(entry, part[one]) for one in clips] for entry, part in zip((first, second), parts, strict=True)}
    found: dict[str, Any] = {"num_folds": len(clips), "num_train": num_train, "num_test": num_test, "num_train_is_known": are_known}
    for name in TESTED:
        differences = [one[name] - other[name] for one, other in zip(*values.values(), strict=True)]
        found[name] = as_dict(corrected_resampled_t(differences, num_train=num_train, num_test=num_test))
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
    return {name: float(FROM_CONFUSION[name](counts).mean()) for name in TESTED}


def _kappa(one: Predictions, other: Predictions) -> float | None:
    """Cohen's kappa; None where both say the same one class of everything, which chance explains."""
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
