"""Probabilities of overlapping windows become one curve, a value a hop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avemo_jax.inference.attention_curve import attention_curve, downsampled
from avemo_jax.inference.predict import SegmentPrediction
from avemo_jax.inference.smoothing import smoothed


def window(start_s: float, end_s: float, share: float, **more) -> SegmentPrediction:
    return SegmentPrediction(start_s, end_s, np.array([share, 1 - share]), **more)


def test_each_hop_has_the_mean_of_the_windows_that_cover_it():
    spans = [(0, 3, 0.9, 1.0), (1, 4, 0.3, 3.0), (2, 4.7, 0.6, 2.0)]
    found = list(smoothed([window(*span, values={"arousal": arousal}) for *span, arousal in spans], 1.0))
    assert [(one.start_s, one.end_s) for one in found] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 4.7)]
    np.testing.assert_allclose([one.probabilities[0] for one in found], [0.9, 0.6, 0.6, 0.45, 0.6])
    assert [one.values["arousal"] for one in found] == pytest.approx([1, 2, 2, 2.5, 2])


def test_a_short_rest_belongs_to_the_last_hop_and_a_short_recording_is_one_hop():
    assert [(one.start_s, one.end_s) for one in smoothed([window(0, 3, 0.5), window(1, 3.2, 0.5)], 1.0)] == [(0, 1), (1, 2), (2, 3.2)]
    assert [(one.start_s, one.end_s) for one in smoothed([window(0, 0.3, 0.5)], 1.0)] == [(0, 0.3)]
    assert [(one.start_s, one.end_s) for one in smoothed([window(0, 0, 0.5)], 1.0)] == [(0, 0)]  # a picture
    assert list(smoothed([], 1.0)) == []


def test_windows_half_covered_by_a_hop_count_by_their_overlap():
    found = list(smoothed([window(0, 1.5, 1.0), window(1, 2.5, 0.0)], 1.0))
    np.testing.assert_allclose([one.probabilities[0] for one in found], [1.0, 1 / 3, 0.0], atol=1e-12)
    assert found[-1].end_s == 2.5


def test_silent_windows_do_not_count_and_the_nearest_window_says_what_is_absent():
    silent = window(1, 4, 0.0, absent={"audio": "silence"})
    found = list(smoothed([window(0, 3, 0.8), silent, window(2, 5, 0.6)], 1.0))
    np.testing.assert_allclose([one.probabilities[0] for one in found], [0.8, 0.8, 0.7, 0.6, 0.6])
    assert [one.nothing for one in found] == ["", "", "silence", "", ""]


def test_attention_of_a_hop_is_the_mean_of_its_windows():
    early, late = np.arange(20.0), np.full(20, 100.0)
    windows = [window(0, 2, 0.5, attention={"audio": early}), window(1, 3, 0.5, attention={"audio": late})]
    first, second, third = (one.attention["audio"] for one in smoothed(windows, 1.0))
    np.testing.assert_allclose(first, np.arange(10))
    np.testing.assert_allclose(second, (np.arange(10, 20) + 100) / 2)
    np.testing.assert_allclose(third, np.full(10, 100))


def test_tenths_of_a_second_without_a_step_lie_between_their_neighbours():
    curve = attention_curve(np.array([0.5, 0.25, 0.25]), np.array([10.05, 10.25, 10.29]), 10.0, 10.5)
    np.testing.assert_allclose(curve, [1.5, 1.125, 0.75, 0.75, 0.75], rtol=1e-6)
    assert attention_curve(np.ones(1), np.array([1.5]), 0.0, 3.0) == pytest.approx(np.ones(30))
    np.testing.assert_allclose(downsampled(np.arange(5.0), 2), [1, 3.5])


def test_no_window_is_held_longer_than_its_hops():
    windows = (window(n, n + 3, 0.5) for n in itertools.count())
    assert [one.start_s for one in itertools.islice(smoothed(windows, 1.0), 1000)] == list(range(1000))
    assert next(windows).start_s < 1010
