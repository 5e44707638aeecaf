from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.evaluation.metrics import war_from_confusion
from avemo_jax.evaluation.statistics import speaker_bootstrap


def accuracy_sums(right: list[int], total: int) -> np.ndarray:
    """Confusion matrices of speakers with `total` clips of class 0 each."""
    return np.array([[[count, total - count], [0, 0]] for count in right])


def test_speakers_that_are_alike_have_an_interval_of_no_width():
    assert speaker_bootstrap(accuracy_sums([7, 7, 7], 10), war_from_confusion) == (0.7, 0.7)


def test_one_speaker_has_no_interval():
    assert speaker_bootstrap(accuracy_sums([7], 10), war_from_confusion) is None


def test_two_speakers_all_right_and_all_wrong():
    # Draws of two: both wrong 1/4, one of each 1/2, both right 1/4. So the 95 % interval is everything.
    assert speaker_bootstrap(accuracy_sums([0, 10], 10), war_from_confusion) == (0.0, 1.0)


def test_width_follows_the_number_of_speakers_not_of_clips():
    right = np.random.default_rng(0).binomial(50, 0.6, 40)
    few = speaker_bootstrap(accuracy_sums(list(right), 50), war_from_confusion, num_resamples=4000)
    many = speaker_bootstrap(accuracy_sums(list(right * 100), 5000), war_from_confusion, num_resamples=4000)
    assert few == pytest.approx(many)
    # The bootstrap deviation of a mean of speakers is their deviation over the root of their number.
    assert (few[1] - few[0]) / (2 * 1.96) == pytest.approx(np.std(right / 50) / np.sqrt(40), rel=0.1)


def test_same_seed_same_interval():
    sums = accuracy_sums([2, 5, 9, 4, 7], 10)
    assert speaker_bootstrap(sums, war_from_confusion, seed=3) == speaker_bootstrap(sums, war_from_confusion, seed=3)
