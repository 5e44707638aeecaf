from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from avemo_jax.evaluation.metrics import (
    LEAST_PROBABILITY,
    all_metrics,
    calibration_bins,
    confusion,
    ece_from_bins,
    f1_from_confusion,
    macro_f1_from_confusion,
    negative_log_likelihoods,
    per_class,
    recall_from_confusion,
    segment_share,
    squared_errors,
    uar_from_confusion,
    war_from_confusion,
    weighted_f1_from_confusion,
)
from avemo_jax.evaluation.predictions import aggregate_segments
from avemo_jax.inference.predict import SegmentPrediction, clip_probabilities
from avemo_jax.training.state import Recipe, StreamRecipe
from avemo_jax.training.steps import validation_metrics

# 4 clips of class 0 (3 right), 2 of class 1 (1 right), none of class 2 (predicted once).
COUNTS = np.array([[3, 0, 1], [1, 1, 0], [0, 0, 0]])


def test_confusion_counts_pairs():
    label, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 2, 0, 1])
    np.testing.assert_array_equal(confusion(label, predicted, 3), COUNTS)


@pytest.mark.parametrize("label", [[0, 3], [-1, 0]])
def test_confusion_refuses_unknown_classes(label):
    with pytest.raises(ValueError, match=r"expected label in 0\.\.2"):
        confusion(np.array(label), np.array([0, 0]), 3)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_metrics_by_hand_in_either_namespace(array):
    counts = array(COUNTS)
    assert float(war_from_confusion(counts)) == pytest.approx(4 / 6)
    assert float(uar_from_confusion(counts)) == pytest.approx((3 / 4 + 1 / 2) / 2)  # the class without clips does not count
    np.testing.assert_allclose(recall_from_confusion(counts), [0.75, 0.5, 0], rtol=1e-6)
    # F1: class 0 is 2*3/(4+4), class 1 is 2*1/(2+1), class 2 is 0.
    assert float(macro_f1_from_confusion(counts)) == pytest.approx((6 / 8 + 2 / 3 + 0) / 3)
    assert float(weighted_f1_from_confusion(counts)) == pytest.approx((6 / 8 * 4 + 2 / 3 * 2) / 6)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    "function", [war_from_confusion, uar_from_confusion, macro_f1_from_confusion, weighted_f1_from_confusion, recall_from_confusion]
)
def test_leading_axes_are_measured_one_by_one(function, array):
    stack = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 4))
    stack[0, 1, 2] = 0
    expected = [[function(matrix) for matrix in row] for row in stack]
    np.testing.assert_allclose(function(array(stack)), expected, rtol=1e-6)
    assert (np.asarray(function(array(np.zeros((2, 4, 4), dtype=int)))) == 0).all()


def test_agrees_with_scikit_learn():
    generator = np.random.default_rng(1)
    for num_classes in (2, 5, 8):
        label, predicted = generator.integers(0, num_classes, 60), generator.integers(0, num_classes, 60)
        label[label == 1] = 0  # a class that is only predicted
        counts = confusion(label, predicted, num_classes)
        assert macro_f1_from_confusion(counts) == pytest.approx(f1_score(label, predicted, average="macro", zero_division=0))
        assert weighted_f1_from_confusion(counts) == pytest.approx(f1_score(label, predicted, average="weighted", zero_division=0))
        assert uar_from_confusion(counts) == pytest.approx(
            np.mean([np.mean(predicted[label == index] == index) for index in np.unique(label)])
        )
        if num_classes == 2:
            continue  # one class is left
        predicted[predicted == 1] = 0
        assert uar_from_confusion(confusion(label, predicted, num_classes)) == pytest.approx(balanced_accuracy_score(label, predicted))


def test_calibration_error_by_hand():
    label = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.95, 0.05], [0.4, 0.6]])
    bins = calibration_bins(label, probabilities, num_bins=10)
    np.testing.assert_allclose(bins[9], [3, 2, 2.85])
    np.testing.assert_allclose(bins[5], [1, 1, 0.6])
    # Bin of 0.95: |2 - 2.85|; bin of 0.6: |1 - 0.6|; over 4 clips.
    assert ece_from_bins(bins) == pytest.approx((0.85 + 0.4) / 4)


def test_certain_and_right_is_calibrated():
    label = np.array([0, 1, 2])
    metrics = all_metrics(label, np.eye(3))
    assert metrics == {"war": 1.0, "uar": 1.0, "macro_f1": 1.0, "weighted_f1": 1.0, "ece": 0.0}


def test_per_class_by_hand():
    label, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 2, 0, 1])
    found = per_class(confusion(label, predicted, 4), ("calm", "happy", "sad", "angry"))
    assert list(found) == ["calm", "happy", "sad"]  # angry is neither a label nor predicted
    assert found["calm"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "num_clips": 4}
    assert found["happy"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "num_clips": 2}
    assert found["sad"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "num_clips": 0}
    counts = confusion(label, predicted, 4)
    np.testing.assert_allclose([one["recall"] for one in found.values()], recall_from_confusion(counts)[:3])
    np.testing.assert_allclose([one["f1"] for one in found.values()], f1_from_confusion(counts)[:3])


def test_brier_score_and_likelihood_by_hand():
    label = np.array([0, 1])
    probabilities = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    # 0.25 + 0.09 + 0.04, and the worst there is, 1 + 1.
    np.testing.assert_allclose(squared_errors(label, probabilities), [0.38, 2.0])
    np.testing.assert_allclose(negative_log_likelihoods(label, probabilities), [np.log(2), -np.log(LEAST_PROBABILITY)])
    generator = np.random.default_rng(0)
    label, probabilities = generator.integers(0, 5, 40), generator.dirichlet(np.ones(5), 40)
    assert negative_log_likelihoods(label, probabilities).mean() == pytest.approx(log_loss(label, probabilities, labels=range(5)))


# Clip 0: two votes for class 1 against one for class 0, though the mean predicts 0. Clip 1: a vote each for 0 and 2; the mean predicts 2.
# Clip 2: one segment that cannot tell 1 from 2, which votes for the first of them. Clip 3 has no segment.
SEGMENTS = np.array([[1.0, 0.0, 0.0], [0.4, 0.5, 0.1], [0.4, 0.5, 0.1], [0.5, 0.1, 0.4], [0.2, 0.1, 0.7], [0.2, 0.4, 0.4]])
CLIP = np.array([0, 0, 0, 1, 1, 2])


def test_votes_are_counted_and_ties_are_decided_by_the_mean():
    joined = aggregate_segments(CLIP, SEGMENTS, 4, rule="vote")
    np.testing.assert_array_equal(joined[:3].argmax(axis=1), [1, 2, 1])
    np.testing.assert_allclose(joined.sum(axis=1), 1)
    np.testing.assert_allclose(joined[0], [1 / 3, 2 / 3, 0], atol=1e-3)
    np.testing.assert_allclose(joined[1], [0.5, 0, 0.5], atol=1e-3)
    np.testing.assert_allclose(joined[3], 1 / 3)
    mean = aggregate_segments(CLIP, SEGMENTS, 4)
    np.testing.assert_array_equal(mean[:2].argmax(axis=1), [0, 2])
    np.testing.assert_allclose(mean[0], [0.6, 1 / 3, 0.2 / 3])


@pytest.mark.parametrize("rule", ["mean", "vote"])
def test_segments_are_combined_in_the_same_way_everywhere(rule):
    """In numpy where runs are evaluated, in JAX where epochs are chosen, and segment by segment where media is judged."""
    expected = aggregate_segments(CLIP, SEGMENTS, 3, rule=rule)
    np.testing.assert_allclose(segment_share(jnp.asarray(SEGMENTS), rule), segment_share(SEGMENTS, rule), atol=1e-6)
    for clip in range(3):
        segments = [SegmentPrediction(0.0, 1.0, one) for one in SEGMENTS[clip == CLIP]]
        np.testing.assert_allclose(clip_probabilities(segments, rule), expected[clip])
    settings = {"num_epochs": 1, "batch_size": 1, "optimizer": "sgd", "clip_norm": 1.0, "schedule": "constant", "warmup_epochs": 0}
    settings |= {"plateau_patience_epochs": 1, "plateau_factor": 0.5, "early_stop_patience_epochs": 0, "metric": "uar"}
    recipe = Recipe(num_classes=3, num_clips=3, segment_rule=rule, streams=(StreamRecipe(name="audio", key_index=0),), **settings)
    label = np.array([1, 2, 0])
    data = {"clip": jnp.asarray(CLIP), "label": jnp.asarray(label[CLIP])}
    padded = jnp.asarray([0, 1, 2, 3, 4, 5, 0, 0])  # what stands beyond the count has no vote
    found = validation_metrics(recipe, data, jnp.asarray(SEGMENTS)[padded], padded, jnp.int32(6))
    counts = confusion(label, expected.argmax(axis=1), 3)
    assert float(found["war"]) == pytest.approx(float(war_from_confusion(counts)))
    assert float(found["uar"]) == pytest.approx(float(uar_from_confusion(counts)))
    assert float(found["loss"]) == pytest.approx(-np.mean(np.log(expected[np.arange(3), label])), rel=1e-5)
