"""JAFFE: takes, and a number that no two pictures share."""

from __future__ import annotations

from collections import Counter

import pytest
from made_trees import touch

from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import jaffe, load_clips

COUNTS = {"AN": 30, "DI": 29, "FE": 32, "HA": 31, "NE": 30, "SA": 31, "SU": 30}


def complete(root):
    """As many pictures of each emotion as the owner counts: three takes of each model, more or fewer of some."""
    names, number = [], 0
    for code, many in COUNTS.items():
        takes = [(model, take) for take in range(1, 5) for model in jaffe.MODELS][:many]
        for model, take in takes:
            number += 1
            names.append(f"jaffedbase/{model}.{code}{take}.{number}.tiff")
    return touch(root, *names)


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path):
    clips = load_clips("jaffe", complete(tmp_path))
    assert len(clips) == jaffe.NUM_CLIPS == 213
    words = {"anger": 30, "disgust": 29, "fear": 32, "happiness": 31, "neutral": 30, "sadness": 31, "surprise": 30}
    assert Counter(clip.label for clip in clips) == words
    assert {clip.speaker for clip in clips} == {"KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM"}
    assert {clip.gender for clip in clips} == {"female"} and all(clip.audio is None for clip in clips)
    table = make_folds("loso", clips, [0] * len(clips))
    assert [fold.name for fold in table.folds] == [f"speaker_{model}" for model in jaffe.MODELS]


def test_two_pictures_of_one_take_are_two_clips(tmp_path):
    clips = load_clips("jaffe", touch(tmp_path, "KM.SA3.11.tiff", "KM.SA3.12.tiff"))
    assert [(clip.clip_id, clip.label, clip.attributes["take"]) for clip in clips] == [
        ("KM.SA3.11", "sadness", "3"),
        ("KM.SA3.12", "sadness", "3"),
    ]


def test_copies_and_strangers_are_said(tmp_path):
    touch(tmp_path, "KA.AN1.39.tiff", "png/KA.AN1.39.png", "KA.XX1.40.tiff", "ZZ.AN1.41.tiff", "._KA.AN2.42.tiff")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("jaffe", tmp_path)
    assert clip.video == "KA.AN1.39.tiff"
    assert "1 files: png/KA.AN1.39.png" in str(raised[0].message)
    assert "2 media files: KA.XX1.40.tiff, ZZ.AN1.41.tiff" in str(raised[1].message)


def test_clip_id():
    assert jaffe.clip_id("KA.AN1.39") == "KA.AN1.39" and jaffe.clip_id("KA.AN1") is None
