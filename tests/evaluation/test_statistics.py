from __future__ import annotations

import numpy as np
import pytest
from made_counts import accuracy_sums
from scipy.special import expit, logit
from scipy.stats import t as student_t

from avemo_jax.evaluation.metrics import ece_from_bins, war_from_confusion
from avemo_jax.evaluation.statistics import group_difference, speaker_bootstrap


def mean_of(sums: np.ndarray) -> np.ndarray:
    """Of sums (..., 2) of values and of clips."""
    return sums[..., 0] / sums[..., 1]


def test_speakers_that_are_alike_have_an_interval_of_no_width():
    assert speaker_bootstrap(accuracy_sums([7, 7, 7], 10), war_from_confusion) == (0.7, 0.7)
    assert speaker_bootstrap(accuracy_sums([10, 10, 10], 10), war_from_confusion) == (1.0, 1.0)


def test_one_speaker_has_no_interval():
    assert speaker_bootstrap(accuracy_sums([7], 10), war_from_confusion) is None


def test_two_speakers_by_hand():
    # Draws of two: the first twice 1/4, one of each 1/2, the second twice 1/4; so log-odds of 0.4, 0.5 and 0.6 with these weights have the
    # deviation sqrt(1/2) * logit(0.6). Drawing from two shrinks it by sqrt(1/2), and t of one degree is 12.7.
    low, high = speaker_bootstrap(accuracy_sums([40, 60], 100), war_from_confusion, num_resamples=200_000)
    reach = student_t.ppf(0.975, 1) * logit(0.6)
    assert (low, high) == pytest.approx((expit(-reach), expit(reach)), abs=2e-3)


def test_two_speakers_all_right_and_all_wrong_say_nothing():
    assert speaker_bootstrap(accuracy_sums([0, 10], 10), war_from_confusion) == pytest.approx((0.0, 1.0), abs=1e-6)


def test_many_speakers_have_the_interval_of_the_textbook():
    right = np.random.default_rng(0).binomial(50, 0.6, 200)
    low, high = speaker_bootstrap(accuracy_sums(list(right), 50), war_from_confusion, num_resamples=20_000)
    reach = 1.96 * np.std(right / 50) / np.sqrt(200)
    assert (low, high) == pytest.approx((right.mean() / 50 - reach, right.mean() / 50 + reach), abs=0.05 * reach)


def test_width_follows_the_number_of_speakers_not_of_clips():
    right = np.random.default_rng(0).binomial(50, 0.6, 40)
    few = speaker_bootstrap(accuracy_sums(list(right), 50), war_from_confusion, num_resamples=4000)
    many = speaker_bootstrap(accuracy_sums(list(right * 100), 5000), war_from_confusion, num_resamples=4000)
    assert few == pytest.approx(many)


def test_an_interval_near_the_end_stays_inside_and_leans_away_from_it():
    low, high = speaker_bootstrap(accuracy_sums([100, 99, 97, 100, 98, 92], 100), war_from_confusion)
    estimate = 586 / 600
    assert 0 < low < estimate < high < 1 and estimate - low > 2 * (high - estimate)


def test_a_positive_number_has_an_interval_above_zero():
    sums = np.array([[1.0, 10], [9.0, 10], [30.0, 10], [2.0, 10]])
    low, high = speaker_bootstrap(sums, mean_of, scale="positive")
    assert 0 < low < 1.05 < high
    doubled = speaker_bootstrap(sums * [2, 1], mean_of, scale="positive")
    assert doubled == pytest.approx((2 * low, 2 * high))  # a ratio is a ratio in any unit


def test_the_bias_of_a_calibration_error_is_taken_away():
    """Calibrated predictions: the calibration error of so few clips is due to chance alone."""
    generator = np.random.default_rng(3)
    bins = np.zeros((24, 15, 3))
    bins[..., 0] = 6
    bins[..., 1] = generator.binomial(6, np.linspace(0.3, 0.95, 15), (24, 15))
    bins[..., 2] = 6 * np.linspace(0.3, 0.95, 15)
    estimate = ece_from_bins(bins.sum(0))
    low, high = speaker_bootstrap(bins, ece_from_bins, scale="error")
    assert estimate > 0.01 and low < 0.005 and high == pytest.approx(estimate, abs=0.01)
    assert low < speaker_bootstrap(bins, ece_from_bins)[0]


def test_same_seed_same_interval():
    sums = accuracy_sums([2, 5, 9, 4, 7], 10)
    assert speaker_bootstrap(sums, war_from_confusion, seed=3) == speaker_bootstrap(sums, war_from_confusion, seed=3)
    assert speaker_bootstrap(sums, war_from_confusion, seed=3) != speaker_bootstrap(sums, war_from_confusion, seed=4)


def test_two_groups_by_welch():
    """Many speakers of equal clips: the bootstrap has the textbook's deviations, so Welch's test comes out as scipy has it."""
    from scipy.stats import ttest_ind

    first, second = np.array([9, 8, 9, 7, 8, 9, 10, 6, 9, 8]), np.array([5, 9, 4, 7, 8, 3, 6, 8])
    found = group_difference(accuracy_sums(first, 10), accuracy_sums(second, 10), war_from_confusion, num_resamples=100_000)
    expected = ttest_ind(first / 10, second / 10, equal_var=False)
    interval = expected.confidence_interval()
    assert found.difference == pytest.approx(0.83 - 0.625)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=3e-3)
    assert found.p == pytest.approx(expected.pvalue, abs=3e-3)


def test_a_group_of_one_speaker_has_a_difference_and_no_interval():
    found = group_difference(accuracy_sums([5], 10), accuracy_sums([3, 4], 10), war_from_confusion)
    assert found.difference == pytest.approx(0.15) and (found.low, found.high, found.p) == (None, None, None)


def test_groups_that_do_not_vary():
    same = group_difference(accuracy_sums([5, 5], 10), accuracy_sums([5, 5], 10), war_from_confusion)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    other = group_difference(accuracy_sums([5, 5], 10), accuracy_sums([4, 4], 10), war_from_confusion)
    assert other.low == other.high == pytest.approx(0.1) and other.p == 0.0
