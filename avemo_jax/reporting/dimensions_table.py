"""The table of dimensions, such as valence and arousal: the system beside ridge regression and the mean of the training part."""

from __future__ import annotations

from collections.abc import Mapping

from avemo_jax.evaluation.metrics import rating_metrics
from avemo_jax.evaluation.results import DimensionResult, MetricSummary, RunResults
from avemo_jax.reporting.tables import Column, Table, text_column
from avemo_jax.text import format_interval, format_mean

RIDGE, TRAINING_MEAN = "ridge on functionals", "mean of training"
_DIGITS = 3


def dimensions_table(results: RunResults, ensemble_name: str) -> Table:
    """Return the table of all dimensions: for each system the mean of folds and the pooled value of every metric.

    Args:
      ensemble_name: name of the row of all seeds together.
    """
    rows = []
    for one in results.dimensions:
        for name, metrics in dimension_systems(results, one, ensemble_name):
            clips = f"{one.num_rated} of {one.num_rated + one.num_unrated}"
            values = [metrics[metric.name] for metric in rating_metrics()]
            rows.append([one.dimension, name, "mean of folds", clips, *map(_mean_of_folds, values)])
            rows.append([one.dimension, name, "pooled", clips, *map(_pooled, values)])
    columns = [*map(text_column, ("dimension", "system", "over")), Column("rated clips"), *(Column(one.title) for one in rating_metrics())]
    note = (
        "CCC in [-1, 1], RMSE in units of the scale; mean ± standard deviation over folds and seeds; pooled over all rated clips, with "
        "95 % intervals by bootstrap over speakers; clips without a rating are not measured"
    )
    return Table("dimensions", "Dimensions", columns, rows, note)


def dimension_systems(results: RunResults, one: DimensionResult, ensemble_name: str) -> list[tuple[str, Mapping[str, MetricSummary]]]:
    """Return name and metrics of the system, of its seeds together where there are several, and of what it is compared with."""
    found = [
        (results.system, one.metrics),
        (ensemble_name, one.seed_ensemble),
        (RIDGE, one.baseline),
        (TRAINING_MEAN, one.training_mean),
    ]
    return [(name, metrics) for name, metrics in found if metrics is not None]


def dimension_caveats(results: RunResults) -> list[str]:
    """Return a sentence for each dimension and metric in which the mean of the training part or ridge regression does as well."""
    found = []
    for one in results.dimensions:
        for name, metrics in ((TRAINING_MEAN, one.training_mean), (RIDGE, one.baseline)):
            if metrics is None:
                continue
            for metric in rating_metrics():
                own, rival = (of[metric.name].mean_of_folds for of in (one.metrics, metrics))
                if metric.score(own) <= metric.score(rival):
                    numbers = f"{_number(own)} against {_number(rival)}"
                    found.append(f"not better than {name} in {one.dimension}: {metric.title} {numbers}")
    return found


def _number(value: float) -> str:
    return f"{_rounded(value):.{_DIGITS}f}"


def _rounded(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # no "-0.000"


def _mean_of_folds(value: MetricSummary) -> str:
    return format_mean(_rounded(value.mean_of_folds), value.std_of_folds, factor=1, digits=_DIGITS)


def _pooled(value: MetricSummary) -> str:
    return format_interval(_rounded(value.pooled), value.ci95, factor=1, digits=_DIGITS)
