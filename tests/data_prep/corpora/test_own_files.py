"""Corpora of one's own files: a folder a class, and a table with a row a clip."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_trees import by_id, touch

from avemo_jax.clips import RECORDING, read_clips, write_clips
from avemo_jax.dimensions import ratings_of
from avemo_jax.labels import label_set, labelled
from avemo_jax.protocols.audit.folds_audit import audit_folds, items_of
from avemo_jax.protocols.rules import make_folds
from data_prep.corpora import CorpusNotFound, load_clips

SPEAKERS, WORDS = ("maria", "juan", "ana", "luis"), ("happy", "sad", "tired")
LABELS = "happy=joy,sad,tired"


def classes(clips, labels=LABELS):
    return labelled(clips, label_set(labels))[1]


class TestFolder:
    @pytest.mark.parametrize(
        ("form", "options"),
        [
            ("{word}/{speaker}_take{take}.wav", {"speaker_pattern": r"([a-z]+)_take"}),
            ("{word}/{take}-{speaker}.mp3", {"speaker_pattern": r"-(?P<speaker>\w+)\."}),
            ("{speaker}/{word}/{take}.flac", {"speaker_level": 1}),
            ("a/b/{word}/{speaker}/{take}.wav", {"speaker_level": -1, "label_level": 3}),
            ("{speaker}/x/{word}/{take}.mp4", {"speaker_level": -3}),
            ("{word}/{speaker}/x/{take}.png", {"speaker_level": 2, "label_level": 1}),
        ],
    )
    def test_classes_and_speakers_are_read_off_the_paths(self, tmp_path, form, options):
        names = [form.format(word=word, speaker=speaker, take=take) for word in WORDS for speaker in SPEAKERS for take in (1, 2)]
        clips = load_clips("folder", touch(tmp_path, *names), **options)
        assert Counter((clip.label, clip.speaker) for clip in clips) == {(word, speaker): 2 for word in WORDS for speaker in SPEAKERS}
        assert {clip.audio or clip.video for clip in clips} == set(names)
        assert {clip.clip_id for clip in clips} == {name.rpartition(".")[0] for name in names}
        table = make_folds("loso", clips, classes(clips))
        assert len(table.folds) == 4
        assert not audit_folds(table.folds, items_of(clips), each_once=True, shared_media=())

    def test_words_are_those_of_label_sets(self, tmp_path):
        touch(tmp_path, "01_Happy/a.wav", "2 - Sad/b.wav", "Pleasant Surprise/c.wav", "ANGER/d.wav")
        with pytest.warns(UserWarning, match="no speaker is known"):
            clips = load_clips("folder", tmp_path)
        assert [clip.label for clip in clips] == ["happy", "sad", "anger", "pleasant_surprise"]
        assert [label_set("basic7").class_index(clip.label) for clip in clips] == [1, 2, 3, 6]

    def test_media_of_one_name_are_one_clip(self, tmp_path):
        touch(tmp_path, "sad/m1.mp4", "sad/m1.wav", "sad/m2.mp4", "sad/m3.jpg", "happy/m4.ogg")
        clips = by_id(load_clips("folder", tmp_path, speaker_pattern="(m)"))
        assert [(name, clip.audio, clip.video) for name, clip in clips.items()] == [
            ("happy/m4", "happy/m4.ogg", None),
            ("sad/m1", "sad/m1.wav", "sad/m1.mp4"),
            ("sad/m2", "sad/m2.mp4", "sad/m2.mp4"),
            ("sad/m3", None, "sad/m3.jpg"),
        ]

    def test_unknown_speakers_are_said_and_protocols_that_need_them_are_refused(self, tmp_path):
        touch(tmp_path, *(f"{word}/{take}.wav" for word in WORDS for take in range(6)))
        with pytest.warns(UserWarning, match=r"no speaker is known; protocols by speaker .* are refused.*speaker_level"):
            clips = load_clips("folder", tmp_path)
        for protocol in ("loso", "speaker_k"):
            with pytest.raises(ValueError, match=f"{protocol} needs the speaker of every clip, and the corpus does not state it for 18"):
                make_folds(protocol, clips, classes(clips))
        assert len(make_folds("random_k", clips, classes(clips), num_folds=3).folds) == 3
        touch(tmp_path, "happy/ana_1.wav")
        with pytest.warns(UserWarning, match="no speaker is known of 18 clips: happy/0, happy/1, happy/2, ..."):
            load_clips("folder", tmp_path, speaker_pattern="([a-z]+)_")

    def test_parts_are_a_protocol(self, tmp_path):
        parts = {"Train": "train", "valid": "validation", "TEST": "test"}
        touch(tmp_path, *(f"{folder}/{word}/{speaker}.wav" for folder in parts for word in WORDS for speaker in SPEAKERS))
        clips = load_clips("folder", tmp_path, split_level=1, speaker_pattern=r"(\w+)\.wav")
        table = make_folds("official", clips, classes(clips))
        assert {len(getattr(table.folds[0], part)) for part in parts.values()} == {12}
        found = {finding.name for finding in audit_folds(table.folds, items_of(clips), each_once=False, shared_media=())}
        assert "speaker_in_two_parts" in found

    def test_names_that_are_no_utf8_are_escaped_and_their_files_are_found(self, tmp_path):
        (tmp_path / "sad").mkdir()
        for name in (b"gr\xfc\xdfe.wav", unicodedata.normalize("NFD", "grüße.wav").encode()):
            Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "sad"), name))).touch()
        clips = load_clips("folder", tmp_path, speaker_pattern="(s)")
        assert [clip.clip_id for clip in clips] == [r"sad/gr\xfc\xdfe", "sad/grüße"]
        write_clips(tmp_path / "clips.csv", clips)
        assert read_clips(tmp_path / "clips.csv") == clips and all((tmp_path / clip.audio).is_file() for clip in clips)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"speaker_pattern": "(a"}, "is no regular expression: missing \\)"),
            ({"speaker_pattern": "a"}, "needs a group around the speaker"),
            ({"speaker_pattern": "(a)", "speaker_level": 1}, "set one of"),
            ({"label_level": 3}, "no folder corpus in"),
        ],
    )
    def test_options_that_cannot_be(self, tmp_path, options, message):
        touch(tmp_path, "sad/a.wav")
        with pytest.raises(ValueError, match=message):
            load_clips("folder", tmp_path, **options)

    def test_files_above_the_level_are_named(self, tmp_path):
        touch(tmp_path, "a.wav", "sad/b.wav")
        with pytest.warns(UserWarning, match=r"lie in no folder of level -1 .*: 1 files: a"):
            assert len(load_clips("folder", tmp_path, speaker_pattern="(b)")) == 1

    def test_other_files_are_a_near_miss(self, tmp_path):
        touch(tmp_path, "sad/a.npy", "all.zip")
        with pytest.raises(CorpusNotFound, match=r"nearly: +1 archives: all\.zip; unpack them$"):
            load_clips("folder", tmp_path)


def table(path: Path, *lines: str, sep: str = ",", bom: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line.replace(",", sep) for line in lines) + "\n", encoding="utf-8-sig" if bom else "utf-8")
    return path


class TestTable:
    @pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("bom", [False, True])
    @pytest.mark.parametrize("header", ["file,emotion,speaker,split", " File , Emotion,SPEAKER,Split"])
    def test_rows_are_clips(self, tmp_path, sep, bom, header):
        table(tmp_path / "clips.csv", header, "a/x.wav,Happy,01,train", r"a\y.mp4, sad ,02,dev", "", sep=sep, bom=bom)
        touch(tmp_path, "a/x.wav", "a/y.mp4")
        first, second = load_clips("table_of_clips", tmp_path, table="clips.csv")
        assert (first.clip_id, first.label, first.speaker, first.audio, first.video) == ("a/x", "happy", "01", "a/x.wav", None)
        assert (second.clip_id, second.label, second.audio, second.video) == ("a/y", "sad", "a/y.mp4", "a/y.mp4")
        assert [clip.attributes for clip in (first, second)] == [{"split": "train"}, {"split": "validation"}]

    def test_spans_cut_one_recording(self, tmp_path):
        lines = ["file,emotion,speaker,start,end", "x.mp4,happy,a,0,1.5", "x.mp4,sad,b,0:01.5,00:00:03", "x.mp4,sad,b,3,", "y.wav,sad,b,,"]
        table(tmp_path / "clips.csv", *lines)
        clips = load_clips("table_of_clips", touch(tmp_path, "x.mp4", "y.wav"), table="clips.csv")
        assert [(clip.clip_id, clip.start_s, clip.end_s, clip.attributes.get(RECORDING)) for clip in clips] == [
            ("x@0-1.5", 0, 1.5, "x.mp4"),
            ("x@1.5-3", 1.5, 3, "x.mp4"),
            ("x@3-", 3, None, "x.mp4"),
            ("y", None, None, None),
        ]

    def test_columns_of_other_names_are_declared(self, tmp_path):
        table(tmp_path / "clips.csv", "Path,Label,Actor,sex", "x.wav,0,jane,F")
        touch(tmp_path, "x.wav")
        columns = ("file=path", "emotion=Label", "speaker=actor", "gender=sex")
        (clip,) = load_clips("table_of_clips", tmp_path, table="clips.csv", columns=columns)
        assert (clip.label, clip.speaker, clip.gender) == ("0", "jane", "female")
        assert label_set("neutral=0,happy=1|2").class_index(clip.label) == 0

    @pytest.mark.parametrize(("sep", "number"), [(",", "2.5"), (";", "2,5")])
    def test_ratings_are_columns_and_need_no_emotions(self, tmp_path, sep, number):
        (tmp_path / "a.csv").write_text(
            "\n".join(["file;speaker;Valence;act", f"x.wav;a;{number};4", "y.wav;a;NA;1", "z.wav;a;3;"]).replace(";", sep)
        )
        options = dict(table="a.csv", columns=("arousal=act",), dimensions=("valence", "arousal"))
        clips = load_clips("table_of_clips", touch(tmp_path, "x.wav", "y.wav", "z.wav"), **options)
        np.testing.assert_array_equal(ratings_of(clips, ("valence", "arousal")), [[2.5, 4], [np.nan, 1], [3, np.nan]])
        assert [clip.label for clip in clips] == ["", "", ""] and classes(clips, "none") == (0, 0, 0)
        with pytest.raises(ValueError, match=r"a\.csv has no column dominance"):
            load_clips("table_of_clips", tmp_path, table="a.csv", dimensions=("dominance",))
        with pytest.raises(ValueError, match="holds 'speaker', which is another column"):
            load_clips("table_of_clips", tmp_path, table="a.csv", dimensions=("speaker",))
        table(tmp_path / "b.csv", "file,valence", "x.wav,high")
        with pytest.raises(ValueError, match=r"b\.csv, line 2: expected a number as valence, or an empty cell .*, got 'high'"):
            load_clips("table_of_clips", tmp_path, table="b.csv", dimensions=("valence",))

    def test_files_are_below_the_root_or_beside_the_table(self, tmp_path):
        listed = table(
            tmp_path / "root/lists/a.csv", "file,emotion,speaker", "x.wav,sad,a", f"{tmp_path}/root/y.wav,sad,a", "../z.wav,sad,a"
        )
        touch(tmp_path / "root", "lists/x.wav", "y.wav", "z.wav")
        clips = load_clips("table_of_clips", tmp_path / "root", table=str(listed))
        assert [clip.audio for clip in clips] == ["lists/x.wav", "y.wav", "z.wav"]

    def test_files_that_are_missing_are_clips_and_named(self, tmp_path):
        table(tmp_path / "a.csv", "file,emotion,speaker", "x.wav,sad,a", "gone.wav,sad,a")
        with pytest.raises(CorpusNotFound, match=r"a\.csv with 2 rows, and none of its files, such as x\.wav"):
            load_clips("table_of_clips", tmp_path, table="a.csv")
        touch(tmp_path, "x.wav")
        with pytest.warns(UserWarning, match=r"not on disk, of 2 files in a\.csv: 1 files: gone\.wav"):
            assert len(load_clips("table_of_clips", tmp_path, table="a.csv")) == 2

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_names_in_either_form_of_unicode(self, tmp_path, form):
        lines = ["file,emotion,speaker", f"{unicodedata.normalize(form, 'grüße')}.wav,sad,{unicodedata.normalize(form, 'Jürg')}"]
        table(tmp_path / "a.csv", *lines)
        touch(tmp_path, f"{unicodedata.normalize('NFD', 'grüße')}.wav")
        (clip,) = load_clips("table_of_clips", tmp_path, table="a.csv")
        assert (clip.clip_id, clip.speaker) == ("grüße", "Jürg") and (tmp_path / clip.audio).is_file()

    def test_unknown_speakers_are_said(self, tmp_path):
        table(tmp_path / "a.csv", "file,emotion", "x.wav,sad")
        with pytest.warns(UserWarning, match="no speaker is known; .* a column speaker"):
            assert load_clips("table_of_clips", touch(tmp_path, "x.wav"), table="a.csv")[0].speaker == ""

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (("path,emotion", "x.wav,sad"), r"a\.csv has no column file; it has: path, emotion.*columns=\"\('file=COLUMN',\)\""),
            (("file,emotion", "x.wav,sad", "x.wav,happy"), r"lines 2 and 3: both are the clip 'x'"),
            (("file,emotion", "../../x.wav,sad"), r"line 2: \.\./\.\./x\.wav lies outside of the corpus"),
            (("file,emotion", "/etc/passwd,sad"), r"line 2: /etc/passwd lies outside of the corpus"),
            (("file,emotion", "x.npy,sad"), r"line 2: x\.npy has no suffix of sound"),
            (("file,emotion,start,end", "x.wav,sad,2,1"), r"line 2: expected 0 <= start < end, got 2 and 1"),
            (("file,emotion,start", "x.wav,sad,soon"), r"line 2: expected start in s or as hours:minutes:seconds, got 'soon'"),
            (("file,emotion,start", "x.wav,sad,inf"), r"line 2: expected start in s"),
            (("file,emotion", ",sad"), r"line 2: the cell of the file is empty"),
            (("file,emotion", "x.wav,sad,1,2"), r"a\.csv"),
        ],
    )
    def test_tables_that_do_not_read(self, tmp_path, lines, message):
        table(tmp_path / "corpus/a.csv", *lines)
        with pytest.raises(ValueError, match=message):
            load_clips("table_of_clips", touch(tmp_path / "corpus", "x.wav"), table="a.csv")

    @pytest.mark.parametrize(("columns", "message"), [(("who=a",), "with a role of"), (("speaker=who",), "has no column 'who'")])
    def test_columns_that_are_not_there(self, tmp_path, columns, message):
        table(tmp_path / "a.csv", "file,emotion", "x.wav,sad")
        with pytest.raises(ValueError, match=message):
            load_clips("table_of_clips", touch(tmp_path, "x.wav"), table="a.csv", columns=columns)

    def test_a_table_that_is_no_text(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"file,emotion\n\x81\x8d,sad\n")
        with pytest.raises(ValueError, match=r"a\.csv, line 2: expected text in UTF-8"):
            load_clips("table_of_clips", tmp_path, table="a.csv")
