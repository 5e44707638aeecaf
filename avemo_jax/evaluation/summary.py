"""Measuring predictions: from predictions to `RunResults`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.calibration import reliability_from_bins
from avemo_jax.evaluation.dimensions import dimension_results
from avemo_jax.evaluation.metrics import (
    Metric,
    mean_from_sums,
    metric_named,
    per_class,
    primary_metrics,
    recall_from_confusion,
    reported_metrics,
)
from avemo_jax.evaluation.prediction_sums import BARS, BRIER, COUNTS, NLL, Measured, Sums, Tally, measure, name_of, stack, total
from avemo_jax.evaluation.predictions import PredictionSource
from avemo_jax.evaluation.results import (
    BaselineResult,
    Calibration,
    CalibrationScores,
    ClassResult,
    Confusion,
    Estimate,
    FoldResult,
    GenderGap,
    GroupResult,
    MetricSummary,
    RunFacts,
    RunResults,
    ScaledCalibration,
    SeedEnsembleResult,
    SeedMetric,
    SeedResult,
    SpeakerSpread,
)
from avemo_jax.evaluation.statistics import NUM_RESAMPLES, group_difference, speaker_bootstrap

GENDERS = ("female", "male")  # of the gender gap, first minus second


def summarise(
    predictions: PredictionSource,
    facts: RunFacts,
    *,
    baseline: RunResults | None = None,
    validation: PredictionSource | None = None,
    num_train: Mapping[str, int] | None = None,
    train_means: Mapping[str, np.ndarray] | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> RunResults:
    """Measure predictions.

    Args:
      predictions: of all folds and seeds; one trial is in memory at a time.
      facts: what is known of the run without its predictions.
      baseline: results of the classical baseline on the same folds.
      validation: predictions of each trial for its validation part, to fit its temperature on; None leaves out temperature scaling.
      num_train: number of training clips of each fold, for the corrected resampled t-test; None leaves it out.
      train_means: fold -> (D,), mean rating of its training part in each dimension; None leaves out the comparison with it.
      num_resamples: of each bootstrap over speakers.

    Raises:
      ValueError: `validation` does not belong to these predictions, or has clips of the test part of the same fold.
    """
    data = measure(predictions, validation=validation, train_means=train_means)
    per_fold = tuple(
        FoldResult(
            fold=fold,
            seed=seed,
            num_clips=int(sums[COUNTS].sum()),
            num_train=None if num_train is None else int(num_train[fold]),
            metrics=_values([sums]),
        )
        for (seed, fold), sums in data.own.trials.items()
    )
    per_seed = []
    for seed in data.seeds:
        pooled = _values([sums for (own, _), sums in data.own.trials.items() if own == seed])
        folds = [one.metrics for one in per_fold if one.seed == seed]
        means = {name: float(np.mean([one[name] for one in folds])) for name in pooled}
        per_seed.append(
            SeedResult(seed=seed, metrics={name: SeedMetric(mean_of_folds=means[name], pooled=pooled[name]) for name in pooled})
        )
    counts = total(data.own.trials.values(), COUNTS)
    recall = zip(data.classes, recall_from_confusion(counts), counts.sum(1), strict=True)
    per_speaker = _per_group(data.own.speakers, data.clips.by_speaker)
    spread = {metric.name: _spread([one.metrics[metric.name] for one in per_speaker.values()]) for metric in primary_metrics()}
    return RunResults(
        **_fields_of(RunFacts, facts),
        num_clips=data.clips.num_clips,
        metrics=_summaries(data.own, num_resamples),
        per_fold=per_fold,
        per_seed=tuple(per_seed),
        seed_ensemble=_seed_ensemble(data, num_resamples),
        per_class_recall={name: float(value) for name, value, support in recall if support},
        per_class={name: ClassResult(**one) for name, one in per_class(counts, data.classes).items()},
        per_speaker=per_speaker,
        speaker_spread=spread,
        per_gender=_per_group(data.genders, data.clips.by_gender),
        gender_gap=_gender_gap(data, num_resamples),
        calibration=_calibration(data, num_resamples),
        confusion=Confusion(classes=data.classes, counts=tuple(map(tuple, counts.tolist()))),
        baseline=None if baseline is None else BaselineResult(**_fields_of(BaselineResult, baseline)),
        dimensions=dimension_results(data, baseline=() if baseline is None else baseline.dimensions, num_resamples=num_resamples),
    )


def pooled_with_interval(metric: Metric, sums: np.ndarray, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Measure a metric of the contributions of each speaker (G, ...), see `speaker_sums`, with its interval over speakers."""
    pooled = float(metric.value(sums.sum(axis=0, dtype=float)))
    return Estimate(pooled=pooled, ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale, num_resamples=num_resamples))


def _values(sums: Collection[Sums]) -> dict[str, float]:
    """Return the reported metrics of the clips of these sums together."""
    return {metric.name: float(metric.value(total(sums, name_of(metric)))) for metric in reported_metrics()}


def _summaries(tally: Tally, num_resamples: int) -> dict[str, MetricSummary]:
    """Return the reported metrics over trials, and pooled with their intervals over speakers."""
    of_trials, pooled = [_values([sums]) for sums in tally.trials.values()], _values(tally.trials.values())
    found = {}
    for metric in reported_metrics():
        values = [one[metric.name] for one in of_trials]
        found[metric.name] = MetricSummary(
            mean_of_folds=float(np.mean(values)),
            std_of_folds=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            pooled=pooled[metric.name],
            ci95=speaker_bootstrap(stack(tally.speakers, name_of(metric)), metric.value, scale=metric.scale, num_resamples=num_resamples),
        )
    return found


def _seed_ensemble(data: Measured, num_resamples: int) -> SeedEnsembleResult | None:
    """Measure the seeds together; None for one seed."""
    if data.together is None:
        return None
    return SeedEnsembleResult(seeds=tuple(data.seeds), metrics=_summaries(data.together, num_resamples))


def _spread(values: Sequence[float]) -> SpeakerSpread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SpeakerSpread(mean=float(np.mean(values)), std=deviation, lowest=float(min(values)), highest=float(max(values)))


def _calibration(data: Measured, num_resamples: int) -> Calibration:
    scaled = None
    if data.scaled is not None:
        after = _scores(data.scaled, num_resamples)
        scaled = ScaledCalibration(**_fields_of(CalibrationScores, after), temperatures=data.temperatures)
    return Calibration(**_fields_of(CalibrationScores, _scores(data.own, num_resamples)), scaled=scaled)


def _fields_of(kind: type, value: Any) -> dict[str, Any]:
    """Return the fields that the dataclass `kind` has, from a value that has them all."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}


def _scores(tally: Tally, num_resamples: int) -> CalibrationScores:
    def mean(name: str) -> Estimate:
        pooled, count = total(tally.trials.values(), name)
        interval = speaker_bootstrap(stack(tally.speakers, name), mean_from_sums, scale="positive", num_resamples=num_resamples)
        return Estimate(pooled=float(pooled / count), ci95=interval)

    ece = metric_named("ece")
    return CalibrationScores(
        ece=pooled_with_interval(ece, stack(tally.speakers, name_of(ece)), num_resamples),
        brier=mean(BRIER),
        nll=mean(NLL),
        reliability=reliability_from_bins(total(tally.trials.values(), BARS)),
    )


def _gender_gap(data: Measured, num_resamples: int) -> GenderGap | None:
    """Compare female with male speakers; None where one of them is absent."""
    if not all(gender in data.speakers_of for gender in GENDERS):
        return None
    first, second = (np.stack([data.own.speakers[one][COUNTS] for one in sorted(data.speakers_of[gender])]) for gender in GENDERS)
    gaps = {metric.name: group_difference(first, second, metric.value, num_resamples=num_resamples) for metric in primary_metrics()}
    return GenderGap(between=GENDERS, metrics=gaps)


def _per_group(groups: Mapping[str, Sums], num_clips: Mapping[str, int]) -> dict[str, GroupResult]:
    """Measure each speaker or gender over all seeds."""
    return {
        group: GroupResult(
            num_clips=num_clips[group],
            metrics={metric.name: float(metric.value(groups[group][COUNTS])) for metric in primary_metrics()},
        )
        for group in sorted(groups)
    }
