"""Paired tests of two systems on the same clips, or on the same folds, and Holm's correction where there are several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from avemo_jax.evaluation.statistics import NUM_RESAMPLES, Difference, MetricOfSums, by_student_t, resampled_sums, speaker_deviation


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Number of clips that only the first and only the second system predicts correctly, and the two-sided p-value."""

    first_alone: int
    second_alone: int
    p: float


def mcnemar_exact(first_right: np.ndarray, second_right: np.ndarray) -> McNemar:
    """Test exactly, by the binomial distribution, whether two systems have the same accuracy.

    The test assumes that clips are independent; where speakers differ in difficulty, use `paired_bootstrap`.

    Args:
      first_right, second_right: (N,) bool, the same clips in the same order.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated proportions; the exact form by statsmodels.
    """
    from statsmodels.stats.contingency_tables import mcnemar  # late: hosts with accelerators lack it

    first_right, second_right = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if first_right.shape != second_right.shape or first_right.ndim != 1:
        raise ValueError(f"expected two arrays (N,) over the same clips, got {first_right.shape} and {second_right.shape}")
    table = [[np.sum(first_right == second_right), np.sum(first_right & ~second_right)], [np.sum(~first_right & second_right), 0]]
    return McNemar(int(table[0][1]), int(table[1][0]), float(mcnemar(table, exact=True).pvalue))


def paired_bootstrap(
    first: np.ndarray,
    second: np.ndarray,
    metric: MetricOfSums,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Estimate the difference of a metric between two systems by resampling the same speakers for both.

    Args:
      first, second: (G, ...), contribution of each speaker to each system's sums, the same speakers in the same order.
      metric: maps (num_resamples, ...) to (num_resamples,).

    Returns:
      The difference plus and minus Student's t of G - 1 degrees of freedom times its deviation over resamples; `p` is of the same t, so
      the interval excludes zero where p < 0.05. Interval and p are None where there are fewer than two speakers.

    Source: as `statistics.speaker_bootstrap`; pairing as in Efron and Tibshirani 1993, section 8.5 (one draw, both statistics).
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise ValueError(f"expected the sums of the same speakers twice, got {first.shape} and {second.shape}")
    num_speakers = len(first)
    difference = float(metric(first.sum(0, dtype=float)[None])[0] - metric(second.sum(0, dtype=float)[None])[0])
    if num_speakers < 2:
        return Difference(difference, None, None)
    of_first, of_second = resampled_sums(num_resamples, seed, first, second)
    resamples = metric(of_first) - metric(of_second)
    return by_student_t(difference, speaker_deviation(resamples, num_speakers), num_speakers - 1)


def corrected_resampled_t(differences: Sequence[float] | np.ndarray, *, num_train: float, num_test: float) -> Difference:
    """Test the mean difference over folds with overlapping training parts: the variance is scaled by 1/n + num_test / num_train.

    Args:
      differences: (n,) of a metric, one a fold, on the same folds for both systems.
      num_train, num_test: clips of the training and the test part of a fold (their means where folds differ).

    Returns:
      The mean difference with its interval and p of Student's t of n - 1 degrees of freedom, which are None for one fold.

    Raises:
      ValueError: no fold, or a part without clips.

    Source: Nadeau and Bengio 2003, Inference for the generalization error, section 4 (corrected resampled t-test); for k-fold
    cross-validation as Bouckaert and Frank 2004, Evaluating the replicability of significance tests.
    """
    values = np.asarray(differences, dtype=float)
    if not len(values) or num_train <= 0 or num_test <= 0:
        raise ValueError(f"expected differences of at least one fold and parts with clips, got {len(values)}, {num_train} and {num_test}")
    if len(values) < 2:
        return Difference(float(values[0]), None, None)
    variance = (1 / len(values) + num_test / num_train) * values.var(ddof=1)
    return by_student_t(float(values.mean()), float(np.sqrt(variance)), len(values) - 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the p-values of a family of tests for their number; tests without a p-value stay None and do not count.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure; by statsmodels.
    """
    from statsmodels.stats.multitest import multipletests  # late: hosts with accelerators lack it

    known = [value for value in p_values if value is not None]
    adjusted = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if value is None else next(adjusted) for value in p_values]
