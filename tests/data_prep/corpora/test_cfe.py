"""CFE: categories by number, of which seven are read."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from made_trees import touch

from data_prep.corpora import cfe, load_clips


def picture(category: int, subject: int, number: int) -> str:
    first = 1 + 4 * ((category - 1) // 4)
    return f"CFEE_Database_230/{first:02}-{first + 3:02}/Images{1 + subject % 3}/{category:02}_{subject:03}_{number}.jpg"


def test_seven_categories_of_230_subjects(tmp_path, caplog):
    subjects = range(101, 331)
    names = [picture(category, subject, 26 * subject + category) for category in range(1, 10) for subject in subjects]
    with caplog.at_level(logging.INFO, "data_prep"):
        clips = load_clips("cfe", touch(tmp_path, *names))
    assert len(clips) == cfe.NUM_CLIPS == 1610 and len({clip.speaker for clip in clips}) == 230
    words = ("neutral", "happy", "sad", "fearful", "angry", "surprised", "disgusted")
    assert Counter(clip.label for clip in clips) == dict.fromkeys(words, 230)
    assert "460 pictures of compound categories are not read" in caplog.text


def test_a_picture_s_name_tells_everything(tmp_path):
    (clip,) = load_clips("cfe", touch(tmp_path, "CFEE_Database_230/01-04/Images1/02_339_3470.JPG"))
    assert (clip.clip_id, clip.label, clip.speaker) == ("02_339_3470", "happy", "339")
    assert clip.video == "CFEE_Database_230/01-04/Images1/02_339_3470.JPG"


def test_only_compounds_are_no_corpus_and_strangers_are_said(tmp_path):
    touch(tmp_path, picture(9, 110, 2555))
    with pytest.raises(ValueError, match="1 pictures, all of compound categories"):
        load_clips("cfe", tmp_path)
    touch(tmp_path, picture(7, 110, 2551), "x/07_110_2551.jpg", "cover.jpg")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("cfe", tmp_path)
    assert clip.video == "x/07_110_2551.jpg"  # the less nested of two copies
    assert "1 files: CFEE_Database_230/05-08/Images3/07_110_2551.jpg" in str(raised[0].message)
    assert "1 media files: cover.jpg" in str(raised[1].message)


def test_clip_id():
    assert cfe.clip_id("02_339_3470") == "02_339_3470" and cfe.clip_id("09_339_3470") is None and cfe.clip_id("cover") is None
