"""Draws of labelled clips: repeatable, never tested, and the same tested clips for every number of them."""

from __future__ import annotations

import pytest

from avemo_jax.protocols.enrolment import draw_enrolments

# Two speakers with eight clips of class 1 each and three of class 0.
CLIPS = [f"{speaker}-{label}-{take}" for speaker in "ab" for label, count in ((0, 3), (1, 8)) for take in range(count)]
SPEAKERS, LABELS = [clip[0] for clip in CLIPS], [int(clip[2]) for clip in CLIPS]
SETTINGS = {"num_labelled": 5, "num_tested": 2, "num_draws": 3, "seed": 4}


def drawn(clips=CLIPS, **changes):
    order = [CLIPS.index(clip) for clip in clips]
    return draw_enrolments(clips, [SPEAKERS[row] for row in order], [LABELS[row] for row in order], **SETTINGS | changes)


def test_labelled_clips_are_never_tested_and_a_rare_class_keeps_its_tested_clips():
    for one in drawn():
        assert [len(of_class) for of_class in one.pool] == [1, 5]
        taken = one.labelled(5)
        assert sorted((*taken, *one.tested)) == sorted(clip for clip in CLIPS if clip[0] == one.speaker)
        # Fewer labelled clips are the first of more, of each class so many.
        assert set(one.labelled(1)) < set(one.labelled(3)) < set(taken)
        assert sorted(clip[2] for clip in one.labelled(3)) == list("0111") and one.labelled(0) == ()


def test_draws_depend_on_the_seed_and_not_on_other_speakers_or_the_order_of_the_clips():
    assert drawn(CLIPS[::-1]) == drawn()
    assert [one for one in drawn() if one.speaker == "b"] == drawn([clip for clip in CLIPS if clip[0] == "b"])
    assert drawn(seed=5) != drawn()
    first, second, _ = (one.tested for one in drawn() if one.speaker == "a")
    assert first != second


def test_sentences_that_are_tested_are_not_labelled():
    sentences = [f"said {clip[-1] in '013'}" for clip in CLIPS]
    for one in draw_enrolments(CLIPS, SPEAKERS, LABELS, **SETTINGS | {"num_labelled": 2}, sentences=sentences):
        said = dict(zip(CLIPS, sentences, strict=True))
        taught, tested = {said[clip] for clip in one.labelled(5)}, {said[clip] for clip in one.tested}
        assert len(taught) == len(tested) == 1 and taught != tested
        assert set(one.tested) == {clip for clip in CLIPS if clip[0] == one.speaker and said[clip] in tested}
    with pytest.raises(ValueError, match="expected two sentences of speaker a or more"):
        draw_enrolments(CLIPS, SPEAKERS, LABELS, **SETTINGS, sentences=["one"] * len(CLIPS))


def test_clips_of_one_recording_are_not_labelled():
    shared = {"a-1-0", "a-1-1", "a-1-2", "a-1-3"}
    for one in drawn(always_tested=shared):
        assert not shared & set(one.labelled(5))
        assert len(one.pool[1]) == (4 if one.speaker == "a" else 5)
    with pytest.raises(ValueError, match="expected the speaker of every clip"):
        draw_enrolments(["x"], [""], [0], **SETTINGS)
