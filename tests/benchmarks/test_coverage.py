"""The simulations at small size: what they draw is what they say, and they come out as docs/statistics.md has it."""

from __future__ import annotations

import numpy as np
import pytest

from avemo_jax.evaluation.metrics import calibration_bins, confusion, metric_named
from benchmarks.coverage import (
    CLIPS,
    EASE,
    LABEL,
    NUM_CLASSES,
    Population,
    bins_of,
    confusion_of,
    coverage,
    draw_predictions,
    false_positives,
)


def test_cohorts_average_to_the_expected_confusion():
    population = Population(0.7, 0.5)
    generator = np.random.default_rng(0)
    predicted, right, _ = draw_predictions(generator, population.log_odds(generator, 20_000))
    assert ((predicted == LABEL) == right).all()
    found = confusion_of(predicted).mean(0)
    np.testing.assert_array_equal(confusion_of(predicted).sum((1, 2)), CLIPS.sum())
    np.testing.assert_allclose(found, population.expected_confusion(), atol=0.05)


def test_expected_recall_by_hand():
    """Where a class is as often right as wrong, chance of any size leaves it so; and of very easy clips all are right."""
    assert Population(0.7, -EASE[2]).expected_confusion()[2, 2] / CLIPS[2] == pytest.approx(0.5)
    assert metric_named("uar").value(Population(0.0, 30.0).expected_confusion()) == pytest.approx(1.0)


def test_counts_are_those_of_the_product():
    generator = np.random.default_rng(1)
    predicted, right, confidence = draw_predictions(generator, Population(1.0).log_odds(generator, 3))
    np.testing.assert_array_equal(confusion_of(predicted)[1], confusion(LABEL, predicted[1], NUM_CLASSES))
    confidence = np.maximum(confidence, 0.126)  # an eighth would tie with the rest
    rest = (1 - confidence[1]) / (NUM_CLASSES - 1)
    probabilities = np.tile(rest[:, None], (1, NUM_CLASSES))
    probabilities[np.arange(len(rest)), predicted[1]] = confidence[1]
    np.testing.assert_allclose(bins_of(right, confidence)[1], calibration_bins(LABEL, probabilities))


def test_speakers_hold_the_truth_and_clips_do_not():
    found = coverage(Population(1.0), 24, 100, methods=("ours", "clip level"), seed=24)
    assert 0.90 <= found["uar", "ours"] <= 0.99
    assert found["uar", "clip level"] < 0.65


def test_few_speakers_need_more_than_percentiles():
    found = coverage(Population(0.5), 4, 150, metrics=("war",), methods=("ours", "percentile"), seed=4)
    assert found["war", "ours"] > 0.9 > 0.88 > found["war", "percentile"]


def test_mcnemar_over_clips_cries_wolf_where_speakers_differ():
    over_speakers, over_clips = false_positives(Population(1.0), 10, 100)
    assert over_speakers < 0.13 and over_clips > 0.25
