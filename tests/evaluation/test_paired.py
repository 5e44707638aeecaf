from __future__ import annotations

import numpy as np
import pytest
from made_counts import accuracy_sums
from scipy.stats import binom, ttest_rel
from scipy.stats import t as student_t

from avemo_jax.evaluation.metrics import war_from_confusion
from avemo_jax.evaluation.paired import corrected_resampled_t, holm, mcnemar_exact, paired_bootstrap


def right_where(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips that both have right, the first alone, the second alone, neither."""
    both, first, second, neither = counts
    return (
        np.repeat([True, True, False, False], [both, first, second, neither]),
        np.repeat([True, False, True, False], [both, first, second, neither]),
    )


def test_mcnemar_by_hand():
    # 8 clips differ, 1 and 7: twice the chance of at most 1 of 8 fair coins, 2 * (1 + 8) / 256.
    found = mcnemar_exact(*right_where(50, 1, 7, 20))
    assert (found.first_alone, found.second_alone) == (1, 7)
    assert found.p == pytest.approx(18 / 256)


@pytest.mark.parametrize(("counts", "p"), [((9, 0, 0, 3), 1.0), ((0, 5, 5, 0), 1.0), ((4, 0, 5, 0), 2 / 32), ((0, 30, 10, 0), None)])
def test_mcnemar_of_few_and_of_many(counts, p):
    p = 2 * binom.cdf(10, 40, 0.5) if p is None else p
    assert mcnemar_exact(*right_where(*counts)).p == pytest.approx(p)


def test_mcnemar_does_not_care_which_is_first():
    first, second = right_where(5, 2, 9, 1)
    assert mcnemar_exact(first, second).p == mcnemar_exact(second, first).p


def test_mcnemar_wants_the_same_clips():
    with pytest.raises(ValueError, match=r"got \(3,\) and \(2,\)"):
        mcnemar_exact(np.ones(3, bool), np.ones(2, bool))


def test_paired_bootstrap_agrees_with_the_paired_t_test_where_a_metric_is_a_mean():
    first, second = np.array([9, 7, 8, 5, 9, 6, 7, 8, 9, 4]), np.array([7, 7, 6, 5, 6, 6, 4, 8, 8, 5])
    found = paired_bootstrap(accuracy_sums(first, 10), accuracy_sums(second, 10), war_from_confusion, num_resamples=100_000)
    expected = ttest_rel(first / 10, second / 10)
    interval = expected.confidence_interval()
    assert found.difference == pytest.approx(0.1)
    # The bootstrap's deviation is that of n in place of n - 1 speakers, which `speaker_deviation` takes back.
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=2e-3)
    assert found.p == pytest.approx(expected.pvalue, abs=2e-3)


def test_pairing_sees_what_two_intervals_do_not():
    """Speakers differ much, systems little and always the same way."""
    first, second = [95, 60, 33, 80, 50, 20], [93, 57, 30, 79, 46, 18]
    found = paired_bootstrap(accuracy_sums(first, 100), accuracy_sums(second, 100), war_from_confusion)
    assert 0 < found.low < found.difference == pytest.approx(0.025) and found.p < 0.01


def test_a_system_does_not_differ_from_itself():
    sums = accuracy_sums([9, 3, 5], 10)
    found = paired_bootstrap(sums, sums, war_from_confusion)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_turning_a_pair_around_turns_the_sign():
    sums = accuracy_sums([9, 3, 5], 10), accuracy_sums([4, 4, 6], 10)
    one, other = paired_bootstrap(*sums, war_from_confusion), paired_bootstrap(*sums[::-1], war_from_confusion)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low)) and one.p == pytest.approx(
        other.p
    )


def test_one_speaker_has_a_difference_and_nothing_more():
    found = paired_bootstrap(accuracy_sums([9], 10), accuracy_sums([4], 10), war_from_confusion)
    assert found.difference == pytest.approx(0.5) and found.p is None and found.low is None


def test_corrected_t_by_hand():
    # Differences 1, 2, 3, 4, 5 points: mean 3, variance 2.5; five folds of a fifth: 1/5 + 1/4 in place of 1/5.
    values = np.array([1, 2, 3, 4, 5]) / 100
    found = corrected_resampled_t(values, num_train=80, num_test=20)
    deviation = np.sqrt((1 / 5 + 20 / 80) * 2.5) / 100
    assert found.difference == pytest.approx(0.03)
    assert found.p == pytest.approx(2 * student_t.sf(0.03 / deviation, 4))
    assert (found.low, found.high) == pytest.approx(
        (0.03 - student_t.ppf(0.975, 4) * deviation, 0.03 + student_t.ppf(0.975, 4) * deviation)
    )
    # The published example's factor: 15 resamples with a tenth tested is 1/15 + 1/9, 2.67 times the naive 1/15.
    assert found.p > ttest_rel(values, np.zeros(5)).pvalue


def test_corrected_t_of_one_fold_and_of_none():
    assert corrected_resampled_t([0.1], num_train=9, num_test=1).p is None
    with pytest.raises(ValueError, match="at least one fold"):
        corrected_resampled_t([], num_train=9, num_test=1)
    with pytest.raises(ValueError, match="parts with clips"):
        corrected_resampled_t([0.1, 0.2], num_train=0, num_test=1)


def test_folds_that_all_agree():
    assert corrected_resampled_t([0.0, 0.0], num_train=4, num_test=1).p == 1.0
    assert corrected_resampled_t([0.1, 0.1], num_train=4, num_test=1).p == 0.0


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04, and none is under the one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


def test_holm_counts_only_tests_that_could_be_done():
    assert holm([None, 0.01, None]) == [None, 0.01, None]
    assert holm([]) == [] and holm([None]) == [None]
