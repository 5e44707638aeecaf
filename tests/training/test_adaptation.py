"""Adaptation of ridge regression to a speaker equals a fit on the training part and his labelled clips together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from avemo_jax.training.adaptation import SpeakerModel, best_weight, probability_covariance, residual_covariance
from avemo_jax.training.decisions import GaussianDecision, gaussian_kernel
from avemo_jax.training.ridge import ridge_path

PENALTY, WEIGHT, LABELLED = 0.02, 7.0, np.array([0, 3, 4, 9])


def made(num_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features and labels of 60 training clips, and of 12 clips of a speaker who is shifted."""
    rng = np.random.default_rng(1)
    label = rng.integers(3, size=72)
    features = rng.normal(size=(72, num_features))
    features[np.arange(72), label] += 2
    features[60:] += 1.5
    return features[:60], label[:60], features[60:], label[60:]


@pytest.mark.parametrize(("kernel", "num_features"), [("linear", 5), ("linear", 100), ("gaussian", 6)])
def test_adapted_decisions_are_those_of_a_weighted_fit_on_all_clips(kernel, num_features):
    train, label, own, own_label = made(num_features)
    _, decide = ridge_path(train, label, kernel=kernel, widths=(num_features,), penalties=[PENALTY])
    decide = dataclasses.replace(decide, weights=decide.weights[0])
    noise = PENALTY * len(train)
    model = SpeakerModel(np.arange(12), decide(own), residual_covariance(decide, train, own, noise), noise)
    found = model.adapted(LABELLED, np.eye(3)[own_label[LABELLED]], WEIGHT)

    target = np.concatenate([np.eye(3)[label], np.eye(3)[own_label[LABELLED]]]) - decide.share
    weight = np.concatenate([np.ones(60), np.full(4, WEIGHT)])
    if isinstance(decide, GaussianDecision):
        old, new = decide.rows.astype(float), decide.standard(own)
        every = np.concatenate([old, new[LABELLED]])
        kernel_of_all = gaussian_kernel(every, every)
        dual = np.linalg.solve(kernel_of_all + noise * np.diag(1 / weight), target)
        expected = gaussian_kernel(new, every) @ dual + decide.share
    else:
        every, new = (decide.standard(one) - decide.centre for one in (np.concatenate([train, own[LABELLED]]), own))
        expected = Ridge(alpha=noise, fit_intercept=False).fit(every, target, sample_weight=weight).predict(new) + decide.share
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - decide(own)).max() > 0.05
    # Without weight or labelled clips the machine stays as it is.
    np.testing.assert_array_equal(model.adapted(LABELLED, np.eye(3)[own_label[LABELLED]], 0.0), decide(own))
    np.testing.assert_array_equal(model.adapted(np.array([], int), np.zeros((0, 3)), WEIGHT), decide(own))


def test_clips_with_disjoint_probabilities_say_nothing_of_each_other():
    covariance = probability_covariance(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
    np.testing.assert_allclose(covariance, [[1, 0, 0.5**0.5], [0, 1, 0.5**0.5], [0.5**0.5, 0.5**0.5, 1]])


def test_the_smallest_of_equally_good_weights_is_chosen():
    assert best_weight([0.5, 0.7, 0.7, 0.6], (0.0, 1.0, 3.0, 10.0)) == 1.0
