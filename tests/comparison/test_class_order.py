from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compared_systems import CLASSES, some_predictions

from avemo_jax.comparison.class_order import check_order
from avemo_jax.evaluation.predictions import Predictions


def permuted(predictions: Predictions, order: list[int]) -> Predictions:
    """Column i is declared to be what it is not: class order[i] in truth."""
    return dataclasses.replace(predictions, probabilities=predictions.probabilities[:, order])


@pytest.mark.parametrize("skill", [0.3, 1.0, 3.0])
def test_the_right_order_is_left_alone(skill):
    assert check_order(some_predictions(skill)) is None


@pytest.mark.parametrize("order", [[1, 2, 3, 0], [3, 0, 1, 2], [1, 0, 3, 2]])
def test_a_permutation_of_all_is_found(order):
    right = some_predictions(2.0)
    finding = check_order(permuted(right, order))
    assert finding.is_at_chance
    assert finding.likely == tuple(CLASSES[index] for index in order)
    assert finding.accuracy_if_permuted == pytest.approx(np.mean(right.predicted == right.label))


def test_two_classes_exchanged_are_found_above_chance():
    finding = check_order(permuted(some_predictions(2.0), [0, 2, 1, 3]))
    assert not finding.is_at_chance and finding.is_sure  # two of four: half of the right ones are lost
    assert finding.likely == ("neutral", "sad", "happy", "angry")


def test_some_of_many_exchanged_is_not_sure():
    """Nine clips in ten of eight classes are right, but for two classes that are taken for one another."""
    generator = np.random.default_rng(0)
    label = np.arange(400) % 8
    predicted = np.where(generator.random(400) < 0.9, label, generator.integers(0, 8, 400))
    predicted = np.array([0, 1, 2, 3, 4, 5, 7, 6])[predicted]
    one = Predictions(
        clip=np.arange(400).astype(str),
        speaker=np.full(400, "a"),
        gender=np.full(400, "unknown"),
        fold=np.full(400, ""),
        seed=np.zeros(400, int),
        label=label,
        probabilities=np.eye(8)[predicted],
        classes=tuple("abcdefgh"),
    )
    finding = check_order(one)
    assert finding.likely == tuple("abcdefhg") and not finding.is_at_chance and not finding.is_sure


def test_guesses_are_no_permutation():
    """Some permutation of pure chance always looks a little better; it is not taken for one, at any number of clips."""
    for draw in range(40):
        assert check_order(some_predictions(0.0, draw=draw)) is None


def test_a_system_that_says_one_class_of_everything_is_no_permutation():
    one = some_predictions()
    for index in range(4):
        assert check_order(dataclasses.replace(one, probabilities=np.eye(4)[np.full(len(one.clip), index)])) is None


def test_labels_of_one_class_say_nothing_of_the_order():
    one = some_predictions()
    assert check_order(dataclasses.replace(one, label=np.zeros(len(one.clip), int))) is None


def test_the_sentence_names_the_order_in_that_of_the_columns():
    finding = check_order(permuted(some_predictions(2.0), [1, 2, 3, 0]))
    text = finding.sentence(("angry", "sad", "happy", "neutral"))
    assert "neutral is likely happy, happy is likely sad, sad is likely angry, angry is likely neutral" in text
    assert text.endswith("classes=neutral,angry,sad,happy")
