"""Late fusion: rules fitted on constructed cases, by hand and against scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from avemo_jax.evaluation import late_fusion
from avemo_jax.evaluation.late_fusion import Logistic, WeightedProduct, fit_rule, rule_from_json, score_of


def noisy_probabilities(label: np.ndarray, num_classes: int, noise: float, seed: int) -> np.ndarray:
    """Probabilities of a system: the softmax of the label and Gaussian noise."""
    logits = np.eye(num_classes)[label] + noise * np.random.default_rng(seed).normal(size=(len(label), num_classes))
    return softmax(2 * logits, axis=1)


LABEL = np.arange(90) % 3
GOOD, POOR = noisy_probabilities(LABEL, 3, 0.4, 0), noisy_probabilities(LABEL, 3, 1.5, 1)
NOISE = softmax(3 * np.random.default_rng(2).normal(size=(90, 3)), axis=1)


def test_a_weighted_product_by_hand():
    audio, video = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), np.array([[0.2, 0.6, 0.2], [0.4, 0.4, 0.2]])
    products = audio**0.25 * video**0.75
    joined = WeightedProduct((0.25, 0.75)).join([audio, video])
    np.testing.assert_allclose(joined, products / products.sum(axis=1, keepdims=True), rtol=1e-12)
    # a certain system does not make the other unheard: a probability of 0 counts as 1e-7
    assert WeightedProduct((0.5, 0.5)).join([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])]).tolist() == [[0.5, 0.5]]


def test_the_better_system_gets_the_larger_weight():
    rule = fit_rule("weighted_product", LABEL, [NOISE, np.eye(3)[LABEL] * 0.5 + 0.2])
    assert isinstance(rule, WeightedProduct)
    assert rule.weights[1] > 0.5 and sum(rule.weights) == pytest.approx(1)
    assert score_of(LABEL, rule.join([NOISE, np.eye(3)[LABEL] * 0.5 + 0.2]), "uar") == 1


def test_weights_are_the_best_of_all_twentieths():
    rule = fit_rule("weighted_product", LABEL, [GOOD, POOR], metric="loss")
    losses = {w: score_of(LABEL, WeightedProduct((w / 20, 1 - w / 20)).join([GOOD, POOR]), "loss") for w in range(21)}
    best = max(losses, key=losses.__getitem__)
    assert rule.weights == (best / 20, (20 - best) / 20) and best > 10
    assert len(set(losses.values())) == 21


def test_of_equally_good_weights_the_most_even_are_taken():
    certain = np.eye(3)[LABEL] * 0.9 + 0.1 / 3
    assert fit_rule("weighted_product", LABEL, [certain, certain]).weights == (0.5, 0.5)
    three = fit_rule("weighted_product", LABEL, [certain] * 3).weights
    assert sorted(three) == [0.3, 0.35, 0.35]
    # two wrong systems that disagree with the third: weights of the third must reach over a half
    wrong = np.eye(3)[(LABEL + 1) % 3] * 0.5 + 0.5 / 3
    assert score_of(LABEL, fit_rule("weighted_product", LABEL, [wrong, certain, wrong]).join([wrong, certain, wrong]), "uar") == 1


def features(*probabilities: np.ndarray) -> np.ndarray:
    """Log-probabilities less their mean over the classes, in units of their deviation in the clips of the first argument."""
    logs = [np.log(np.maximum(one, 1e-7)) for one in probabilities]
    return np.concatenate([one - one.mean(axis=1, keepdims=True) for one in logs], axis=1)


def reference(label: np.ndarray, fitted: list[np.ndarray], unseen: list[np.ndarray], strength: float) -> np.ndarray:
    """Probabilities of scikit-learn's regression on standardised features, each system by one deviation."""
    values, num_classes = features(*fitted), fitted[0].shape[1]
    mean = values.mean(axis=0)
    deviation = np.repeat([np.sqrt(np.square(part).mean()) for part in np.split(values - mean, len(fitted), axis=1)], num_classes)
    model = LogisticRegression(C=strength, max_iter=1000).fit((values - mean) / deviation, label)
    return model.predict_proba((features(*unseen) - mean) / deviation)


@pytest.fixture
def one_strength(monkeypatch) -> float:
    monkeypatch.setattr(late_fusion, "_STRENGTHS", (0.1,))
    return 0.1


@pytest.mark.parametrize("num_classes", [2, 3])
def test_logistic_is_scikit_learns(num_classes, one_strength):
    label = np.arange(80) % num_classes
    probabilities = [noisy_probabilities(label, num_classes, noise, seed) for seed, noise in enumerate((0.8, 1.2))]
    rule = fit_rule("logistic", label, probabilities)
    unseen = [noisy_probabilities(label[::-1], num_classes, 1.0, seed) for seed in (7, 8)]
    np.testing.assert_allclose(rule.join(unseen), reference(label, probabilities, unseen, one_strength), atol=1e-9)
    assert isinstance(rule, Logistic) and rule.coefficients.shape == (num_classes, 2 * num_classes)


@pytest.mark.parametrize("absent", [0, 2])
def test_an_absent_class_is_never_predicted(absent, one_strength):
    """Of three classes one is missing: two are left, for which scikit-learn keeps one row."""
    rows = absent != LABEL
    rule = fit_rule("logistic", LABEL[rows], [GOOD[rows], POOR[rows]])
    joined = rule.join([GOOD, POOR])
    np.testing.assert_array_equal(joined[:, absent], 0)
    np.testing.assert_allclose(joined.sum(axis=1), 1)
    kept = [index for index in range(3) if index != absent]
    expected = reference(LABEL[rows], [GOOD[rows], POOR[rows]], [GOOD, POOR], one_strength)
    np.testing.assert_allclose(joined[:, kept], expected, atol=1e-9)
    four = np.arange(80) % 4
    probabilities = [noisy_probabilities(four, 4, noise, seed) for seed, noise in enumerate((0.8, 1.2))]
    present = four != 1
    three = fit_rule("logistic", four[present], [one[present] for one in probabilities]).join(probabilities)
    assert not three[:, 1].any() and (three[:, [0, 2, 3]] > 0).all()


def test_the_penalty_is_chosen_on_clips_of_other_speakers(recwarn):
    """Each speaker's probabilities are shifted towards one class. Only held-out speakers show that the shift must not be learnt."""
    generator = np.random.default_rng(5)
    label, speaker = np.tile(np.arange(3), 60), np.repeat([f"s{index}" for index in range(6)], 30)
    strong = [noisy_probabilities(label, 3, 0.3, 11), noisy_probabilities(label, 3, 0.3, 12)]
    weak = [softmax(generator.normal(size=(180, 3)), axis=1) for _ in range(2)]
    for fitted, held_out in late_fusion._inner_folds(speaker):
        assert len(fitted) + len(held_out) == 180 and not set(speaker[fitted]) & set(speaker[held_out])

    def size(probabilities):
        return np.abs(fit_rule("logistic", label, probabilities, speaker=speaker).coefficients).max()

    assert size(weak) < 0.05 < size(strong)  # where nothing can be learnt, the strongest penalty of all
    assert not recwarn.list  # each regression has converged


def test_without_two_named_speakers_inner_folds_are_drawn_by_clip():
    folds = late_fusion._inner_folds(np.full(12, ""))
    assert sorted(np.concatenate([held_out for _, held_out in folds]).tolist()) == list(range(12)) and len(folds) == 5


def test_a_single_class_is_always_predicted():
    joined = fit_rule("logistic", np.full(5, 1), [GOOD[:5], POOR[:5]]).join([GOOD, POOR])
    np.testing.assert_array_equal(joined, np.eye(3)[np.full(90, 1)])


@pytest.mark.parametrize("name", ["weighted_product", "logistic"])
def test_a_rule_survives_json(name):
    rows = LABEL != 1  # so that one intercept is not finite
    rule = fit_rule(name, LABEL[rows], [GOOD[rows], POOR[rows]])
    content = json.loads(json.dumps(rule.to_json(), allow_nan=False))
    again = rule_from_json(content)
    np.testing.assert_array_equal(again.join([GOOD, POOR]), rule.join([GOOD, POOR]))
    assert again.to_json() == rule.to_json() and content["rule"] == name


@pytest.mark.parametrize("rule", ["weighted_product", "logistic"])
def test_the_order_of_clips_does_not_matter(rule):
    order = np.random.default_rng(3).permutation(90)
    joined = [fit_rule(rule, LABEL[rows], [GOOD[rows], POOR[rows]]).join([GOOD, POOR]) for rows in (np.arange(90), order)]
    np.testing.assert_allclose(*joined, atol=1e-4)


def test_scores_by_hand():
    label, probabilities = np.array([0, 0, 1]), np.array([[0.8, 0.2], [0.4, 0.6], [0.25, 0.75]])
    assert score_of(label, probabilities, "war") == pytest.approx(2 / 3)
    assert score_of(label, probabilities, "uar") == pytest.approx(3 / 4)
    assert score_of(label, probabilities, "loss") == pytest.approx(np.log(0.8 * 0.4 * 0.75) / 3)


def test_what_cannot_be_joined_says_why():
    with pytest.raises(ValueError, match=r"a rule of late fusion among .*'logistic'.*, got 'mean'"):
        fit_rule("mean", LABEL, [GOOD, POOR])
    for label, probabilities in ((LABEL, [GOOD]), (LABEL[:5], [GOOD, POOR]), (LABEL[:0], [GOOD[:0]] * 2), (LABEL, [GOOD, POOR[:, :2]])):
        with pytest.raises(ValueError, match=r"probabilities \(N, K\) of two systems or more"):
            fit_rule("logistic", label, probabilities)
