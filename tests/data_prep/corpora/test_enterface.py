"""eNTERFACE'05: folders that are right, names that are not, and a subject that was never cut."""

from __future__ import annotations

from collections import Counter

import pytest
from made_trees import by_id, touch

from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import enterface, load_clips


def film(subject: int, emotion: str, sentence: int) -> str:
    """The name of a recording in the owner's archive, its mistakes included."""
    name = f"s{12 if subject == 11 else subject}_{emotion[:2]}_{sentence}"
    if subject == 3 and (emotion, sentence) < ("happiness", 2):
        name = f"s_3_{emotion[:2]}_{sentence}"
    if (subject, emotion, sentence) == (16, "surprise", 3):
        name = "s16_su_3avi"
    return f"subject {subject}/{emotion}/sentence {sentence}/{name}.avi"


def complete(root, *, with_twelve: bool = True):
    """Every recording: subject 6 uncut, three of subject 23 missing."""
    subjects = [subject for subject in range(1, 45) if subject != 6 and (with_twelve or subject != 12)]
    names = [film(subject, emotion, sentence) for subject in subjects for emotion in enterface.EMOTIONS for sentence in range(1, 6)]
    missing = {film(23, "happiness", sentence) for sentence in (3, 4, 5)}
    uncut = [f"subject 6/{emotion}/s6_{emotion[:2]}.avi" for emotion in enterface.EMOTIONS]
    return touch(root, *sorted(set(names) - missing), *uncut)


@pytest.mark.parametrize(("with_twelve", "number"), [(True, 1287), (False, 1257)])
def test_the_complete_corpus_has_the_counts_of_both_sources(tmp_path, with_twelve, number):
    root = complete(tmp_path, with_twelve=with_twelve)
    with pytest.warns(UserWarning, match=r"hold all sentences.*unsegmented=True.*6 recordings: subject 6/anger/s6_an\.avi"):
        clips = load_clips("enterface", root)
    assert len(clips) == number
    assert Counter(Counter(clip.speaker for clip in clips).values()) == {30: number // 30, 27: 1}
    assert {clip.label for clip in clips} == set(enterface.EMOTIONS)
    assert len({clip.sentence for clip in clips}) == 30 and len(load_clips("enterface", root, unsegmented=True)) == number + 6
    assert all(clip.audio == clip.video and (root / clip.video).is_file() for clip in clips)


def test_folders_tell_and_names_do_not(tmp_path):
    names = [film(11, "anger", 1), film(12, "anger", 1), film(3, "fear", 5), film(16, "surprise", 3)]
    clips = by_id(load_clips("enterface", touch(tmp_path, *names)))
    assert {name: (clip.speaker, clip.label, clip.sentence) for name, clip in clips.items()} == {
        "s11_an_1": ("s11", "anger", "anger1"),
        "s12_an_1": ("s12", "anger", "anger1"),
        "s3_fe_5": ("s3", "fear", "fear5"),
        "s16_su_3": ("s16", "surprise", "surprise3"),
    }
    assert clips["s11_an_1"].video == "subject 11/anger/sentence 1/s12_an_1.avi"
    assert clips["s16_su_3"].video.endswith("/s16_su_3avi.avi")


def test_an_uncut_recording_is_a_clip_without_a_sentence(tmp_path):
    (clip,) = load_clips("enterface", touch(tmp_path, "subject 6/sadness/s6_sa.avi"), unsegmented=True)
    assert (clip.clip_id, clip.speaker, clip.label, clip.sentence) == ("s6_sa", "s6", "sadness", "")


def test_other_spellings_deeper_folders_copies_and_strangers(tmp_path):
    touch(
        tmp_path,
        *("enterface database/subject-2/Anger/sentence_1/s2_an_1.avi", "x/y/z/subject 2/anger/sentence 1/s2_an_1.avi"),
        *("subject 2/anger/sentence 9/s2_an_9.avi", "subject 2/boredom/sentence 1/s2_bo_1.avi"),
    )
    with pytest.warns(UserWarning) as raised:
        (clip,) = load_clips("enterface", tmp_path)
    assert (clip.clip_id, clip.video) == ("s2_an_1", "enterface database/subject-2/Anger/sentence_1/s2_an_1.avi")
    messages = [str(warning.message) for warning in raised]
    assert "1 files: x/y/z/subject 2" in messages[0] and "2 media files: subject 2/anger/sentence 9" in messages[1]


def test_clip_id_mends_what_the_names_have_wrong():
    assert [enterface.clip_id(stem) for stem in ("s1_an_1", "s_3_ha_5", "s16_su_3avi", "s6_an")] == [
        "s1_an_1",
        "s3_ha_5",
        "s16_su_3",
        "s6_an",
    ]
    assert enterface.clip_id("s1_bo_1") is None and enterface.clip_id("s1_an_6") is None


@pytest.mark.parametrize("with_twelve", [True, False])
def test_protocols_with_and_without_subject_12(tmp_path, with_twelve):
    with pytest.warns(UserWarning, match="hold all sentences"):
        clips = load_clips("enterface", complete(tmp_path, with_twelve=with_twelve))
    labels = [enterface.EMOTIONS.index(clip.label) for clip in clips]
    tested = [len(fold.test) for fold in make_folds("subject5", clips, labels).folds]
    assert tested == [270, 270 if with_twelve else 240, 267, 270, 210]
    loso = make_folds("loso", clips, labels)
    assert len(loso.folds) == 43 - (not with_twelve) and loso.folds[5].name == "speaker_s7"
    text = make_folds("text_independent", clips, labels)
    sentence_of = {clip.clip_id: clip.sentence for clip in clips}
    assert {sentence_of[clip_id] for clip_id in text.folds[4].test} == {f"{emotion}5" for emotion in enterface.EMOTIONS}
    assert {sentence_of[clip_id] for clip_id in text.folds[4].validation} == {f"{emotion}1" for emotion in enterface.EMOTIONS}


def test_the_uncut_subject_is_in_no_published_table(tmp_path):
    clips = load_clips("enterface", complete(tmp_path), unsegmented=True)
    labels = [enterface.EMOTIONS.index(clip.label) for clip in clips]
    with pytest.raises(ValueError, match="extra: 6"):
        make_folds("subject5", clips, labels)
    with pytest.raises(ValueError, match="does not state it for 6 clips: s6_an"):
        make_folds("text_independent", clips, labels)
