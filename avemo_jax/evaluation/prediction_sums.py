"""What every measure of predictions needs of them: sums over the clips of each trial and each speaker.

The predictions are read once, one trial at a time, so memory grows with the clips of one trial, the names of all clips and the number of
speakers, and not with clips x seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from avemo_jax.evaluation.calibration import NUM_BARS, scale_trial
from avemo_jax.evaluation.metrics import (
    Metric,
    calibration_bins,
    confusion,
    negative_log_likelihoods,
    rating_sums,
    reported_metrics,
    squared_errors,
)
from avemo_jax.evaluation.predictions import Predictions, PredictionSource, rows_by
from avemo_jax.evaluation.results import TrialTemperature

Sums = dict[str, np.ndarray]  # name -> array that is additive over clips
COUNTS, BRIER, NLL, BARS, RATINGS = "confusion", "brier", "nll", "bars", "ratings"


def name_of(metric: Metric) -> str:
    """Return the name of the sums that a metric of classes is made of."""
    return COUNTS if metric.from_confusion is not None else f"metric {metric.name}"


def sums_of(part: Predictions, rows: np.ndarray | slice = slice(None)) -> Sums:
    """Return the sums of some rows: confusion (K, K), those of each reported metric of probabilities, and of calibration and ratings.

    BRIER and NLL are (2,), the sum and the number of clips; BARS (NUM_BARS, 3) as `calibration_bins`; RATINGS (D, 6) as `rating_sums`.
    """
    label, probabilities = part.label[rows], part.probabilities[rows]
    found = {COUNTS: confusion(label, probabilities.argmax(axis=1), len(part.classes))}
    for metric in reported_metrics():
        if metric.from_probabilities is not None:
            found[name_of(metric)] = metric.sums(label, probabilities)
    for name, of_clips in ((BRIER, squared_errors), (NLL, negative_log_likelihoods)):
        values = of_clips(label, probabilities)
        found[name] = np.array([values.sum(), len(values)])
    found[BARS] = calibration_bins(label, probabilities, num_bins=NUM_BARS)
    if part.dimensions:
        found[RATINGS] = _rating_sums(part.rating[rows], part.value[rows])
    return found


def _rating_sums(rating: np.ndarray, value: np.ndarray) -> np.ndarray:
    is_rated = ~np.isnan(rating)
    return rating_sums(np.where(is_rated, rating, 0), value, is_rated.astype(float))


def total(sums: Iterable[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    """Return the sums of that name over all of these."""
    return np.sum([one[name] for one in sums], axis=0)


def stack(groups: Mapping[str, Sums], name: str) -> np.ndarray:
    """Return the sums of that name of each group, (G, ...), in the order of their names."""
    return np.stack([groups[group][name] for group in sorted(groups)])


@dataclasses.dataclass
class Tally:
    """Sums of each trial, by (seed, fold), and of each speaker."""

    trials: dict[tuple[int, str], Sums] = dataclasses.field(default_factory=dict)
    speakers: dict[str, Sums] = dataclasses.field(default_factory=dict)

    def add(self, trial: tuple[int, str], part: Predictions) -> None:
        """Add the rows of one trial."""
        self.trials[trial] = sums_of(part)
        for speaker, rows in rows_by(part.speaker):
            _add(self.speakers, speaker, sums_of(part, rows))


def _add(groups: dict[str, Sums], name: str, sums: Sums) -> None:
    if name not in groups:
        groups[name] = sums
    else:
        for key, values in sums.items():
            groups[name][key] = groups[name][key] + values


@dataclasses.dataclass
class Clips:
    """The different clips of predictions, with the groups that they belong to.

    Attributes:
      num_clips: number of different clips.
      by_speaker, by_gender: number of different clips of each speaker and gender.
      num_rated: (D,), number of different clips that have a rating.
    """

    num_clips: int
    by_speaker: dict[str, int]
    by_gender: dict[str, int]
    num_rated: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
    """Everything that results are computed from.

    Attributes:
      classes, dimensions: names.
      own: of each trial's predictions.
      genders: confusion of each gender.
      speakers_of: gender -> its speakers.
      together: of the mean over seeds, as of the lowest seed; None for one seed, and where seeds were not tested on the same clips.
      scaled: after temperature scaling, with `temperatures`; None without validation predictions.
      of_means: with each training part's mean rating as the value, of the lowest seed; None without them.
      clips: the different clips.
    """

    classes: tuple[str, ...]
    dimensions: tuple[str, ...]
    own: Tally
    genders: dict[str, Sums]
    speakers_of: dict[str, set[str]]
    together: Tally | None
    scaled: Tally | None
    temperatures: tuple[TrialTemperature, ...]
    of_means: Tally | None
    clips: Clips

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted({seed for seed, _ in self.own.trials})


def measure(
    source: PredictionSource, *, validation: PredictionSource | None = None, train_means: Mapping[str, np.ndarray] | None = None
) -> Measured:
    """Read predictions once, fold after fold, and add up what results are computed from.

    Args:
      source: of all folds and seeds.
      validation: of each trial's validation part, to fit its temperature on.
      train_means: fold -> (D,), mean rating of its training part.

    Raises:
      ValueError: `validation` does not belong to these predictions; see `calibration.scale_trial`.
    """
    seeds, folds = sorted({seed for seed, _ in source.trials}), sorted({fold for _, fold in source.trials})
    own, together, scaled, of_means = Tally(), Tally(), Tally(), Tally()
    genders: dict[str, Sums] = {}
    speakers_of: dict[str, set[str]] = {}
    temperatures, clips, is_alike = [], _ClipList(), len(seeds) > 1
    for fold in folds:
        first, means = None, {}
        for seed in (seed for seed in seeds if (seed, fold) in set(source.trials)):
            part = source.part(seed, fold)
            own.add((seed, fold), part)
            for gender, rows in rows_by(part.gender):
                _add(genders, gender, {COUNTS: confusion(part.label[rows], part.predicted[rows], len(part.classes))})
                speakers_of.setdefault(gender, set()).update(np.unique(part.speaker[rows]).tolist())
            if validation is not None:
                probabilities, temperature = scale_trial(part, validation)
                scaled.add((seed, fold), dataclasses.replace(part, probabilities=probabilities))
                temperatures.append(temperature)
            if train_means is not None and seed == seeds[0]:
                value = np.broadcast_to(train_means[fold], part.rating.shape)
                of_means.add((seed, fold), dataclasses.replace(part, value=value))
            if first is None:
                first, means = part, {name: getattr(part, name) for name in ("probabilities", "value")}
                clips.add(part)
                is_alike &= seed == seeds[0]
            elif np.array_equal(part.clip, first.clip):
                means = {name: values + getattr(part, name) for name, values in means.items()}
            else:
                clips.add(part)
                is_alike = False
        is_alike &= {seed for seed, of_fold in source.trials if of_fold == fold} == set(seeds)
        if is_alike and first is not None:
            means = {name: values / len(seeds) for name, values in means.items()}
            together.add((seeds[0], fold), dataclasses.replace(first, **means))
    return Measured(
        classes=source.classes,
        dimensions=source.dimensions,
        own=_in_order(own),
        genders=genders,
        speakers_of=speakers_of,
        together=together if is_alike else None,
        scaled=None if validation is None else _in_order(scaled),
        temperatures=tuple(sorted(temperatures, key=lambda one: (one.seed, one.fold))),
        of_means=None if train_means is None else of_means,
        clips=clips.counted(len(source.dimensions)),
    )


def _in_order(tally: Tally) -> Tally:
    """Return the trials by (seed, fold): they were added fold after fold."""
    return Tally(dict(sorted(tally.trials.items())), tally.speakers)


class _ClipList:
    """Names of clips as bytes, a quarter of the size of text, with the index of their speaker and gender."""

    def __init__(self) -> None:
        self._index: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._columns: list[tuple[np.ndarray, ...]] = []

    def add(self, part: Predictions) -> None:
        codes = [_codes(index, getattr(part, name)) for index, name in zip(self._index, ("speaker", "gender"), strict=True)]
        self._columns.append((np.char.encode(part.clip, "utf-8", "surrogateescape"), *codes, ~np.isnan(part.rating)))

    def counted(self, num_dimensions: int) -> Clips:
        clip, speaker, gender, is_rated = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        different, place = np.unique(clip, return_inverse=True)

        def count(codes: np.ndarray, index: dict[str, int]) -> dict[str, int]:
            pairs = np.unique(place * len(index) + codes)  # a clip counts once in each group that it has
            return dict(zip(index, np.bincount(pairs % len(index), minlength=len(index)).tolist(), strict=True))

        rated = [len(np.unique(place[is_rated[:, column]])) for column in range(num_dimensions)]
        return Clips(len(different), count(speaker, self._index[0]), count(gender, self._index[1]), np.array(rated, dtype=int))


def _codes(index: dict[str, int], names: np.ndarray) -> np.ndarray:
    """Return the index of each name, (N,) int32; a new name gets the next one."""
    different, inverse = np.unique(names, return_inverse=True)
    return np.array([index.setdefault(name, len(index)) for name in different.tolist()], dtype=np.int32)[inverse]
