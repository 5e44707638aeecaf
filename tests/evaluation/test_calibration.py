from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import softmax

from avemo_jax.evaluation.calibration import TEMPERATURES, apply_temperature, fit_temperature, reliability, scale_trial
from avemo_jax.evaluation.metrics import negative_log_likelihoods
from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.evaluation.results import ReliabilityBin


def test_temperature_by_hand():
    """Nine of ten are correct: the best temperature turns their confidence of 0.99 into 0.9."""
    label = np.array([0] * 9 + [1])
    probabilities = np.tile([0.99, 0.01], (10, 1))
    temperature = fit_temperature(label, probabilities)
    assert temperature == pytest.approx(np.log(99) / np.log(9), rel=1e-4)
    np.testing.assert_allclose(apply_temperature(probabilities, temperature), np.tile([0.9, 0.1], (10, 1)), atol=1e-5)


def test_temperature_comes_back():
    generator = np.random.default_rng(0)
    truth = softmax(2 * generator.normal(size=(20_000, 5)), axis=1)
    label = (generator.random(20_000)[:, None] > truth.cumsum(1)).sum(1)
    for wrong in (0.4, 1.0, 3.0):
        assert fit_temperature(label, apply_temperature(truth, 1 / wrong)) == pytest.approx(wrong, rel=0.04)


def test_temperature_changes_no_prediction_and_one_changes_nothing():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(6), 50)
    for temperature in (0.1, 0.9, 8.0):
        scaled = apply_temperature(probabilities, temperature)
        np.testing.assert_array_equal(scaled.argsort(1), probabilities.argsort(1))
        np.testing.assert_allclose(scaled.sum(1), 1)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities)


def test_certain_predictions_have_a_temperature_all_the_same():
    right, wrong = np.eye(3)[[0, 1, 2]], np.eye(3)[[1, 2, 0]]
    label = np.arange(3)
    assert TEMPERATURES[0] <= fit_temperature(label, right) < 1  # the likelihood no longer grows long before the end
    assert fit_temperature(label, wrong) == pytest.approx(TEMPERATURES[1], rel=0.01)
    assert np.isfinite(apply_temperature(wrong, 20.0)).all()


@pytest.mark.parametrize(("label", "shape"), [([], (0, 3)), ([0, 1], (3, 3)), ([0], (3,))])
def test_temperature_wants_labels_and_rows(label, shape):
    with pytest.raises(ValueError, match=r"expected label \(N,\) and probabilities"):
        fit_temperature(np.array(label, int), np.ones(shape))


def predictions(clips: str, fold: str, first_class: list[float], label: list[int], classes=("calm", "happy")) -> Predictions:
    """Rows of one fold whose first class has the given probability."""
    size = len(clips)
    return Predictions(
        clip=list(clips),
        speaker=["1"] * size,
        gender=["unknown"] * size,
        fold=[fold] * size,
        seed=[0] * size,
        label=label,
        probabilities=np.stack([first_class, 1 - np.array(first_class)], axis=1),
        classes=classes,
    )


def both(first: Predictions, second: Predictions) -> Predictions:
    names = [field.name for field in dataclasses.fields(Predictions) if field.name != "classes"]
    return Predictions(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}, classes=first.classes)


def test_each_trial_is_scaled_by_its_own_validation_part():
    tested = both(predictions("ab", "fold1", [0.8, 0.8], [0, 1]), predictions("cd", "fold2", [0.8, 0.8], [0, 1]))
    validated = both(
        predictions("cdefg", "fold1", [0.8] * 5, [0, 0, 0, 0, 1]),  # calibrated
        predictions("abefghijkl", "fold2", [0.8] * 10, [0] * 6 + [1] * 4),  # overconfident
    )
    parts = [scale_trial(tested.part(seed, fold), validated) for seed, fold in tested.trials]
    scaled, temperatures = np.concatenate([one for one, _ in parts]), [one for _, one in parts]
    assert [(one.fold, one.seed) for one in temperatures] == [("fold1", 0), ("fold2", 0)]
    assert temperatures[0].temperature == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(scaled[:, 0], [0.8, 0.8, 0.6, 0.6], atol=1e-4)


def test_the_test_part_cannot_fit_its_own_temperature():
    tested = predictions("ab", "fold1", [0.8, 0.8], [0, 1])
    with pytest.raises(ValueError, match="1 clips are in the validation and the test predictions, the first is b"):
        scale_trial(tested, predictions("bc", "fold1", [0.8, 0.8], [0, 1]))
    with pytest.raises(ValueError, match="no validation predictions of fold fold1, seed 0"):
        scale_trial(tested, predictions("cd", "fold2", [0.8, 0.8], [0, 1]))
    with pytest.raises(ValueError, match=r"classes \('a', 'b'\)"):
        scale_trial(tested, predictions("cd", "fold1", [0.8, 0.8], [0, 1], classes=("a", "b")))


def test_changing_test_labels_changes_no_temperature():
    validated = predictions("efg", "fold1", [0.9, 0.9, 0.9], [0, 0, 1])
    found = [scale_trial(predictions("ab", "fold1", [0.8, 0.6], label), validated) for label in ([0, 1], [1, 0])]
    assert found[0][1] == found[1][1]
    np.testing.assert_array_equal(found[0][0], found[1][0])


def test_reliability_by_hand():
    label = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.45, 0.55], [0.4, 0.6]])
    first, second = reliability(label, probabilities)
    # 0.55 and 0.6 lie in (0.5, 0.6]: one of two right; 0.95 and 0.92 in (0.9, 1]: both right.
    assert first == ReliabilityBin(low=0.5, high=0.6, num_clips=2, confidence=pytest.approx(0.575), accuracy=0.5)
    assert second == ReliabilityBin(low=0.9, high=1.0, num_clips=2, confidence=pytest.approx(0.935), accuracy=1.0)


def test_a_fitted_temperature_is_the_likeliest():
    generator = np.random.default_rng(4)
    probabilities, label = generator.dirichlet(np.full(4, 0.3), 60), generator.integers(0, 4, 60)
    best = fit_temperature(label, probabilities)
    losses = [negative_log_likelihoods(label, apply_temperature(probabilities, best * factor)).mean() for factor in (0.95, 1, 1.05)]
    assert losses[1] == min(losses)
