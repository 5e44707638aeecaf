from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compared_systems import NUM_CLIPS, entry, some_predictions
from scipy.stats import binom
from sklearn.metrics import cohen_kappa_score, recall_score

from avemo_jax.comparison.entries import Entry
from avemo_jax.comparison.pairs import compare_pair, compare_pairs, differing_clips
from avemo_jax.evaluation.paired import corrected_resampled_t


def predicting(name: str, predicted: np.ndarray, **options) -> Entry:
    """An entry with one-hot predictions of these classes."""
    one = entry(name, **options)
    return dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, probabilities=np.eye(4)[predicted]))


LABEL = np.arange(NUM_CLIPS) % 4
FIRST, SECOND = LABEL.copy(), LABEL.copy()
FIRST[:10] = (LABEL[:10] + 1) % 4  # ten wrong, all of the first speaker
SECOND[8:11] = (LABEL[8:11] + 1) % 4  # two of them wrong alike, one more


def by_rows(predicted: np.ndarray) -> np.ndarray:
    """In the order of rows of `some_predictions`, which are sorted by fold."""
    clips = some_predictions().clip
    return predicted[[int(clip.removeprefix("clip")) for clip in clips]]


def pair(**options):
    return compare_pair(predicting("a", by_rows(FIRST)), predicting("b", by_rows(SECOND)), num_resamples=200, **options)


def test_counts_by_hand():
    found = pair()
    assert (found["mcnemar"]["first_alone"], found["mcnemar"]["second_alone"]) == (1, 8)
    assert found["mcnemar"]["p"] == pytest.approx(2 * binom.cdf(1, 9, 0.5))
    assert (found["agreement"]["both_right"], found["agreement"]["neither_right"]) == (85, 2)
    assert found["agreement"]["share"] == pytest.approx(87 / 96)
    assert found["agreement"]["kappa"] == pytest.approx(cohen_kappa_score(FIRST, SECOND))
    assert found["war"]["difference"] == pytest.approx((86 - 93) / 96)
    assert found["uar"]["difference"] == pytest.approx(
        recall_score(LABEL, FIRST, average="macro") - recall_score(LABEL, SECOND, average="macro")
    )
    assert found["by_speaker"]["s0"] == {"num_clips": 16, "first_alone": 1, "second_alone": 8}
    assert found["by_speaker"]["s1"] == {"num_clips": 16, "first_alone": 0, "second_alone": 0}
    assert sum(one["second_alone"] for one in found["by_class"].values()) == 8


def test_over_folds_by_hand():
    folds = pair()["folds"]
    assert (folds["num_folds"], folds["num_test"], folds["num_train"], folds["num_train_is_known"]) == (3, 32, 64, False)
    # All that is wrong is of speaker 0, and so of fold 1.
    expected = corrected_resampled_t([-7 / 32, 0, 0], num_train=64, num_test=32)
    assert folds["war"]["difference"] == pytest.approx(expected.difference) and folds["war"]["p"] == pytest.approx(expected.p)


def test_training_clips_that_were_counted_are_used():
    counts = {"fold1": 40, "fold2": 50, "fold3": 60}
    entries = [
        dataclasses.replace(predicting(name, by_rows(predicted)), num_train=counts) for name, predicted in (("a", FIRST), ("b", SECOND))
    ]
    folds = compare_pair(*entries, num_resamples=50)["folds"]
    assert folds["num_train"] == 50 and folds["num_train_is_known"]


def test_seeds_are_averaged_within_a_fold():
    both = np.concatenate([by_rows(FIRST), by_rows(LABEL)])
    first, second = predicting("a", both, seeds=(0, 1)), predicting("b", by_rows(SECOND))
    found = compare_pair(first, second, num_resamples=50)
    assert found["folds"]["war"]["difference"] == pytest.approx(((86 + 96) / 2 - 93) / 96)
    assert found["war"]["difference"] == pytest.approx(((86 + 96) / 2 - 93) / 96)
    assert found["mcnemar"]["seeds"] == [0, 0] and found["mcnemar"]["second_alone"] == 8  # of one seed alone


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (dataclasses.replace(entry("b"), has_folds=False), "folds of b are not known"),
        (entry("b", num_folds=2), "they were not tested on the same folds"),
    ],
)
def test_other_folds_have_no_test(second, why):
    assert compare_pair(entry("a"), second, num_resamples=50)["folds"] == {"why_not": why}


def test_folds_of_other_names_are_the_same_folds():
    two = entry("b")
    renamed = dataclasses.replace(two.predictions, fold=np.char.replace(two.predictions.fold, "fold", "part"))
    assert "why_not" not in compare_pair(entry("a"), dataclasses.replace(two, predictions=renamed), num_resamples=50)["folds"]


def test_holm_is_over_pairs():
    found = compare_pairs([entry("a", 2.0), entry("b", 0.5, draw=1), entry("c", 0.5, draw=2)], num_resamples=200)
    assert [(one["first"], one["second"]) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    plain, adjusted = ([one["uar"][key] for one in found] for key in ("p", "p_holm"))
    assert adjusted[int(np.argmin(plain))] == pytest.approx(3 * min(plain)) and all(a >= p for a, p in zip(adjusted, plain, strict=True))
    assert compare_pairs([entry("a"), entry("b", draw=1)], num_resamples=50)[0]["mcnemar"]["p_holm"] is not None


def test_a_system_agrees_with_itself():
    found = compare_pair(entry("a"), dataclasses.replace(entry("a"), name="b"), num_resamples=50)
    assert found["agreement"]["kappa"] == 1 and found["mcnemar"]["p"] == 1 and found["uar"]["p"] == 1 and found["folds"]["uar"]["p"] == 1


def test_constant_systems_have_no_kappa():
    same = np.zeros(NUM_CLIPS, int)
    assert compare_pair(predicting("a", same), predicting("b", same), num_resamples=50)["agreement"]["kappa"] is None


def test_differing_clips_are_listed():
    header, rows = differing_clips([predicting("a", by_rows(FIRST)), predicting("b", by_rows(SECOND))])
    assert header == ["clip", "speaker", "label", "a", "b"]
    assert [row[0] for row in rows] == [f"clip{index:02}" for index in (*range(8), 10)]
    assert rows[0] == ["clip00", "s0", "neutral", "happy", "neutral"]
