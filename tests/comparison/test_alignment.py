from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compared_systems import CLASSES, NUM_CLIPS, entry

from avemo_jax.comparison.alignment import align
from avemo_jax.comparison.entries import ComparisonError, Entry


def without(one: Entry, clips: list[str]) -> Entry:
    return dataclasses.replace(one, predictions=one.predictions.rows(~np.isin(one.predictions.clip, clips)))


def changed(one: Entry, **columns) -> Entry:
    return dataclasses.replace(one, predictions=dataclasses.replace(one.predictions, **columns))


def test_the_same_clips():
    aligned, alignment = align([entry("a"), entry("b", seeds=(0, 1))])
    assert alignment.num_clips == NUM_CLIPS and alignment.sentence() == "on all 96 clips"
    assert [len(one.predictions.clip) for one in aligned] == [NUM_CLIPS, 2 * NUM_CLIPS]


def test_other_clips_are_refused_with_their_numbers():
    with pytest.raises(ComparisonError) as raised:
        align([without(entry("a"), ["clip00", "clip01"]), without(entry("b"), ["clip50"]), entry("c")])
    text = str(raised.value)
    assert "  a: 94, lacks 2: clip00, clip01" in text and "  b: 95, lacks 1: clip50" in text and "  c:" not in text
    assert "--on=common compares them on the 93 clips that all have" in text


def test_common_clips_are_stated():
    aligned, alignment = align([without(entry("a"), ["clip00", "clip01"]), entry("b", seeds=(0, 1))], on="common")
    assert alignment.num_clips == 94 and alignment.left_out == {"a": 0, "b": 2}
    assert alignment.sentence() == "on the 94 clips that all have; left out: 2 of b"
    assert [len(one.predictions.clip) for one in aligned] == [94, 188]


def test_classes_come_into_the_order_of_the_first():
    first, second = entry("a"), entry("b")
    order = [2, 0, 3, 1]
    data = second.predictions
    other = changed(
        second,
        classes=tuple(CLASSES[index] for index in order),
        label=np.argsort(order)[data.label],
        probabilities=data.probabilities[:, order],
    )
    aligned, _ = align([first, other])
    np.testing.assert_array_equal(aligned[1].predictions.probabilities, data.probabilities)
    np.testing.assert_array_equal(aligned[1].predictions.label, data.label)
    assert aligned[1].predictions.classes == CLASSES


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("a")], "needs two systems or more"),
        ([entry("a"), entry("a")], "two entries have one name"),
        (
            [entry("a"), changed(entry("b"), classes=("neutral", "happy", "sad", "fearful"))],
            "b has the classes .* fearful; the first system",
        ),
        (
            [entry("a"), changed(entry("b"), label=np.r_[1, entry("b").predictions.label[1:]])],
            "disagree on the label of 1 clips: 1: clip00",
        ),
        ([entry("a"), changed(entry("b"), speaker=np.full(NUM_CLIPS, "s0"))], "disagree on the speaker of 80 clips"),
    ],
)
def test_what_cannot_be_compared(entries, message):
    with pytest.raises(ComparisonError, match=message):
        align(entries)


def test_nothing_in_common():
    names = entry("a").predictions.clip
    with pytest.raises(ComparisonError, match="no clip is in all of a, b"):
        align([without(entry("a"), names[:48].tolist()), without(entry("b"), names[48:].tolist())], on="common")


def test_a_seed_that_lacks_clips():
    two = entry("b", seeds=(0, 1))
    lacking = dataclasses.replace(two, predictions=two.predictions.rows((two.predictions.clip != "clip07") | (two.predictions.seed == 0)))
    with pytest.raises(ComparisonError, match="seed 1 predicts 95 clips"):
        align([entry("a"), lacking])
