"""The simulations at small size: they draw from the stated distributions and agree with docs/statistics.md."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.evaluation.metrics import calibration_bins, confusion, metric_named
from benchmarks.coverage import CLIPS, EASE, LABEL, NUM_CLASSES, Population, bins_of, confusion_of, coverage, false_positives, predict


def test_cohorts_average_to_the_expected_confusion():
    population = Population(0.7, 0.5)
    generator = np.random.default_rng(0)
    predicted, right, _ = predict(generator, population.log_odds(generator, 20_000))
    assert ((predicted == LABEL) == right).all()
    found = confusion_of(predicted).mean(0)
    np.testing.assert_array_equal(confusion_of(predicted).sum((1, 2)), CLIPS.sum())
    np.testing.assert_allclose(found, population.expected_confusion(), atol=0.05)


def test_expected_recall_by_hand():
    """The recall of a class with log-odds 0 is 1/2, whatever the deviation of the skill; of very easy clips it is 1."""
    assert Population(0.7, -EASE[2]).expected_confusion()[2, 2] / CLIPS[2] == pytest.approx(0.5)
    assert metric_named("uar").value(Population(0.0, 30.0).expected_confusion()) == pytest.approx(1.0)


def test_counts_equal_those_of_the_evaluation():
    generator = np.random.default_rng(1)
    predicted, right, confidence = predict(generator, Population(1.0).log_odds(generator, 3))
    np.testing.assert_array_equal(confusion_of(predicted)[1], confusion(LABEL, predicted[1], NUM_CLASSES))
    confidence = np.maximum(confidence, 0.126)  # a confidence of an eighth would tie with the other classes
    rest = (1 - confidence[1]) / (NUM_CLASSES - 1)
    probabilities = np.tile(rest[:, None], (1, NUM_CLASSES))
    probabilities[np.arange(len(rest)), predicted[1]] = confidence[1]
    np.testing.assert_allclose(bins_of(right, confidence)[1], calibration_bins(LABEL, probabilities))


def test_intervals_over_speakers_have_their_coverage_and_those_over_clips_do_not():
    found = coverage(Population(1.0), 24, 100, methods=("ours", "clip level"), seed=24)
    assert 0.90 <= found["uar", "ours"] <= 0.99
    assert found["uar", "clip level"] < 0.65


def test_few_speakers_need_more_than_percentiles():
    found = coverage(Population(0.5), 4, 150, metrics=("war",), methods=("ours", "percentile"), seed=4)
    assert found["war", "ours"] > 0.9 > 0.88 > found["war", "percentile"]


def test_mcnemar_over_clips_has_false_positives_where_speakers_differ():
    over_speakers, over_clips = false_positives(Population(1.0), 10, 100)
    assert over_speakers < 0.13 and over_clips > 0.25
