"""Statistics that respect that clips of one speaker are no independent observations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def speaker_bootstrap(
    sums: np.ndarray,
    metric: Callable[[np.ndarray], np.ndarray],
    *,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval over speakers of a metric of sums.

    A resample draws as many speakers as there are, with replacement, each with all of its clips; so the metric of a resample is the metric
    of a weighted sum of what each speaker contributes, and no clip is touched twice.

    Args:
      sums: (number of speakers, ...), what each speaker adds: its confusion matrix (K, K), its calibration bins.
      metric: maps (num_resamples, ...) to (num_resamples,).
      level: share of resamples inside the interval.
      seed: of the draws.

    Returns:
      Lower and upper bound, or None where there are fewer than two speakers.

    Source: Field and Welsh 2007, Bootstrapping clustered data, section 3 (the cluster bootstrap); Efron and Tibshirani 1993, chapter 13.
    """
    num_speakers = len(sums)
    if num_speakers < 2:
        return None
    generator = np.random.default_rng(seed)
    times_drawn = generator.multinomial(num_speakers, np.full(num_speakers, 1 / num_speakers), size=num_resamples)
    values = metric(np.tensordot(times_drawn.astype(float), sums, axes=1))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
