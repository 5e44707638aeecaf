from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compared_systems import NUM_CLIPS, entry

from avemo_jax.comparison.fusing import fuse, make_meta_folds
from avemo_jax.comparison.pairs import by_clip


def war(predictions) -> float:
    return float(np.mean(predictions.predicted == predictions.label))


def test_rules_without_anything_to_fit_by_hand():
    first, second = entry("a"), entry("b", draw=1)
    found = {fusion.rule: fusion.entry.predictions.probabilities for fusion in fuse([first, second], None)}
    assert set(found) == {"mean", "product"}
    one, other = (by_clip(member.predictions).probabilities for member in (first, second))
    np.testing.assert_allclose(found["mean"], (one + other) / 2, atol=1e-6)
    product = np.sqrt(np.maximum(one, 1e-7) * np.maximum(other, 1e-7))
    np.testing.assert_allclose(found["product"], product / product.sum(1, keepdims=True), atol=1e-5)


def test_fusions_use_what_both_know():
    entries = [entry("a", 1.2), entry("b", 1.2, draw=1)]
    for fusion in fuse(entries, make_meta_folds(entries)):
        assert war(fusion.entry.predictions) > max(war(one.predictions) for one in entries)
        assert fusion.members == ("a", "b") and not fusion.entry.has_folds


def test_meta_folds_are_the_folds_where_these_share_no_speaker():
    meta = make_meta_folds([entry("a"), entry("b")])
    assert meta.speakers == (("s0", "s3"), ("s1", "s4"), ("s2", "s5"))
    assert "the 3 folds that a was tested on" in meta.note


def test_meta_folds_are_drawn_by_speaker_where_folds_share_speakers():
    one = entry("a")
    mixed = dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, fold=[f"fold{row % 4}" for row in range(NUM_CLIPS)]))
    meta = make_meta_folds([mixed, one])
    assert "by speaker" in meta.note and sorted(name for part in meta.speakers for name in part) == [f"s{index}" for index in range(6)]
    speaker = by_clip(one.predictions).speaker
    for index, names in enumerate(meta.speakers):
        assert set(speaker[meta.part == index]) == set(names)


def test_one_speaker_has_no_meta_folds():
    one = entry("a")
    alone = dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, speaker=np.full(NUM_CLIPS, "s0")))
    assert make_meta_folds([alone]) is None


def test_what_is_fitted_for_a_clip_has_not_seen_it():
    """Other labels in one meta fold do not change its predictions: its own labels are never fitted on."""
    entries = [entry("a"), entry("b", draw=1)]
    meta = make_meta_folds(entries)
    rows = meta.part[np.argsort(np.argsort(entries[0].predictions.clip))] == 1

    def relabelled(one):
        label = np.where(rows, (one.predictions.label + 1) % 4, one.predictions.label)
        return dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, label=label))

    plain, other = fuse(entries, meta), fuse([relabelled(one) for one in entries], meta)
    own = meta.part == 1
    changes = 0
    for before, after in zip(plain, other, strict=True):
        probabilities = [by_clip(one.entry.predictions).probabilities for one in (before, after)]
        np.testing.assert_array_equal(probabilities[0][own], probabilities[1][own])
        changes += not np.array_equal(probabilities[0][~own], probabilities[1][~own])
    assert changes  # while the other parts do learn from them


def test_stacking_finds_nothing_where_there_is_nothing():
    """Labels drawn anew: out of fold, chance is all that is left. (Fitted on the clips it predicts, stacking would be far above.)"""
    scores = []
    for draw in range(6):
        label = np.random.default_rng(100 + draw).integers(0, 4, NUM_CLIPS)
        entries = [entry("a", draw=draw), entry("b", draw=50 + draw)]
        entries = [dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, label=label)) for one in entries]
        scores.append(war(fuse(entries, make_meta_folds(entries))[-1].entry.predictions))
    assert abs(np.mean(scores) - 0.25) < 0.06


def test_seeds_are_joined_one_by_one():
    entries = [entry("a", seeds=(0, 1)), entry("b", seeds=(0, 1), draw=1)]
    mean = fuse(entries, None)[0].entry.predictions
    assert len(mean.clip) == 2 * NUM_CLIPS
    for seed in (0, 1):
        expected = np.mean([by_clip(one.of_seed(seed)).probabilities for one in entries], axis=0)
        np.testing.assert_allclose(by_clip(mean.rows(mean.seed == seed)).probabilities, expected, atol=1e-6)
    other = fuse([entries[0], entry("b", draw=1)], None)[0].entry.predictions
    assert len(other.clip) == NUM_CLIPS  # seeds that differ: the lowest of each


def test_weights_are_stated_meta_fold_by_meta_fold():
    entries = [entry("a", 2.0), entry("b", 0.0, draw=1)]
    weighted = next(fusion for fusion in fuse(entries, make_meta_folds(entries)) if fusion.rule == "weighted_product")
    assert [(one["round"], one["meta_fold"]) for one in weighted.fitted] == [(0, 1), (0, 2), (0, 3)]
    assert all(one["weights"][0] > 0.5 for one in weighted.fitted)
    assert set(weighted.entry.predictions.fold) == {"meta1", "meta2", "meta3"}


def test_labels_alone_cannot_be_joined():
    with pytest.raises(ValueError, match="b has predicted labels alone"):
        fuse([entry("a"), dataclasses.replace(entry("b"), has_probabilities=False)], None)
    with pytest.raises(ValueError, match="two systems or more"):
        fuse([entry("a")], None)
