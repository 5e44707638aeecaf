"""SAVEE in the owner's folders and in flat copies."""

from __future__ import annotations

from collections import Counter

import pytest
from made_trees import touch

from data_prep.corpora import load_clips, savee

NUMBERS = {code: 30 if code == "n" else 15 for code in savee.EMOTIONS}
READINGS = [f"{code}{number:02}" for code, many in NUMBERS.items() for number in range(1, many + 1)]


@pytest.mark.parametrize("layout", ["owner", "flat"])
def test_the_complete_corpus_has_the_owner_s_counts(tmp_path, layout):
    names = [(speaker, reading) for speaker in savee.SPEAKERS for reading in READINGS]
    if layout == "owner":
        touch(tmp_path, *(f"AudioData/{speaker}/{reading}.wav" for speaker, reading in names))
        touch(tmp_path, *(f"AudioVisualClip/{speaker}/{reading}.avi" for speaker, reading in names))
    else:
        touch(tmp_path, *(f"ALL/{speaker}_{reading}.wav" for speaker, reading in names))
    clips = load_clips("savee", tmp_path)
    assert len(clips) == savee.NUM_CLIPS == 480
    assert Counter(clip.speaker for clip in clips) == dict.fromkeys(("DC", "JE", "JK", "KL"), 120)
    words = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    assert Counter(clip.label for clip in clips) == {**dict.fromkeys(words, 60), "neutral": 120}
    assert {clip.gender for clip in clips} == {"male"}
    assert all(clip.video is None for clip in clips) == (layout == "flat")


def test_sa_and_su_are_no_s_and_the_film_gives_its_sound(tmp_path):
    names = ("AudioVisualClip/JK/sa01.avi", "AudioVisualClip/JK/su01.avi", "AudioData/JK/su01.wav")
    sad, surprised = load_clips("savee", touch(tmp_path, *names))
    assert (sad.clip_id, sad.label, sad.audio, sad.video, sad.sentence) == ("JK_sa01", "sadness", names[0], names[0], "sa01")
    assert (surprised.clip_id, surprised.label, surprised.audio, surprised.video) == ("JK_su01", "surprise", names[2], names[1])


def test_copies_and_strangers_are_said(tmp_path):
    touch(tmp_path, "AudioData/DC/a01.wav", "ALL/x/DC_a01.wav", "AudioData/DC/s01.wav", "AudioData/XX/a01.wav", "AudioData/DC/a1.wav")
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("savee", tmp_path)
    assert clip.audio == "ALL/x/DC_a01.wav"  # as deep as the other one, and first by name
    messages = [str(warning.message) for warning in raised]
    assert "second copies" in messages[0] and "1 files: AudioData/DC/a01.wav" in messages[0]
    assert "3 media files: AudioData/DC/a1.wav, AudioData/DC/s01.wav, AudioData/XX/a01.wav" in messages[1]


def test_clip_id_needs_the_speaker():
    assert savee.clip_id("DC_sa01") == "DC_sa01" and savee.clip_id("dc_a01") == "DC_a01"
    assert savee.clip_id("sa01") is None and savee.clip_id("DC_s01") is None
