"""Measuring dimensions, such as valence and arousal: from `Predictions` to `DimensionResult`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avemo_jax.evaluation.metrics import rating_metrics, rating_sums
from avemo_jax.evaluation.predictions import Predictions, ensemble_of_seeds
from avemo_jax.evaluation.results import DimensionFold, DimensionResult, MetricSummary
from avemo_jax.evaluation.statistics import speaker_bootstrap

_LEAST_RATED = 2  # clips of a fold: of one clip no CCC can be computed


def dimension_results(
    predictions: Predictions,
    *,
    baseline: Sequence[DimensionResult] = (),
    train_means: Mapping[str, np.ndarray] | None = None,
    num_resamples: int,
) -> tuple[DimensionResult, ...]:
    """Measure each dimension over the clips that have a rating in it; () where none are predicted, or no clip has one.

    Args:
      predictions: of all folds and seeds.
      baseline: results of the classical baseline on the same folds.
      train_means: fold -> (D,), mean rating of its training part; None leaves out the comparison with it.
      num_resamples: of each bootstrap over speakers.
    """
    together, of_means = ensemble_of_seeds(predictions), None
    if train_means is not None:
        first = predictions.rows(predictions.seed == predictions.seed.min())
        of_means = dataclasses.replace(first, value=np.stack([train_means[fold] for fold in first.fold]))
    own_baseline = {one.dimension: one.metrics for one in baseline}
    results = []
    for column, dimension in enumerate(predictions.dimensions):
        folds = _folds(predictions, column)
        if not folds:
            continue
        is_rated = ~np.isnan(predictions.rating[:, column])
        num_rated = len(np.unique(predictions.clip[is_rated]))
        results.append(
            DimensionResult(
                dimension=dimension,
                num_rated=num_rated,
                num_unrated=len(np.unique(predictions.clip)) - num_rated,
                metrics=_summaries(predictions, column, num_resamples),
                per_fold=folds,
                seed_ensemble=None if together is None else _summaries(together, column, num_resamples),
                baseline=own_baseline.get(dimension),
                training_mean=None if of_means is None else _summaries(of_means, column, num_resamples),
            )
        )
    return tuple(results)


def _summaries(data: Predictions, column: int, num_resamples: int) -> dict[str, MetricSummary]:
    """Measure one dimension over folds and seeds, and pooled with its interval over speakers."""
    sums = np.stack([_sums(data, column, data.speaker == speaker) for speaker in np.unique(data.speaker)])
    found, folds = {}, _folds(data, column)
    for metric in rating_metrics():
        of_folds = [one.metrics[metric.name] for one in folds]
        found[metric.name] = MetricSummary(
            mean_of_folds=float(np.mean(of_folds)),
            std_of_folds=float(np.std(of_folds, ddof=1)) if len(of_folds) > 1 else None,
            pooled=float(metric.value(sums.sum(axis=0))),
            ci95=speaker_bootstrap(sums, metric.value, scale=metric.scale, num_resamples=num_resamples),
        )
    return found


def _folds(data: Predictions, column: int) -> tuple[DimensionFold, ...]:
    found = []
    for seed in np.unique(data.seed):
        for fold in np.unique(data.fold[data.seed == seed]):
            rows = (data.seed == seed) & (data.fold == fold)
            sums = _sums(data, column, rows)
            if sums[0] >= _LEAST_RATED:
                metrics = {metric.name: float(metric.value(sums)) for metric in rating_metrics()}
                found.append(DimensionFold(fold=str(fold), seed=int(seed), num_rated=int(sums[0]), metrics=metrics))
    return tuple(found)


def _sums(data: Predictions, column: int, rows: np.ndarray) -> np.ndarray:
    """Return what these rows add to the metrics of one dimension, (6,)."""
    rows = rows & ~np.isnan(data.rating[:, column])
    rating, value = data.rating[rows, column, None], data.value[rows, column, None]
    return rating_sums(rating, value, np.ones_like(rating))[0]
