"""Measuring dimensions, such as valence and arousal: from sums of predictions to `DimensionResult`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avemo_jax.evaluation.metrics import rating_metrics
from avemo_jax.evaluation.prediction_sums import RATINGS, Measured, Tally, stack
from avemo_jax.evaluation.results import DimensionFold, DimensionResult, MetricSummary
from avemo_jax.evaluation.statistics import speaker_bootstrap

_LEAST_RATED = 2  # clips of a fold: of one clip no CCC can be computed


def dimension_results(data: Measured, *, baseline: Sequence[DimensionResult] = (), num_resamples: int) -> tuple[DimensionResult, ...]:
    """Measure each dimension over the clips that have a rating in it; () where none are predicted, or no clip has one.

    Args:
      data: sums of the predictions of all folds and seeds; with `of_means`, the comparison with the mean rating of the training part.
      baseline: results of the classical baseline on the same folds.
      num_resamples: of each bootstrap over speakers.
    """
    own_baseline = {one.dimension: one.metrics for one in baseline}
    results = []
    for column, dimension in enumerate(data.dimensions):
        folds = _folds(data.own, column)
        if not folds:
            continue
        num_rated = int(data.clips.num_rated[column])
        results.append(
            DimensionResult(
                dimension=dimension,
                num_rated=num_rated,
                num_unrated=data.clips.num_clips - num_rated,
                metrics=_summaries(data.own, column, num_resamples),
                per_fold=folds,
                seed_ensemble=None if data.together is None else _summaries(data.together, column, num_resamples),
                baseline=own_baseline.get(dimension),
                training_mean=None if data.of_means is None else _summaries(data.of_means, column, num_resamples),
            )
        )
    return tuple(results)


def _summaries(tally: Tally, column: int, num_resamples: int) -> dict[str, MetricSummary]:
    """Measure one dimension over folds and seeds, and pooled with its interval over speakers."""
    sums = stack(tally.speakers, RATINGS)[:, column]
    found, folds = {}, _folds(tally, column)
    for metric in rating_metrics():
        of_folds = [one.metrics[metric.name] for one in folds]
        found[metric.name] = MetricSummary(
            mean_of_folds=float(np.mean(of_folds)),
            std_of_folds=float(np.std(of_folds, ddof=1)) if len(of_folds) > 1 else None,
            pooled=float(metric.value(sums.sum(axis=0))),
            ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale, num_resamples=num_resamples),
        )
    return found


def _folds(tally: Tally, column: int) -> tuple[DimensionFold, ...]:
    found = []
    for (seed, fold), own in tally.trials.items():
        sums = own[RATINGS][column]
        if sums[0] >= _LEAST_RATED:
            metrics = {metric.name: float(metric.value(sums)) for metric in rating_metrics()}
            found.append(DimensionFold(fold=fold, seed=seed, num_rated=int(sums[0]), metrics=metrics))
    return tuple(found)
