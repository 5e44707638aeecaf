"""Bootstrap intervals over speakers: clips of one speaker are not independent observations.

A resample draws speakers, each with all of its clips. Networks are not trained again, so an interval describes how the trained networks do
on other speakers of the same kind. docs/statistics.md states how often the intervals contain the true value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from scipy.special import expit, logit

from avemo_jax.evaluation.json_types import Constraint, Json

NUM_RESAMPLES = 2000
_MOST_DRAWS = 4_000_000  # speakers x resamples at a time, 64 MB
_LEVEL = 0.95  # nominal coverage of every interval
_LEAST = 1e-3  # distance from 0 and 1 that a share is clipped to before its log-odds are taken, and a positive number before its logarithm

MetricOfSums = Callable[[np.ndarray], np.ndarray]  # (..., *sums) -> (...)
Interval = Annotated[tuple[float, float], Constraint("interval", description="95 % interval by bootstrap over speakers: [low, high]")]


def _share_to_line(values: np.ndarray) -> np.ndarray:
    return logit(np.clip(values, _LEAST, 1 - _LEAST))


def _positive_to_line(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, _LEAST))


def _correlation_to_line(values: np.ndarray) -> np.ndarray:
    return np.arctanh(np.clip(values, _LEAST - 1, 1 - _LEAST))


# Range of a metric -> functions to an unbounded scale, on which intervals are symmetric, and back.
SCALES: dict[str, tuple[MetricOfSums, MetricOfSums]] = {
    "share": (_share_to_line, expit),  # in [0, 1]: WAR, UAR, F1
    "error": (np.asarray, lambda values: np.clip(values, 0, 1)),  # in [0, 1] and too large in small samples: ECE
    "positive": (_positive_to_line, np.exp),  # in [0, infinity): Brier score, negative log-likelihood
    "correlation": (_correlation_to_line, np.tanh),  # in [-1, 1]: CCC, by Fisher's transformation
    "difference": (np.asarray, np.asarray),  # has no ends
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """Metric of the first system or group minus that of the second, with its interval and test.

    `json_types.to_json` makes its JSON: {"difference", "ci95", "p"}.
    """

    difference: Annotated[float, Json("first minus second")]
    ci95: Annotated[Interval | None, Json("None where a deviation cannot be estimated")]
    p: Annotated[Annotated[float, Constraint("share", minimum=0, maximum=1)] | None, Json("two-sided, of no difference")]

    @property
    def low(self) -> float | None:
        """Lower bound of the interval."""
        return None if self.ci95 is None else self.ci95[0]

    @property
    def high(self) -> float | None:
        """Upper bound of the interval."""
        return None if self.ci95 is None else self.ci95[1]


def speaker_bootstrap(
    sums: np.ndarray,
    metric: MetricOfSums,
    *,
    scale: str = "share",
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Estimate a bootstrap interval over speakers of a metric of sums.

    A resample draws as many speakers as there are, with replacement, each with all of its clips; its metric is that of a weighted sum of
    the speakers' contributions. The interval is the metric plus and minus Student's t of G - 1 degrees of freedom (G speakers) times the
    deviation over resamples, widened by sqrt(G / (G - 1)), computed on the log-odds of the metric and transformed back. A sum of absolute
    values ("error") is biased upwards in resamples; their mean bias is subtracted first, on the metric's own scale.

    Args:
      sums: (G, ...), contribution of each speaker: its confusion matrix (K, K), its calibration bins.
      metric: maps (num_resamples, ...) to (num_resamples,).
      scale: range of the metric, one of SCALES.
      seed: of the draws.

    Returns:
      Lower and upper bound, or None where there are fewer than two speakers. The interval has no width where all resamples agree, as when
      all speakers are alike or the metric is at the end of its range.

    Source: Field and Welsh 2007, Bootstrapping clustered data, section 3 (the cluster bootstrap); Efron and Tibshirani 1993, chapters 12
    and 13; Hesterberg 2015, What teachers should know about the bootstrap, section 4 (narrowness of small samples, t for z).
    Differs: neither percentiles nor BCa, which contain the true value in 91 to 94 of 100 at 24 speakers, 85 to 89 at 8 and 76 to 81 at 4
    (`python -m benchmarks.coverage`): with few speakers no percentile of resamples is extreme enough.
    """
    num_speakers = len(sums)
    if num_speakers < 2:
        return None
    to_line, from_line = SCALES[scale]
    estimate = float(metric(sums.sum(axis=0, dtype=float)[None])[0])
    resamples = metric(resampled_sums(num_resamples, seed, sums)[0])
    if np.ptp(resamples) == 0:
        return estimate, estimate
    reach = _student_t().ppf((1 + _LEVEL) / 2, num_speakers - 1) * speaker_deviation(to_line(resamples), num_speakers)
    centre = to_line(np.asarray(estimate))
    if scale == "error":
        centre = centre - (resamples.mean() - estimate)
    low, high = float(from_line(centre - reach)), float(from_line(centre + reach))
    return min(low, estimate), max(high, estimate)


def draw_speakers(num_speakers: int, num_resamples: int, seed: int | np.random.Generator) -> np.ndarray:
    """Count how often each speaker is drawn in each resample: (num_resamples, num_speakers) float64, rows sum to num_speakers.

    A generator in place of a seed gives the draws that follow those before it.
    """
    drawn = np.random.default_rng(seed).integers(num_speakers, size=(num_resamples, num_speakers))
    drawn += num_speakers * np.arange(num_resamples)[:, None]  # one range of bins a resample
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def resampled_sums(num_resamples: int, seed: int, *sums: np.ndarray) -> list[np.ndarray]:
    """Return the sums of each resample, (num_resamples, ...), of each of the `sums` (G, ...) by the same draws.

    Draws are made for as many resamples at a time as fit _MOST_DRAWS, so that memory does not grow with resamples x speakers.
    """
    num_speakers = len(sums[0])
    size = max(_MOST_DRAWS // num_speakers, 1)
    generator, blocks = np.random.default_rng(seed), []
    for start in range(0, num_resamples, size):
        drawn = draw_speakers(num_speakers, min(size, num_resamples - start), generator)
        blocks.append([np.tensordot(drawn, one, axes=1) for one in sums])
    return [np.concatenate(one) for one in zip(*blocks, strict=True)]


def speaker_deviation(values: np.ndarray, num_speakers: int) -> float:
    """Return the standard deviation over resamples, corrected for drawing from G speakers in place of the population."""
    return float(np.std(values) * np.sqrt(num_speakers / (num_speakers - 1))) if np.ptp(values) else 0.0


def group_difference(
    first: np.ndarray,
    second: np.ndarray,
    metric: MetricOfSums,
    *,
    num_resamples: int = NUM_RESAMPLES,
) -> Difference:
    """Estimate the difference of a metric between two groups of speakers, which are resampled independently.

    Args:
      first, second: (G, ...) and (H, ...), contribution of each speaker to the sums.
      metric: maps (num_resamples, ...) to (num_resamples,).

    Returns:
      The difference with Welch's interval and p, deviations by bootstrap; interval and p are None where a group has fewer than two
      speakers.

    Source: as `speaker_bootstrap`; Welch 1947, The generalization of Student's problem when several population variances are involved.
    """
    groups = (np.asarray(first), np.asarray(second))
    values = [float(metric(group.sum(0, dtype=float)[None])[0]) for group in groups]
    difference = values[0] - values[1]
    if min(map(len, groups)) < 2:
        return Difference(difference, None, None)
    variances = [
        speaker_deviation(metric(resampled_sums(num_resamples, index, group)[0]), len(group)) ** 2 for index, group in enumerate(groups)
    ]
    total = sum(variances)
    shares = sum(variance**2 / (len(group) - 1) for variance, group in zip(variances, groups, strict=True))
    return by_student_t(difference, float(np.sqrt(total)), total**2 / shares if shares else 1.0)


def by_student_t(difference: float, deviation: float, degrees: float) -> Difference:
    """Return an estimate with its 95 % interval and two-sided p by Student's t."""
    if deviation == 0:  # all speakers or folds agree
        return Difference(difference, (difference, difference), 1.0 if difference == 0 else 0.0)
    reach = float(_student_t().ppf((1 + _LEVEL) / 2, degrees)) * deviation
    p = float(2 * _student_t().sf(abs(difference) / deviation, degrees))
    return Difference(difference, (difference - reach, difference + reach), p)


def _student_t() -> Any:
    """Import Student's t distribution; late, because scipy.stats is slow and only intervals need it."""
    from scipy.stats import t

    return t
