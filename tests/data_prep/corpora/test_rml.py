"""RML: folders of speakers, some with folders of languages in them."""

from __future__ import annotations

from collections import Counter

import pytest
from made_trees import by_id, touch

from data_prep.corpora import load_clips, rml

SPEAKERS = {**{f"s{number}": "rml-1" for number in range(1, 6)}, **{f"s{number}": "rml-2" for number in range(6, 9)}}


def complete(root):
    """720 films: 15 of each speaker and emotion; speakers 1 and 4 in folders of languages whose films have the same names."""
    names = []
    for speaker, part in SPEAKERS.items():
        languages = {"s1": ("English", "Mandarin", "Urdu"), "s4": ("Italian", "Persian", "Punjabi")}.get(speaker, ("",))
        for language in languages:
            for code in rml.EMOTIONS:
                names += [f"{part}/{speaker}/{language}/{code}{take}.avi" for take in range(1, 15 // len(languages) + 1)]
    return touch(root, *names)


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    clips = load_clips("rml", complete(tmp_path))
    assert len(clips) == rml.NUM_CLIPS == 720
    assert Counter(clip.speaker for clip in clips) == dict.fromkeys(SPEAKERS, 90)
    words = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert Counter(clip.label for clip in clips) == dict.fromkeys(words, 120)
    assert all((tmp_path / clip.video).is_file() and clip.audio == clip.video for clip in clips)


def test_films_of_two_languages_with_one_name_are_two_clips(tmp_path):
    names = ("rml-1/s1/Mandarin/an1.avi", "rml-1/s1/English/an1.avi", "rml-2/s6/su10.AVI")
    clips = by_id(load_clips("rml", touch(tmp_path, *names)))
    assert {name: (clip.speaker, clip.label, dict(clip.attributes)) for name, clip in clips.items()} == {
        "s1_mandarin_an1": ("s1", "anger", {"language": "mandarin"}),
        "s1_english_an1": ("s1", "anger", {"language": "english"}),
        "s6_su10": ("s6", "surprise", {}),
    }
    assert clips["s1_mandarin_an1"].video == names[0]


def test_copies_and_strangers_are_said(tmp_path):
    touch(tmp_path, "rml-1/s2/an1.avi", "RML/rml-1/s2/an1.avi", "rml-1/s2/zz1.avi", "rml-1/an1.avi", "rml-1/s9/an1.avi")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("rml", tmp_path)
    assert (clip.clip_id, clip.video) == ("s2_an1", "rml-1/s2/an1.avi")
    messages = [str(warning.message) for warning in raised]
    assert "second copies" in messages[0] and "1 files: RML/rml-1/s2/an1.avi" in messages[0]
    assert "3 media files: rml-1/an1.avi, rml-1/s2/zz1.avi, rml-1/s9/an1.avi" in messages[1]


def test_clip_id_is_the_speaker_s():
    assert rml.clip_id("s1_mandarin_an1") == "s1_mandarin_an1" and rml.clip_id("s6_su10") == "s6_su10"
    assert rml.clip_id("an1") is None and rml.clip_id("s9_an1") is None
