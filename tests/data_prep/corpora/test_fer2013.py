"""FER2013: rows of one table, its own parts, nobody's names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_trees import by_id, touch

from avemo_jax.clips import ROW_OFFSET
from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import fer2013, load_clips
from data_prep.sets.prepare import prepare_view
from data_prep.sets.staging import clip_frames

WORDS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_table(path: Path, rows, header: str = "emotion,pixels,Usage") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def face(gray: int) -> str:
    return " ".join([str(gray)] * 2304)


def test_every_row_is_a_clip_with_the_owner_s_counts(tmp_path):
    usages = [usage for usage, many in (("Training", 28709), ("PublicTest", 3589), ("PrivateTest", 3589)) for _ in range(many)]
    write_table(tmp_path / "fer2013.csv", (f"{number % 7},0 0,{usage}" for number, usage in enumerate(usages)))
    clips = load_clips("fer2013", tmp_path)
    assert len(clips) == fer2013.NUM_CLIPS == 35887
    assert Counter(clip.attributes["usage"] for clip in clips) == {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
    assert {clip.label for clip in clips} == set(WORDS) and {clip.speaker for clip in clips} == {""}
    assert (clips[0].clip_id, clips[-1].clip_id) == ("fer00000", "fer35886")
    table = make_folds("official", clips, [WORDS.index(clip.label) for clip in clips])
    assert [(len(fold.train), len(fold.validation), len(fold.test)) for fold in table.folds] == [(28709, 3589, 3589)]
    assert not table.speaker_independent and not table.each_clip_once
    found = {finding.name: finding.severity for finding in audit_folds(table.folds, items_of(clips), each_once=False, shared_media=())}
    assert found == {"speakers_unknown": "info"}
    with pytest.raises(ValueError, match="loso needs the speaker of every clip, and the corpus does not state it for 35887 clips"):
        make_folds("loso", clips, [0] * len(clips))


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_row_is_found_again_by_its_place(tmp_path, header, ending):
    cells = [("3", face(10), "Training"), ("6", f'"{face(200)}"', "PrivateTest")]
    rows = [f"{emotion},{usage},{pixels}" if "Usage, " in header else f"{emotion},{pixels},{usage}" for emotion, pixels, usage in cells]
    (tmp_path / "fer2013").mkdir()
    (tmp_path / "fer2013/fer2013.csv").write_bytes(ending.join([header, *rows, "", ""]).encode())
    clips = load_clips("fer2013", tmp_path)
    assert [(clip.label, clip.attributes["usage"], clip.video) for clip in clips] == [
        ("happy", "Training", "fer2013/fer2013.csv"),
        ("neutral", "PrivateTest", "fer2013/fer2013.csv"),
    ]
    for clip, gray in zip(clips, (10, 200), strict=True):
        (frame,) = clip_frames(tmp_path / clip.video, clip)
        np.testing.assert_array_equal(frame.image, np.full((48, 48, 3), gray, np.uint8))


def test_rows_that_do_not_read_are_said(tmp_path):
    rows = [f"0,{face(1)},Training", f"7,{face(2)},Training", f"1,{face(3)},Holiday", "", f"2,{face(4)},PublicTest"]
    write_table(tmp_path / "fer2013.csv", rows)
    with pytest.warns(UserWarning, match=r"emotion or Usage is unknown: 2 rows: 1, 2"):
        clips = load_clips("fer2013", tmp_path)
    assert [(clip.clip_id, clip.label) for clip in clips] == [("fer00000", "angry"), ("fer00003", "fear")]
    write_table(tmp_path / "fer2013.csv", ["7,1 2,Training"])
    with pytest.raises(ValueError, match=r"fer2013\.csv without a row of an emotion from 0 to 6"):
        load_clips("fer2013", tmp_path)


def test_rows_become_examples_and_a_short_row_costs_one_clip(tmp_path):
    rows = [f"{number},{face(20 * number)},Training" for number in range(4)] + ["4,1 2 3,Training"]
    write_table(tmp_path / "corpus/fer2013.csv", rows)
    clips = load_clips("fer2013", tmp_path / "corpus")
    prepared = prepare_view(
        corpus="fer2013",
        root=tmp_path / "corpus",
        clips=clips,
        view_name="still",
        view_params={"size_px": 48, "gray": True},
        prepared_dir=tmp_path / "prepared",
        num_workers=1,
    )
    assert {clip: damage.kind for clip, damage in prepared.damage.items()} == {"fer00004": "undecodable"}
    assert [int(example.values.mean()) for example in prepared.examples()] == [0, 20, 40, 60]
    assert clips[1].attributes[ROW_OFFSET] == str(len("emotion,pixels,Usage\n") + len(rows[0]) + 1)


def test_the_table_of_the_challenge_has_another_name_and_blanks_in_its_header(tmp_path):
    rows = [f"{emotion}, {usage}, {face(30 * emotion)}" for emotion, usage in ((3, "Training"), (6, "PublicTest"), (0, "PrivateTest"))]
    write_table(tmp_path / "a/challenges/icml_face_data.csv", rows, header="emotion, Usage, pixels")
    clips = load_clips("fer2013", tmp_path)
    assert [(clip.label, clip.attributes["usage"]) for clip in clips] == [
        *(("happy", "Training"), ("neutral", "PublicTest"), ("angry", "PrivateTest"))
    ]
    (frame,) = clip_frames(tmp_path / clips[1].video, clips[1])
    assert (frame.image == 180).all()


def test_pictures_in_folders_tell_their_part_by_name(tmp_path):
    parts = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
    touch(tmp_path, *(f"{part}/{word}/{usage}_{1000 + index}.jpg" for usage, part in parts.items() for index, word in enumerate(WORDS)))
    clips = load_clips("fer2013", tmp_path)
    assert Counter(clip.attributes["usage"] for clip in clips) == dict.fromkeys(parts, 7)
    assert by_id(clips)["PublicTest_1003"].label == "happy" and by_id(clips)["PublicTest_1003"].video == "test/happy/PublicTest_1003.jpg"
    table = make_folds("official", clips, [WORDS.index(clip.label) for clip in clips])
    assert [(len(fold.train), len(fold.validation), len(fold.test)) for fold in table.folds] == [(7, 7, 7)]


def test_pictures_without_a_part_in_their_name_have_that_of_their_folder(tmp_path):
    touch(tmp_path, *(f"archive/{part}/{word}/im{number}.png" for part in ("train", "test") for word in WORDS for number in range(2)))
    clips = load_clips("fer2013", tmp_path)
    assert len(clips) == 28 and by_id(clips)["train_sad_im1"].attributes == {"usage": "Training"}
    assert all(fer2013.clip_id(clip.clip_id) == clip.clip_id for clip in clips)  # as tables of features name them
    assert [fer2013.clip_id(name) for name in ("train_calm_im1", "im1", "train_sad_", "extra_sad_im1")] == [None] * 4
    with pytest.raises(ValueError, match=r"missing: PrivateTest, PublicTest; extra: test"):  # the two tests cannot be told apart
        make_folds("official", clips, [WORDS.index(clip.label) for clip in clips])
