"""Late fusion of entries: rules without anything to fit, and rules fitted on other speakers than those they are tried on."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from avemo_jax.comparison.entries import Entry
from avemo_jax.comparison.pairs import by_clip
from avemo_jax.evaluation.joining import WeightedProduct, fit_joiner
from avemo_jax.evaluation.results import Predictions

NUM_META_FOLDS = 5
_SEED = 0  # of the draw of meta folds
# Weights are tried in twentieths, and there are 1,771 of four systems' and 10,626 of five's.
_MOST_WEIGHTED = 4


@dataclasses.dataclass(frozen=True)
class Fusion:
    """Several entries joined.

    Attributes:
      entry: what they say together.
      rule: "mean", "product", "weighted_product" or "logistic".
      members: names of the entries.
      fitted: what was fitted in each meta fold; empty where nothing is.
    """

    entry: Entry
    rule: str
    members: tuple[str, ...]
    fitted: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class MetaFolds:
    """Parts of the clips that no two speakers share: what is fitted for a part sees the other parts alone.

    Attributes:
      part: (N,) int, of the clips in their order.
      speakers: of each part.
      note: where they come from.
    """

    part: np.ndarray
    speakers: tuple[tuple[str, ...], ...]
    note: str


def make_meta_folds(entries: Sequence[Entry]) -> MetaFolds | None:
    """Divide the clips by speaker: the folds that the first entry was tested on where these do so already, else drawn anew.

    Returns:
      None where there are fewer than two speakers.
    """
    data = by_clip(entries[0].of_seed(entries[0].seeds[0]))
    speakers = np.unique(data.speaker)
    if len(speakers) < 2:
        return None
    own = entries[0].of_seed(entries[0].seeds[0])
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
    """Join aligned entries by every rule: mean, product, and where there are meta folds weighted product and logistic stacking.

    Seeds are joined one by one where all entries have the same, and the lowest of each where they differ. What is fitted for a clip has
    seen predictions of other speakers' clips alone. Those predictions come from networks that may have been trained on this speaker, as
    in any stacking over a cross-validation; the clip's own label reaches its own prediction by no other way.

    Raises:
      ValueError: fewer than two entries, or one that says labels alone.
    """
    if len(entries) < 2:
        raise ValueError("a fusion needs two systems or more")
    if silent := [entry.name for entry in entries if not entry.has_probabilities]:
        raise ValueError(f"{', '.join(silent)} says labels alone: there are no probabilities to join")
    seeds = {entry.seeds for entry in entries}
    rounds = [[seed] * len(entries) for seed in entries[0].seeds] if len(seeds) == 1 else [[entry.seeds[0] for entry in entries]]
    said = [[by_clip(entry.of_seed(seed)) for entry, seed in zip(entries, one, strict=True)] for one in rounds]
    equal = WeightedProduct((1 / len(entries),) * len(entries))
    rules: dict[str, Callable[[np.ndarray, list[np.ndarray]], tuple[np.ndarray, list[dict[str, Any]]]]] = {
        "mean": lambda label, posteriors: (np.mean(posteriors, axis=0), []),
        "product": lambda label, posteriors: (equal.join(posteriors), []),
    }
    if meta is not None:
        fitted = ["logistic"] if len(entries) > _MOST_WEIGHTED else ["weighted_product", "logistic"]
        rules |= {rule: functools.partial(_out_of_fold, meta, rule) for rule in fitted}
    return [_fusion(rule, join, entries, said, meta) for rule, join in rules.items()]


def _fusion(rule: str, join: Callable, entries: Sequence[Entry], said: list[list[Predictions]], meta: MetaFolds | None) -> Fusion:
    parts, fitted = [], []
    for number, members in enumerate(said):
        posteriors, found = join(members[0].label, [one.probabilities for one in members])
        fitted += [{"round": number} | one for one in found]
        parts.append(posteriors)
    first, count = said[0][0], len(said)
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
    worn = tuple(dict.fromkeys(mark for entry in entries for mark in entry.marks))
    protocols = dict.fromkeys(entry.protocol for entry in entries)
    entry = Entry(f"{rule}({'+'.join(names)})", predictions, protocol=" / ".join(protocols), marks=worn, has_folds=False)
    return Fusion(entry, rule, names, tuple(fitted))


def _out_of_fold(meta: MetaFolds, rule: str, label: np.ndarray, posteriors: list[np.ndarray]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Join each part's clips by the rule fitted on the other parts."""
    joined, fitted = np.empty_like(posteriors[0]), []
    for index in range(len(meta.speakers)):
        own = meta.part == index
        joiner = fit_joiner(rule, label[~own], [one[~own] for one in posteriors])
        joined[own] = joiner.join([one[own] for one in posteriors])
        fitted.append({"meta_fold": index + 1} | (joiner.as_dict() if rule == "weighted_product" else {"rule": rule}))
    return joined, fitted
