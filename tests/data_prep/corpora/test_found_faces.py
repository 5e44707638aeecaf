"""AffectNet and RAF-DB: faces found on the web, in their owners' layouts and in copies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_trees import by_id, touch

from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, load_clips, raf_db


class TestAffectNet:
    def annotate(self, root: Path, part: str, numbers: dict[int, object], suffix: str = ".jpg") -> None:
        touch(root, *(f"{part}/images/{number}{suffix}" for number in numbers))
        (root / part / "annotations").mkdir(parents=True, exist_ok=True)
        for number, expression in numbers.items():
            np.save(root / part / f"annotations/{number}_exp.npy", np.array(expression))
            np.save(root / part / f"annotations/{number}_val.npy", np.array("0.5"))

    @pytest.mark.parametrize("kind", [str, int, float])
    def test_pictures_with_an_annotation_each(self, tmp_path, kind):
        self.annotate(tmp_path, "train_set", {number: kind(number % 8) for number in range(40)})
        self.annotate(tmp_path, "val_set", {number: kind(number % 8) for number in range(16)}, ".png")
        clips = load_clips("affectnet", tmp_path)
        assert len(clips) == 56 and by_id(clips)["test_5"].video == "val_set/images/5.png"
        assert [by_id(clips)[f"train_{n}"].label for n in range(8)] == [
            *("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
        ]
        kept, classes = labelled(clips, label_set("ck_plus8"))
        (fold,) = make_folds("official", kept, classes).folds
        assert (len(fold.train), len(fold.validation), len(fold.test)) == (32, 8, 16)
        with pytest.raises(ValueError, match="speaker_k needs the speaker of every clip"):
            make_folds("speaker_k", kept, classes)

    def test_annotations_without_a_picture_or_an_expression_are_said(self, tmp_path):
        self.annotate(tmp_path, "train_set", {0: "1", 1: "2", 2: "eleven", 3: "99"})
        (tmp_path / "train_set/images/1.jpg").unlink()
        with pytest.warns(UserWarning, match="3 annotations: train_1, train_2, train_3"):
            assert [clip.clip_id for clip in load_clips("affectnet", tmp_path)] == ["train_0"]

    def test_annotations_are_never_unpickled(self, tmp_path):
        self.annotate(tmp_path, "train_set", {0: "1"})
        np.save(tmp_path / "train_set/annotations/7_exp.npy", np.array([print], object), allow_pickle=True)
        with pytest.warns(UserWarning, match="1 annotations: train_7"):
            load_clips("affectnet", tmp_path)

    @pytest.mark.parametrize("header", [True, False])
    def test_tables_of_the_earlier_form(self, tmp_path, header):
        columns = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
        body = "103/29a3.jpg,1,1,9,9,1;2;3,{},-0.1,0.2\n7/b.png,1,1,9,9,1;2,10,-2,-2\n"
        (tmp_path / "training.csv").write_text(columns + body.format(1))
        (tmp_path / "validation.csv").write_text(
            (columns if header else "") + body.format(6).replace("103/29a3", "5/c").replace("7/b", "8/d")
        )
        touch(
            tmp_path, *(f"Manually_Annotated_Images/{name}" for name in ("103/29a3.jpg", "7/b.png", "5/c.jpg", "8/d.png", "9/unlisted.jpg"))
        )
        clips = by_id(load_clips("affectnet", tmp_path))
        assert {name: (clip.label, clip.attributes["split"]) for name, clip in clips.items()} == {
            **{"train_103_29a3": ("happiness", "train"), "train_7_b": ("no_face", "train")},
            **{"test_5_c": ("anger", "test"), "test_8_d": ("no_face", "test")},
        }
        assert clips["train_103_29a3"].video == "Manually_Annotated_Images/103/29a3.jpg"


class TestRafDb:
    SIZES = (("train", 12271), ("test", 3068))

    def test_the_complete_corpus_has_the_owner_s_counts(self, tmp_path):
        names = [f"{part}_{number:05}" for part, count in self.SIZES for number in range(1, count + 1)]
        touch(tmp_path, *(f"basic/Image/aligned/{name}_aligned.jpg" for name in names))
        (tmp_path / "basic/EmoLabel").mkdir()
        (tmp_path / "basic/EmoLabel/list_patition_label.txt").write_text("".join(f"{n}.jpg {i % 7 + 1}\n" for i, n in enumerate(names)))
        clips = load_clips("raf_db", tmp_path)
        assert len(clips) == raf_db.NUM_CLIPS == 15339 and Counter(clip.attributes["split"] for clip in clips) == dict(self.SIZES)
        assert [clip.label for clip in clips[3068:3075]] == [*raf_db.EMOTIONS.values()]
        kept, classes = labelled(clips, label_set("basic7"))
        (fold,) = make_folds("official", kept, classes).folds
        assert len(fold.test) == 3068 and len(fold.train) + len(fold.validation) == 12271 and not set(fold.train) & set(fold.validation)

    def test_compound_emotions_have_the_same_names_and_are_not_read(self, tmp_path):
        pictures = [
            f"{kind}/Image/{form}"
            for kind in ("basic", "compound")
            for form in ("aligned/train_00001_aligned.jpg", "original/train_00001.jpg")
        ]
        touch(tmp_path, *pictures)
        for kind, number in (("basic", 4), ("compound", 7)):
            (tmp_path / kind / "EmoLabel").mkdir()
            (tmp_path / kind / "EmoLabel/list_patition_label.txt").write_text(f"train_00001.jpg {number}\n")
        with pytest.warns(UserWarning, match=r"2 media files: compound/"):
            (clip,) = load_clips("raf_db", tmp_path)
        assert (clip.label, clip.video) == ("happiness", "basic/Image/aligned/train_00001_aligned.jpg")

    def test_copies_with_a_folder_an_emotion(self, tmp_path):
        touch(
            tmp_path, *(f"DATASET/{part}/{number}/{part}_0000{number}_aligned.jpg" for part in ("train", "test") for number in range(1, 8))
        )
        clips = load_clips("raf_db", tmp_path)
        assert len(clips) == 14 and by_id(clips)["test_00006"].label == "anger"

    def test_pictures_without_labels(self, tmp_path):
        touch(tmp_path, "aligned/train_00001_aligned.jpg")
        with pytest.raises(CorpusNotFound, match="1 pictures and 0 labels"):
            load_clips("raf_db", tmp_path)
