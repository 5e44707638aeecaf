from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from avemo_jax.training.classical import fit_temperature
from avemo_jax.training.decisions import KERNEL_RATE
from avemo_jax.training.ridge import fit_ridge_classes, inner_folds, ridge_path

PARTS = {"train": np.arange(0, 60), "validation": np.arange(60, 90)}


def clouds(num_features: int, num_classes: int = 3, spread: float = 0.3, num_points: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Points around one corner for each class, on axes of very different units; the further axes hold noise."""
    generator = np.random.default_rng(0)
    label = np.arange(num_points) % num_classes
    points = spread * generator.normal(size=(num_points, num_features))
    points[np.arange(num_points), label] += 1
    return points * 10.0 ** (np.arange(num_features) % 4), label


def fitted(features, label, speaker=None, **arguments):
    speaker = np.arange(len(label)).astype(str) if speaker is None else speaker
    return fit_ridge_classes(features, label, speaker=speaker, **({**PARTS, "num_classes": 3, "kernel": "linear"} | arguments))


@pytest.mark.parametrize("num_features", [5, 200])  # fewer and more than clips
def test_decisions_are_those_of_ridge_regression_on_indicators(num_features):
    features, label = clouds(num_features)
    penalty = 0.01
    model = fitted(features, label, penalties=(penalty,))
    scaler = StandardScaler().fit(features[:60])
    train, rest = (np.clip(scaler.transform(part), -2, 2) for part in (features[:60], features[90:]))
    expected = Ridge(alpha=penalty * 60 * num_features).fit(train, np.eye(3)[label[:60]]).predict(rest)
    np.testing.assert_allclose(model.decide(features[90:]), expected, atol=1e-7)
    probabilities = model.probabilities(features[90:])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), expected.argmax(axis=1))


def test_the_strongest_of_equally_good_penalties_is_selected():
    model = fitted(*clouds(3, spread=0.02), penalties=(1e-4, 1e-2, 1.0))
    assert model.regularization == 1.0 and model.validation_metric == 1.0
    np.testing.assert_allclose(model.class_shares, 1 / 3)


def test_inner_folds_predict_every_training_clip_once_without_its_speaker():
    speaker = np.array([f"s{number // 12}" for number in range(108)] + [""] * 12)
    train = np.setdiff1d(np.arange(120), PARTS["validation"])
    folds = list(inner_folds(train, PARTS["validation"], speaker))
    assert len(folds) == 5
    for fitted_rows, held_out in folds:
        assert set(speaker[fitted_rows]).isdisjoint(speaker[held_out]) and "" not in speaker[fitted_rows]
    np.testing.assert_array_equal(np.sort(np.concatenate([held_out for _, held_out in folds])), train[speaker[train] != ""])


@pytest.mark.parametrize("name", ["OAF", ""])
def test_with_one_or_no_named_speaker_the_validation_part_selects(name):
    features, label = clouds(3)
    model = fitted(features, label, np.full(120, name), penalties=(1e-4, 10.0))
    changed = label.copy()
    changed[60:90] = (label[60:90] + 1) % 3  # no penalty is good, so the strongest is taken
    assert fitted(features, changed, np.full(120, name), penalties=(1e-4, 10.0)).validation_metric < 0.2 < model.validation_metric


def test_without_a_validation_part_the_temperature_is_that_of_unseen_speakers():
    features, label = clouds(5, spread=0.8)
    speaker, train = (np.arange(120) // 12).astype(str), np.arange(90)
    model = fitted(features, label, speaker, train=train, validation=train[:0], penalties=(0.01,))
    decisions, labels = [], []
    for rows, held_out in inner_folds(train, train[:0], speaker):
        _, decide = ridge_path(features[rows], label[rows], kernel="linear", widths=(5,), penalties=(0.01,))
        decisions.append(decide(features[held_out])[0])
        labels.append(label[held_out])
    decision, truth = np.concatenate(decisions), np.concatenate(labels)
    assert model.temperature == fit_temperature(decision, truth, np.arange(3))
    assert model.validation_metric == pytest.approx(np.mean([(decision.argmax(axis=1) == truth)[truth == k].mean() for k in range(3)]))


def test_a_class_of_one_speaker_does_not_spoil_the_temperature():
    features, label = clouds(5, spread=0.8)
    speaker = (np.arange(120) // 12).astype(str)
    label[:12] = 3  # the inner fold that holds speaker 0 out has no such class
    model = fitted(features, label, speaker, train=np.arange(90), validation=np.arange(0), num_classes=4)
    assert 0 < model.temperature < np.inf and model.probabilities(features[90:]).shape == (30, 4)


def test_the_fit_does_not_depend_on_the_test_part():
    features, label = clouds(5)
    before = fitted(features, label)
    changed = features.copy()
    changed[91:] *= 100
    after = fitted(changed, (label * (np.arange(120) < 90)))
    assert (before.regularization, before.temperature) == (after.regularization, after.temperature)
    np.testing.assert_array_equal(before.probabilities(features[90:91]), after.probabilities(features[90:91]))


def test_two_classes_of_four_and_a_feature_that_never_changes():
    features, label = clouds(5, num_classes=2, spread=0.05)
    features[:100, 4] = 7.0
    model = fitted(features, label * 2, num_classes=4)
    probabilities = model.probabilities(features[90:])
    assert (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_array_equal(probabilities.argmax(axis=1), label[90:] * 2)


def test_a_far_outlier_in_one_feature_does_not_decide():
    features, label = clouds(8, spread=0.1)
    model = fitted(features, label)
    before = model.probabilities(features[90:]).argmax(axis=1)
    features[90:, 7] = 1e9
    np.testing.assert_array_equal(model.probabilities(features[90:]).argmax(axis=1), before)


def test_unusable_features_and_parts_are_refused():
    features, label = clouds(5)
    with pytest.raises(ValueError, match="the train part is empty"):
        fitted(features, label, train=np.arange(0))
    with pytest.raises(ValueError, match=r"two named training speakers or a validation part.*select=validation"):
        fitted(features, label, np.full(120, "OAF"), validation=np.arange(0))
    with pytest.raises(ValueError, match="one class only"):
        fitted(features, np.zeros(120, dtype=int))


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_decisions_of_the_kernel_machine_are_those_of_kernel_ridge_regression(penalty):
    features, label = clouds(5)
    model = fitted(features, label, kernel="gaussian", penalties=(penalty,))
    scaler = StandardScaler().fit(features[:60])
    train, rest = (np.clip(scaler.transform(part), -2, 2) for part in (features[:60], features[90:]))
    target = np.eye(3)[label[:60]]
    reference = KernelRidge(alpha=penalty * 60, kernel="rbf", gamma=KERNEL_RATE / 5).fit(train, target - target.mean(axis=0))
    np.testing.assert_allclose(model.decide(features[90:]), reference.predict(rest) + target.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_a_stream_counts_as_much_however_many_features_it_has(kernel):
    features, label = clouds(7)
    once = fitted(features, label, kernel=kernel, widths=(3, 4), penalties=(0.01,))
    wide = np.concatenate([np.repeat(features[:, :3], 5, axis=1), features[:, 3:]], axis=1)
    again = fitted(wide, label, kernel=kernel, widths=(15, 4), penalties=(0.01,))
    np.testing.assert_allclose(again.decide(wide[90:]), once.decide(features[90:]), atol=1e-8)


@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_a_stream_that_a_clip_lacks_has_the_mean_of_the_training_part(kernel):
    features, label = clouds(5)
    lacking = features.copy()
    lacking[[3, 65, 100], 3:] = np.nan
    model = fitted(lacking, label, kernel=kernel, widths=(3, 2), penalties=(0.01,))
    mean = np.delete(features[:60, 3:], 3, axis=0).mean(axis=0)
    filled = np.concatenate([features[100, :3], mean])[None]
    np.testing.assert_allclose(model.decide(lacking[100:101]), model.decide(filled), atol=1e-9)
    lacking[3, 3] = 1.0
    with pytest.raises(ValueError, match="features of 1 clips are not finite"):
        fitted(lacking, label, kernel=kernel, widths=(3, 2))
