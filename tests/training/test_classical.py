from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from avemo_jax.training.classical import FittedClassifier, fit_svm


def clouds(num_classes: int = 3, spread: float = 0.3, num_points: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Points around the corners of a triangle, on axes of very different units."""
    generator = np.random.default_rng(0)
    label = np.arange(num_points) % num_classes
    corners = np.array([[0, 0], [1, 0], [0, 1]])[label]
    return (corners + spread * generator.normal(size=(num_points, 2))) * [1, 1000], label


PARTS = {"train": np.arange(0, 60), "validation": np.arange(60, 90)}


def fitted(features: np.ndarray, label: np.ndarray, test: slice = slice(90, None), **arguments) -> tuple[FittedClassifier, np.ndarray]:
    """Return an SVM and its probabilities of the test part."""
    svm = fit_svm(features, label, **({**PARTS, "num_classes": 3} | arguments))
    return svm, svm.probabilities(features[test])


def test_separable_classes_are_told_apart():
    features, label = clouds(spread=0.05)
    result, probabilities = fitted(features, label)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), label[90:])
    np.testing.assert_allclose(result.class_shares, 1 / 3)
    assert result.validation_metric == 1.0
    assert result.regularization == 0.3  # the smallest of equally good ones


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_decision_values_are_those_of_scikit_learn(num_classes):
    generator = np.random.default_rng(num_classes)
    label = np.arange(120) % num_classes
    features = generator.normal(size=(120, 4)) + label[:, None] * [0.5, 0, -0.5, 0.2]
    scaler = StandardScaler().fit(features[:60])
    svc = SVC(C=3.0, break_ties=True).fit(scaler.transform(features[:60]), label[:60])
    expected = svc.decision_function(scaler.transform(features[60:]))
    expected = np.stack([-expected, expected], axis=1) if num_classes == 2 else expected
    svm, _ = fitted(features, label, regularizations=(3.0,), num_classes=num_classes)
    np.testing.assert_allclose(svm.decide(features[60:]), expected, atol=1e-9)


def test_the_most_probable_class_is_the_prediction_of_the_svm():
    features, label = clouds()
    _, probabilities = fitted(features, label, regularizations=(1.0,))
    scaler = StandardScaler().fit(features[:60])
    own = SVC(C=1.0, break_ties=True).fit(scaler.transform(features[:60]), label[:60]).predict(scaler.transform(features[90:]))
    np.testing.assert_array_equal(probabilities.argmax(axis=1), own)


def test_two_classes_and_a_class_without_training_clips():
    features, label = clouds(num_classes=2, spread=0.05)
    _, probabilities = fitted(features, label * 2, num_classes=4)
    assert probabilities.shape == (30, 4)
    assert (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_array_equal(probabilities.argmax(axis=1), label[90:] * 2)


def test_the_fit_does_not_depend_on_features_and_labels_of_the_test_part():
    features, label = clouds()
    before, said_before = fitted(features, label)
    changed, shuffled = features.copy(), label.copy()
    changed[91:] *= 100
    shuffled[90:] = 0
    after, said_after = fitted(changed, shuffled)
    assert (before.regularization, before.temperature) == (after.regularization, after.temperature)
    np.testing.assert_array_equal(said_before[0], said_after[0])


def test_temperature_calibrates():
    features, label = clouds(spread=0.6, num_points=1500)
    _, probabilities = fitted(features, label, slice(900, None), train=np.arange(0, 300), validation=np.arange(300, 900))
    accuracy = (probabilities.argmax(axis=1) == label[900:]).mean()
    assert 0.5 < accuracy < 0.9
    assert probabilities.max(axis=1).mean() == pytest.approx(accuracy, abs=0.06)


def test_unusable_features_and_parts_are_refused():
    features, label = clouds()
    with pytest.raises(ValueError, match="the validation part is empty"):
        fitted(features, label, validation=np.array([], dtype=int))
    with pytest.raises(ValueError, match="one class only"):
        fitted(features, np.zeros(120, dtype=int))
    features[7, 0] = np.inf
    with pytest.raises(ValueError, match="1 clips are not finite, the first is row 7"):
        fitted(features, label)
