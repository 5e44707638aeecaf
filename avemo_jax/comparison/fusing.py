"""Late fusion of entries by rules without parameters, and by rules fitted on other speakers than those they are applied to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from avemo_jax.comparison.entries import Entry
from avemo_jax.comparison.pairs import by_clip
from avemo_jax.evaluation.late_fusion import WeightedProduct, fit_rule
from avemo_jax.evaluation.predictions import Predictions

NUM_META_FOLDS = 5
_SEED = 0  # of the draw of meta folds
# Weights are multiples of 1/20: four systems have 1,771 combinations, five 10,626.
_MOST_WEIGHTED = 4


@dataclasses.dataclass(frozen=True)
class Fusion:
    """A fusion of several entries.

    Attributes:
      entry: the fused predictions.
      rule: "mean", "product", "weighted_product" or "logistic".
      members: names of the entries.
      fitted: fitted parameters of each meta fold; empty for rules without parameters.
    """

    entry: Entry
    rule: str
    members: tuple[str, ...]
    fitted: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class MetaFolds:
    """A division of the clips by speaker: the rule for one part is fitted on the other parts.

    Attributes:
      part: (N,) int, part of each clip, in the order of `by_clip`.
      speakers: of each part.
      note: how the division was made.
    """

    part: np.ndarray
    speakers: tuple[tuple[str, ...], ...]
    note: str


def make_meta_folds(entries: Sequence[Entry]) -> MetaFolds | None:
    """Divide the clips by speaker: by the first entry's folds where these share no speaker, else by a seeded draw.

    Returns:
      None where there are fewer than two speakers.
    """
    own = entries[0].of_seed(entries[0].seeds[0])
    data = by_clip(own)
    speakers = np.unique(data.speaker)
    if len(speakers) < 2:
        return None
    folds = np.unique(own.fold)
    shared = any(len(np.unique(own.fold[own.speaker == speaker])) > 1 for speaker in speakers)
    if entries[0].has_folds and len(folds) > 1 and not shared:
        fold_of = dict(zip(own.clip.tolist(), own.fold.tolist(), strict=True))
        part = np.searchsorted(folds, [fold_of[clip] for clip in data.clip.tolist()])
        note = f"the {len(folds)} folds that {entries[0].name} was tested on, which share no speaker"
    else:
        count = min(NUM_META_FOLDS, len(speakers))
        part = np.empty(len(data.clip), dtype=int)
        for index, (_, chosen) in enumerate(
            StratifiedGroupKFold(count, shuffle=True, random_state=_SEED).split(data.label, data.label, data.speaker)
        ):
            part[chosen] = index
        part = np.unique(part, return_inverse=True)[1]  # few speakers may leave a part empty
        note = f"{part.max() + 1} parts by speaker, stratified by class, seed {_SEED} (scikit-learn StratifiedGroupKFold)"
    members = tuple(tuple(np.unique(data.speaker[part == index]).tolist()) for index in range(part.max() + 1))
    return MetaFolds(part, members, note) if len(members) > 1 else None


def fuse(entries: Sequence[Entry], meta: MetaFolds | None) -> list[Fusion]:
    """Fuse aligned entries by every rule: mean, product, and where there are meta folds weighted product and logistic stacking.

    Entries with the same seeds are fused seed by seed, others at the lowest seed of each. The rule for a clip is fitted on predictions for
    clips of other speakers. As in any stacking over a cross-validation, the networks behind those predictions may have been trained on this
    clip's speaker; the clip's own label influences its fused prediction in no other way.

    Raises:
      ValueError: fewer than two entries, or one without probabilities.
    """
    if len(entries) < 2:
        raise ValueError("a fusion needs two systems or more")
    if silent := [entry.name for entry in entries if not entry.has_probabilities]:
        raise ValueError(f"{', '.join(silent)} has predicted labels alone: a fusion needs probabilities")
    seeds = {entry.seeds for entry in entries}
    rounds = [[seed] * len(entries) for seed in entries[0].seeds] if len(seeds) == 1 else [[entry.seeds[0] for entry in entries]]
    predictions = [[by_clip(entry.of_seed(seed)) for entry, seed in zip(entries, one, strict=True)] for one in rounds]
    equal = WeightedProduct((1 / len(entries),) * len(entries))
    rules: dict[str, Callable[[Predictions, list[np.ndarray]], tuple[np.ndarray, list[dict[str, Any]]]]] = {
        "mean": lambda clips, probabilities: (np.mean(probabilities, axis=0), []),
        "product": lambda clips, probabilities: (equal.join(probabilities), []),
    }
    if meta is not None:
        fitted = ["logistic"] if len(entries) > _MOST_WEIGHTED else ["weighted_product", "logistic"]
        rules |= {rule: functools.partial(_out_of_fold, meta, rule) for rule in fitted}
    return [_fusion(rule, join, entries, predictions, meta) for rule, join in rules.items()]


def _fusion(rule: str, join: Callable, entries: Sequence[Entry], rounds: list[list[Predictions]], meta: MetaFolds | None) -> Fusion:
    parts, fitted = [], []
    for number, members in enumerate(rounds):
        probabilities, found = join(members[0], [one.probabilities for one in members])
        fitted += [{"round": number} | one for one in found]
        parts.append(probabilities)
    first, count = rounds[0][0], len(rounds)
    fold = np.full(len(first.clip), "all") if not fitted or meta is None else np.char.add("meta", (meta.part + 1).astype(str))
    predictions = Predictions(
        clip=np.tile(first.clip, count),
        speaker=np.tile(first.speaker, count),
        gender=np.tile(first.gender, count),
        fold=np.tile(fold, count),
        seed=np.repeat(np.arange(count), len(first.clip)),
        label=np.tile(first.label, count),
        probabilities=np.concatenate(parts),
        classes=first.classes,
    )
    names = tuple(entry.name for entry in entries)
    caveats = tuple(dict.fromkeys(caveat for entry in entries for caveat in entry.caveats))
    protocols = dict.fromkeys(entry.protocol for entry in entries)
    entry = Entry(f"{rule}({'+'.join(names)})", predictions, protocol=" / ".join(protocols), caveats=caveats, has_folds=False)
    return Fusion(entry, rule, names, tuple(fitted))


def _out_of_fold(
    meta: MetaFolds, rule: str, clips: Predictions, probabilities: list[np.ndarray]
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Fuse each part's clips by the rule fitted on the other parts."""
    joined, fitted = np.empty_like(probabilities[0]), []
    for index in range(len(meta.speakers)):
        own = meta.part == index
        fitted_rule = fit_rule(rule, clips.label[~own], [one[~own] for one in probabilities], speaker=clips.speaker[~own])
        joined[own] = fitted_rule.join([one[own] for one in probabilities])
        fitted.append({"meta_fold": index + 1} | (fitted_rule.to_json() if rule == "weighted_product" else {"rule": rule}))
    return joined, fitted
