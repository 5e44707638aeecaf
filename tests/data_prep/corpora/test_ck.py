"""CK+ and its 48 x 48 copy: labels of peaks, sequences without, three frames of one sequence."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from made_trees import touch

from avemo_jax.clips import RECORDING
from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import ck48, ck_plus, load_clips

# What the owner counts of the 327 labelled sequences.
COUNTS = {"anger": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69, "sadness": 28, "surprise": 83}
LAST = 12
SEQUENCES = [
    (f"S{5 + number % 118:03}", f"{1 + number // 118:03}", word)
    for number, word in enumerate(word for word, many in COUNTS.items() for _ in range(many))
]


def frame(subject: str, sequence: str, number: int) -> str:
    return f"{subject}/{sequence}/{subject}_{sequence}_{number:08}"


def labelled(root, subject: str, sequence: str, text: str, number: int = LAST):
    path = root / f"Emotion/{frame(subject, sequence, number)}_emotion.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def complete(root):
    """327 labelled sequences of 118 subjects and 266 without a label, of 123 subjects in all, first and last frames only."""
    unlabelled = [(f"S{5 + number % 123:03}", f"{9 + number // 123:03}") for number in range(266)]
    for subject, sequence in [*((subject, sequence) for subject, sequence, _ in SEQUENCES), *unlabelled]:
        touch(root, *(f"cohn-kanade-images/{frame(subject, sequence, number)}.png" for number in (1, LAST)))
        (root / f"Emotion/{subject}/{sequence}").mkdir(parents=True)  # the owner has empty folders for those without a label
    for subject, sequence, word in SEQUENCES:
        labelled(root, subject, sequence, f"   {ck_plus.EMOTIONS.index(word)}.0000000e+00\n")
    return root


def test_the_complete_corpus_has_the_owner_s_counts(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "data_prep"):
        clips = load_clips("ck_plus", complete(tmp_path))
    assert len(clips) == 327 and Counter(clip.label for clip in clips) == COUNTS
    assert len({clip.speaker for clip in clips}) == 118
    assert all(clip.clip_id.endswith(f"_{LAST:08}") and (tmp_path / clip.video).is_file() for clip in clips)
    assert "266 of 593 sequences have no label" in caplog.text
    table = make_folds("subject10", clips, [0] * len(clips))
    speaker_of = {clip.clip_id: clip.speaker for clip in clips}
    subjects = [sorted({speaker_of[clip_id] for clip_id in fold.test}) for fold in table.folds]
    assert subjects[0][:3] == ["S005", "S015", "S025"] and [len(group) for group in subjects] == [12] * 8 + [11] * 2
    assert {speaker_of[clip_id] for clip_id in table.folds[9].validation} == set(subjects[0])


def test_first_frames_are_neutral_faces_where_they_are_asked_for(tmp_path):
    touch(tmp_path, *(f"cohn-kanade-images/{frame('S005', '001', number)}.png" for number in (1, 2, 11)))
    labelled(tmp_path, "S005", "001", "   3.0000000e+00", 11)
    (peak,) = load_clips("ck_plus", tmp_path)
    assert (peak.clip_id, peak.label, peak.speaker, peak.attributes) == ("S005_001_00000011", "disgust", "S005", {RECORDING: "S005_001"})
    first, again = load_clips("ck_plus", tmp_path, first_frames=True)
    assert again == peak and (first.clip_id, first.label) == ("S005_001_00000001", "neutral")


def test_the_label_is_the_frame_s_that_its_file_names(tmp_path):
    touch(tmp_path, *(f"cohn-kanade-images/{frame('S005', '001', number)}.png" for number in (10, 11, 12)))
    labelled(tmp_path, "S005", "001", "1", 11)
    (clip,) = load_clips("ck_plus", tmp_path)
    assert (clip.clip_id, clip.label) == ("S005_001_00000011", "anger")


def test_what_does_not_read_is_said(tmp_path):
    touch(
        tmp_path, f"cohn-kanade-images/{frame('S005', '001', 11)}.png", "cohn-kanade-images/S005/001/face.png", "Emotion/._S005_emotion.txt"
    )
    labelled(tmp_path, "S005", "001", "   1.0000000e+00", 11)
    labelled(tmp_path, "S006", "001", "   2.0000000e+00", 9)
    labelled(tmp_path, "S007", "001", "   8.0000000e+00", 9)
    labelled(tmp_path, "S008", "001", "   1.5000000e+00", 9)
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("ck_plus", tmp_path)
    messages = [str(warning.message) for warning in raised]
    assert clip.speaker == "S005"
    assert "1 media files: cohn-kanade-images/S005/001/face.png" in messages[0]
    assert "2 label files: Emotion/S007/001/S007_001_00000009_emotion.txt, Emotion/S008" in messages[1]
    assert "no picture for 1 labels: S006_001_00000009" in messages[2]


def test_pictures_without_labels_are_no_corpus(tmp_path):
    touch(tmp_path, f"cohn-kanade-images/{frame('S005', '001', 11)}.png")
    with pytest.raises(ValueError, match="1 sequences of pictures and 0 label files"):
        load_clips("ck_plus", tmp_path)


def test_the_48_pixel_copy_is_three_frames_of_each_labelled_sequence(tmp_path):
    names = [f"CK+48/{word}/{subject}_{sequence}_{number:08}.png" for subject, sequence, word in SEQUENCES for number in (10, 11, 12)]
    clips = load_clips("ck48", touch(tmp_path, *names))
    assert len(clips) == ck48.NUM_CLIPS == 981
    assert Counter(clip.label for clip in clips) == {word: 3 * many for word, many in COUNTS.items()}
    assert len({clip.attributes[RECORDING] for clip in clips}) == 327 and len({clip.speaker for clip in clips}) == 118
    # Drawn one by one, frames of one sequence come into two parts; by subject they do not.
    labels = [list(COUNTS).index(clip.label) for clip in clips]
    for protocol, is_found in (("holdout_80_20", True), ("subject10", False)):
        table = make_folds(protocol, clips, labels)
        found = {finding.name for finding in audit_folds(table.folds, items_of(clips), each_once=table.each_clip_once)}
        assert ("segments_in_two_parts" in found) == is_found


def test_strangers_in_the_48_pixel_copy(tmp_path):
    touch(tmp_path, "CK+48/anger/S010_004_00000017.png", "CK+48/anger/face.png", "CK+48/bored/S010_004_00000018.png")
    with pytest.warns(UserWarning, match=r"2 media files: CK\+48/anger/face\.png, CK\+48/bored/S010_004_00000018\.png"):
        (clip,) = load_clips("ck48", tmp_path)
    assert (clip.clip_id, clip.label, clip.speaker) == ("S010_004_00000017", "anger", "S010")
    assert ck48.clip_id("S010_004_00000017") == ck_plus.clip_id("S010_004_00000017") == "S010_004_00000017"
    assert ck48.clip_id("S010_004") is None
