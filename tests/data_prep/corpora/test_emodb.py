"""EmoDB: German letters, ten speakers, ten texts."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from made_trees import touch

from data_prep.corpora import emodb, load_clips

TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
COUNTS = {"W": 127, "L": 81, "E": 46, "A": 69, "F": 71, "T": 62, "N": 79}


def complete(root):
    """As many files of each emotion as the owner counts; which speaker has which version is dealt out in turn."""
    names = []
    for letter, number in COUNTS.items():
        performances = itertools.product("abcdef", TEXTS, emodb.SPEAKERS)
        names += [f"wav/{speaker}{text}{letter}{version}.wav" for version, text, speaker in itertools.islice(performances, number)]
    return touch(root, *names)


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    clips = load_clips("emodb", complete(tmp_path))
    assert len(clips) == emodb.NUM_CLIPS == 535
    words = {"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "sadness": 62, "neutral": 79}
    assert Counter(clip.label for clip in clips) == words
    assert Counter(emodb.SPEAKERS[speaker][0] for speaker in {clip.speaker for clip in clips}) == {"female": 5, "male": 5}
    assert {clip.sentence for clip in clips} == set(TEXTS)


def test_the_letters_are_those_of_the_german_words(tmp_path):
    names = [f"wav/03a01{letter}a.wav" for letter in "WLEAFTN"]
    clips = load_clips("emodb", touch(tmp_path, *names))
    assert {clip.clip_id[5]: clip.label for clip in clips} == {
        **{"W": "anger", "L": "boredom", "E": "disgust", "A": "fear"},
        **{"F": "happiness", "T": "sadness", "N": "neutral"},
    }
    assert (clips[0].speaker, clips[0].gender, clips[0].sentence, clips[0].attributes) == (
        "03",
        "male",
        "a01",
        {"age": "31", "version": "a"},
    )


def test_copies_and_strangers_are_said(tmp_path):
    touch(tmp_path, "wav/16b10Wb.wav", "emodb/wav/16b10Wb.wav", "wav/04a01Wa.wav", "wav/16b10Sb.wav")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("emodb", tmp_path)
    assert (clip.audio, clip.gender) == ("wav/16b10Wb.wav", "female")
    assert "1 files: emodb/wav/16b10Wb.wav" in str(raised[0].message)
    assert "2 media files: wav/04a01Wa.wav, wav/16b10Sb.wav" in str(raised[1].message)


def test_clip_id():
    assert emodb.clip_id("16b10Wb") == "16b10Wb" and emodb.clip_id("16b10wb") is None
