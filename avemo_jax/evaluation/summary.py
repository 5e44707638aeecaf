"""Measuring predictions: from `Predictions` to `RunResults`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.calibration import reliability, scale_by_trial
from avemo_jax.evaluation.dimensions import dimension_results
from avemo_jax.evaluation.metrics import (
    Metric,
    all_metrics,
    confusion,
    mean_from_sums,
    metric_named,
    negative_log_likelihoods,
    per_class,
    primary_metrics,
    recall_from_confusion,
    reported_metrics,
    squared_errors,
)
from avemo_jax.evaluation.predictions import Predictions, ensemble_of_seeds, speaker_sums
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
    predictions: Predictions,
    facts: RunFacts,
    *,
    baseline: RunResults | None = None,
    validation: Predictions | None = None,
    num_train: Mapping[str, int] | None = None,
    train_means: Mapping[str, np.ndarray] | None = None,
    num_resamples: int = NUM_RESAMPLES,
) -> RunResults:
    """Measure predictions.

    Args:
      predictions: of all folds and seeds.
      facts: what is known of the run without its predictions.
      baseline: results of the classical baseline on the same folds.
      validation: predictions of each trial for its validation part, to fit its temperature on; None leaves out temperature scaling.
      num_train: number of training clips of each fold, for the corrected resampled t-test; None leaves it out.
      train_means: fold -> (D,), mean rating of its training part in each dimension; None leaves out the comparison with it.
      num_resamples: of each bootstrap over speakers.

    Raises:
      ValueError: `validation` does not belong to these predictions, or has clips of the test part of the same fold.
    """
    data = predictions
    per_fold = []
    for seed in np.unique(data.seed):
        for fold in np.unique(data.fold[data.seed == seed]):
            rows = (data.seed == seed) & (data.fold == fold)
            metrics = all_metrics(data.label[rows], data.probabilities[rows])
            count = None if num_train is None else int(num_train[str(fold)])
            per_fold.append(FoldResult(fold=str(fold), seed=int(seed), num_clips=int(rows.sum()), num_train=count, metrics=metrics))
    per_seed = []
    for seed in np.unique(data.seed):
        pooled = all_metrics(data.label[data.seed == seed], data.probabilities[data.seed == seed])
        folds = [one.metrics for one in per_fold if one.seed == seed]
        means = {name: float(np.mean([one[name] for one in folds])) for name in pooled}
        own = {name: SeedMetric(mean_of_folds=means[name], pooled=pooled[name]) for name in pooled}
        per_seed.append(SeedResult(seed=int(seed), metrics=own))

    counts = data.confusion()
    recall = zip(data.classes, recall_from_confusion(counts), counts.sum(1), strict=True)
    per_speaker = _per_group(data, data.speaker)
    spread = {metric.name: _spread([one.metrics[metric.name] for one in per_speaker.values()]) for metric in primary_metrics()}
    return RunResults(
        **_fields_of(RunFacts, facts),
        num_clips=len(np.unique(data.clip)),
        metrics={
            metric.name: _summary(metric, data, [one.metrics[metric.name] for one in per_fold], num_resamples)
            for metric in reported_metrics()
        },
        per_fold=tuple(per_fold),
        per_seed=tuple(per_seed),
        seed_ensemble=_seed_ensemble(data, num_resamples),
        per_class_recall={name: float(value) for name, value, support in recall if support},
        per_class={name: ClassResult(**one) for name, one in per_class(data.label, data.predicted, data.classes).items()},
        per_speaker=per_speaker,
        speaker_spread=spread,
        per_gender=_per_group(data, data.gender),
        gender_gap=_gender_gap(data, num_resamples),
        calibration=_calibration(data, validation, num_resamples),
        confusion=Confusion(classes=data.classes, counts=tuple(map(tuple, counts.tolist()))),
        baseline=None if baseline is None else BaselineResult(**_fields_of(BaselineResult, baseline)),
        dimensions=dimension_results(
            data, baseline=() if baseline is None else baseline.dimensions, train_means=train_means, num_resamples=num_resamples
        ),
    )


def pooled_with_interval(metric: Metric, sums: np.ndarray, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Measure a metric of the contributions of each speaker (G, ...), see `speaker_sums`, with its interval over speakers."""
    pooled = float(metric.value(sums.sum(axis=0, dtype=float)))
    return Estimate(pooled=pooled, ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale, num_resamples=num_resamples))


def _summary(metric: Metric, data: Predictions, of_folds: Sequence[float], num_resamples: int) -> MetricSummary:
    pooled = float(metric.value(metric.sums(data.label, data.probabilities)))
    sums = speaker_sums(data, metric.sums)
    return MetricSummary(
        mean_of_folds=float(np.mean(of_folds)),
        std_of_folds=float(np.std(of_folds, ddof=1)) if len(of_folds) > 1 else None,
        pooled=pooled,
        ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale, num_resamples=num_resamples),
    )


def _seed_ensemble(data: Predictions, num_resamples: int) -> SeedEnsembleResult | None:
    """Measure the seeds together; None for one seed."""
    together = ensemble_of_seeds(data)
    if together is None:
        return None
    rows = [together.fold == fold for fold in np.unique(together.fold)]
    of_folds = [all_metrics(together.label[own], together.probabilities[own]) for own in rows]
    return SeedEnsembleResult(
        seeds=tuple(np.unique(data.seed).tolist()),
        metrics={
            metric.name: _summary(metric, together, [one[metric.name] for one in of_folds], num_resamples) for metric in reported_metrics()
        },
    )


def _spread(values: Sequence[float]) -> SpeakerSpread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return SpeakerSpread(mean=float(np.mean(values)), std=deviation, lowest=float(min(values)), highest=float(max(values)))


def _calibration(data: Predictions, validation: Predictions | None, num_resamples: int) -> Calibration:
    scaled = None
    if validation is not None:
        probabilities, temperatures = scale_by_trial(data, validation)
        after = _scores(dataclasses.replace(data, probabilities=probabilities), num_resamples)
        scaled = ScaledCalibration(**_fields_of(CalibrationScores, after), temperatures=temperatures)
    return Calibration(**_fields_of(CalibrationScores, _scores(data, num_resamples)), scaled=scaled)


def _fields_of(kind: type, value: Any) -> dict[str, Any]:
    """Return the fields that the dataclass `kind` has, from a value that has them all."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}


def _scores(data: Predictions, num_resamples: int) -> CalibrationScores:
    def mean(of_clips: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Estimate:
        own = of_clips(data.label, data.probabilities)
        sums = np.stack([[own[rows].sum(), rows.sum()] for rows in (data.speaker == speaker for speaker in np.unique(data.speaker))])
        interval = speaker_bootstrap(sums, mean_from_sums, scale="positive", num_resamples=num_resamples)
        return Estimate(pooled=float(own.mean()), ci95=interval)

    ece = metric_named("ece")
    return CalibrationScores(
        ece=pooled_with_interval(ece, speaker_sums(data, ece.sums), num_resamples),
        brier=mean(squared_errors),
        nll=mean(negative_log_likelihoods),
        reliability=reliability(data.label, data.probabilities),
    )


def _gender_gap(data: Predictions, num_resamples: int) -> GenderGap | None:
    """Compare female with male speakers; None where one of them is absent."""
    groups = [data.speaker[data.gender == gender] for gender in GENDERS]
    if not all(map(len, groups)):
        return None
    speakers, counts = np.unique(data.speaker), speaker_sums(data)
    first, second = (counts[np.isin(speakers, group)] for group in groups)
    gaps = {metric.name: group_difference(first, second, metric.value, num_resamples=num_resamples) for metric in primary_metrics()}
    return GenderGap(between=GENDERS, metrics=gaps)


def _per_group(data: Predictions, groups: np.ndarray) -> dict[str, GroupResult]:
    """Measure each speaker or gender over all seeds."""
    result = {}
    for group in np.unique(groups):
        rows = groups == group
        counts = confusion(data.label[rows], data.predicted[rows], len(data.classes))
        values = {metric.name: float(metric.value(counts)) for metric in primary_metrics()}
        result[str(group)] = GroupResult(num_clips=len(np.unique(data.clip[rows])), metrics=values)
    return result
