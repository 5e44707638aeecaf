"""Third-party split lists: every layout is read, every leak is found by name, and errors of invalid lists name the mistake."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avemo_jax.clips import SharedMedia
from avemo_jax.config import Corpus, Experiment, Protocol
from avemo_jax.modes.audit_lists import audit_lists
from avemo_jax.protocols.audit.split_list import SplitListError, audit_split_list, read_split_list
from data_prep.duplicates.near_duplicates import Comparison

ROOT = Path(__file__).resolve().parents[3]
CONFIG = Experiment()


def written(tmp_path, text: str, name: str = "splits.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def folds_of(path, columns=None):
    return {
        fold.name: {part: list(getattr(fold, part)) for part in ("train", "validation", "test")}
        for fold in read_split_list(path, columns).folds
    }


def stopping(path, columns=None, **options):
    return {finding.name for finding in audit_split_list(read_split_list(path, columns), **options) if finding.stops}


def test_one_split(tmp_path):
    path = written(tmp_path, "File,Actor,Usage\na.wav,1,Training\nb.wav,2,PublicTest\nc.wav,3,PrivateTest\n\nd.wav,4,unused\n")
    assert folds_of(path) == {"split": {"train": ["a.wav"], "validation": ["b.wav"], "test": ["c.wav"]}}
    split = read_split_list(path)
    assert split.columns["path"] == "File" and split.columns["speaker"] == "Actor" and not split.each_once
    assert [item.speaker for item in split.items] == ["1", "2", "3", "4"]
    assert [clip.audio for clip in split.clips()] == ["a.wav", "b.wav", "c.wav", "d.wav"]


def test_a_column_with_the_fold_in_which_a_clip_is_tested(tmp_path):
    path = written(tmp_path, "clip;fold;speaker\na;2;x\nb;10;y\nc;2;x\nd;1;z\n")
    assert folds_of(path) == {
        "fold 1": {"train": ["a", "b", "c"], "validation": [], "test": ["d"]},
        "fold 2": {"train": ["b", "d"], "validation": [], "test": ["a", "c"]},
        "fold 10": {"train": ["a", "c", "d"], "validation": [], "test": ["b"]},
    }
    assert read_split_list(path).each_once and stopping(path) == set()


def test_a_row_for_every_clip_and_fold(tmp_path):
    parts = ("test", "train", "dev")
    rows = [f"{clip}\t{fold}\t{parts[(fold - clip) % 3]}" for fold in range(3) for clip in range(3)]
    path = written(tmp_path, "\n".join(["name\tfold\tset", *rows]))
    assert folds_of(path)["fold 1"] == {"train": ["0"], "validation": ["2"], "test": ["1"]}


def test_a_column_a_fold(tmp_path):
    path = written(tmp_path, "utt_id,fold_1,fold_2\na,train,test\nb,test,val\nc,val,train\n")
    assert folds_of(path) == {
        "fold_1": {"train": ["a"], "validation": ["c"], "test": ["b"]},
        "fold_2": {"train": ["c"], "validation": ["b"], "test": ["a"]},
    }


def test_columns_with_other_names_can_be_given(tmp_path):
    path = written(tmp_path, "take,who,where\na,x,train\nb,x,test\n")
    with pytest.raises(SplitListError, match="no column of take, who, where is known to name the clip; set --columns=clip=NAME"):
        read_split_list(path)
    columns = {"clip": "take", "speaker": "who", "part": "where"}
    assert stopping(path, columns) == {"speaker_in_two_parts"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("clip,speaker,part\na,x,train\nb,x,test\n", "speaker_in_two_parts"),
        ("clip,speaker,part\na,x,train\nb,y,val\nc,y,test\n", "speaker_in_two_parts"),
        ("clip,part\na,train\na,test\n", "clip_in_two_parts"),
        ("clip,start,end,part\na,0,2,train\na,2,4,test\n", "segments_in_two_parts"),
        ("path,part\na_seg01.wav,train\na_seg02.wav,test\n", "segments_in_two_parts"),
        ("path,part\nv_frame_0001.png,train\nv_frame_0002.png,test\n", "segments_in_two_parts"),
        ("clip,recording,part\na,r,train\nb,r,test\n", "segments_in_two_parts"),
        ("clip,path,start,end,part\na,t.wav,0,2,train\nb,t.wav,1,3,test\n", "segments_in_two_parts"),
        ("clip,path,part\na,t.wav,train\nb,t.wav,test\n", "same_bytes_in_two_parts"),
        ("clip,part\na,train\nb,test\nc,\n", "clip_dropped"),
        ("clip,part\na,train\nb,test\nb,test\n", "clip_counted_twice"),
        ("clip,fold1,fold2\na,train,test\n" + "".join(f"x{n},test,train\n" for n in range(9)) + "b,test,test\n", "clip_counted_twice"),
        ("clip,fold1,fold2\na,train,test\n" + "".join(f"x{n},test,train\n" for n in range(10)) + "b,train,train\n", "clip_dropped"),
    ],
)
def test_leaks_in_lists_are_found(tmp_path, text, name):
    assert stopping(written(tmp_path, text)) == {name}


def test_shared_sentences_are_an_error_unless_all_speakers_read_them(tmp_path):
    own = "".join(f"t{n},s{n},text {n % 60},train\n" for n in range(90)) + "last,z,text 7,test\n"
    assert stopping(written(tmp_path, "clip,speaker,sentence,part\n" + own)) == {"sentence_in_two_parts"}
    read = "".join(f"s{who}-{n},s{who},text {n},{'test' if who == 3 else 'train'}\n" for who in range(4) for n in range(60))
    assert stopping(written(tmp_path, "clip,speaker,sentence,part\n" + read)) == set()


def test_findings_that_are_no_leak_are_info(tmp_path):
    path = written(tmp_path, "clip,label,part\na,happy,train\nb,sad,test\nb,happy,test\n")
    names = {finding.name for finding in audit_split_list(read_split_list(path))}
    assert {"labels_disagree", "speakers_unknown", "validation_absent", "media_not_compared"} <= names


def test_shared_media_in_two_parts_are_found(tmp_path):
    path = written(tmp_path, "path,part\na.wav,train\nb.wav,test\n")
    assert stopping(path, shared_media=[SharedMedia("a.wav", "b.wav", "sound", "")]) == {"near_duplicate_in_two_parts"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("clip,part\n", "expected rows below the header"),
        ("clip,clip,part\na,b,train\n", "different names of columns, 'clip' occur twice"),
        ("clip,part\na,train\nb\n", "line 3: expected 2 cells as in the header, found 1: b"),
        ("clip,part\na,train\nb,somewhere\n", "line 3: 'somewhere' is no part; expected one of: train, training"),
        ("clip,part\n,train\n", "line 2: the row names no clip"),
        ("clip,speaker\na,b\n", "no column of clip, speaker is known to hold the part or the fold"),
        ("clip,fold\na,\n", "line 2: expected the test fold of the clip in column 'fold', found nothing"),
        ("clip,part\na,train\nb,val\n", "no clip is in a test part"),
        ("clip,start,part\na,soon,test\n", "line 2: expected start in seconds, got 'soon'"),
        ("clip,speaker,fold,part\na,x,1,train\na,y,2,test\n", "line 3: clip a has speaker 'y', and 'x' in an earlier row"),
        ('clip,part\n"a,train\n', "line 2: expected a table of cells, unexpected end of data"),
    ],
)
def test_errors_of_invalid_lists_name_the_mistake(tmp_path, text, message):
    with pytest.raises(SplitListError, match=message):
        read_split_list(written(tmp_path, text))


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(SplitListError, match="no such file"):
        read_split_list(tmp_path / "absent.csv")
    (tmp_path / "sound.wav").write_bytes(b"RIFF\xff\xfe\x00")
    with pytest.raises(SplitListError, match="expected a table, found a binary file"):
        read_split_list(tmp_path / "sound.wav")
    path = written(tmp_path, "clip,part\na,test\n")
    with pytest.raises(SplitListError, match="has no column who; it has clip, part"):
        read_split_list(path, {"speaker": "who"})
    with pytest.raises(SplitListError, match="has an unknown role mood; expected clip, path"):
        read_split_list(path, {"mood": "part"})


def test_media_are_found_in_the_folder_of_the_list_and_below_the_root(tmp_path, capsys):
    (tmp_path / "media").mkdir()
    (tmp_path / "lists").mkdir()
    for name in ("a.wav", "b.wav", "dropped.wav"):
        (tmp_path / "media" / name).write_bytes(b"sound")
    path = written(tmp_path / "lists", "path,part\na.wav,train\nb.wav,test\ngone.wav,test\n")
    asked = []

    def compare(clips, root):
        asked.append((len(clips), root))
        return Comparison((SharedMedia("a.wav", "b.wav", "bytes", "equal"),), 2, {"gone.wav": "there is no file"})

    config = dataclasses.replace(CONFIG, corpus=Corpus(root=str(tmp_path / "media")))
    findings = audit_lists(config, [str(path)], [], compare, output=str(tmp_path / "out"))
    assert asked == [(3, tmp_path / "media")]
    by_name = {finding.name: finding for finding in findings}
    assert by_name["same_bytes_in_two_parts"].stops
    assert by_name["media_not_listed"].examples == ("dropped.wav",) and by_name["media_not_compared"].count == 1
    (entry,) = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert entry["list"] == str(path) and entry["findings"][0]["finding"] == "same_bytes_in_two_parts"
    assert "same_bytes_in_two_parts (error)" in capsys.readouterr().out
    allowed = dataclasses.replace(config, protocol=Protocol(allow_leaks=("same_bytes_in_two_parts",)))
    assert not any(finding.stops for finding in audit_lists(allowed, [str(path)], [], compare))
    assert [finding.name for finding in audit_lists(CONFIG, [str(path)], [], compare) if finding.count == 3][-1] == "media_not_compared"
    with pytest.raises(SplitListError, match="--columns expects role=column"):
        audit_lists(config, [str(path)], ["speaker"], compare)


def test_the_command_line_prints_errors_and_exits_with_1(tmp_path):
    """A duplicate among real files is found by the command, without a corpus and without training."""
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * random.normal(size=8000) * np.hanning(8000), 8000)
    shutil.copy(tmp_path / "a.wav", tmp_path / "copy.wav")
    path = written(tmp_path, "path,who,part\na.wav,1,train\nb.wav,2,val\ncopy.wav,3,test\nc.wav,3,test\n")

    def command(*more):
        line = [sys.executable, "run.py", "--mode=audit", f"--input={path}", "--columns=speaker=who", f"--config.prepared_dir={tmp_path}/p"]
        return subprocess.run([*line, *more], cwd=ROOT, capture_output=True, text=True, timeout=120)

    done = command(f"--output={tmp_path}/out")
    assert done.returncode == 1, done.stderr
    assert "same_bytes_in_two_parts (error): 1 pair" in done.stdout and "4 clips" in done.stdout
    assert json.loads((tmp_path / "out" / "audit.json").read_text())[0]["findings"][0]["examples"]
    path.write_text(path.read_text().replace("copy.wav,3,test", "copy.wav,1,train"))
    done = command()
    assert done.returncode == 0 and "duplicates_in_one_part (info)" in done.stdout, done.stderr
    path.write_text("path,part\na.wav,somewhere\n")
    done = command()
    assert done.returncode == 1 and "Traceback" not in done.stderr


PARTS_IN_FILES = {"train": "clip,speaker\na,1\nb,2\n", "valid": "clip,speaker\nc,3\n", "test": "clip,speaker\nd,01\n"}


def part_files(tmp_path, form: str, folder: str = "lists") -> list[Path]:
    (tmp_path / folder).mkdir()
    return [written(tmp_path / folder, text, form.format(part)) for part, text in PARTS_IN_FILES.items()]


@pytest.mark.parametrize("form", ["{}.csv", "{}_list.csv", "emotion-{}.txt", "{}1.csv", "my.{}.csv"])
def test_a_split_may_be_a_file_a_part(tmp_path, form):
    split = read_split_list(part_files(tmp_path, form))
    (fold,) = split.folds
    assert (fold.name, fold.train, fold.validation, fold.test) == ("split", ("a", "b"), ("c",), ("d",))
    assert {finding.name for finding in audit_split_list(split) if finding.stops} == {"speaker_in_two_parts"}


@pytest.mark.parametrize(("folder", "name"), [("fold_1", "fold 1"), ("Fold-02", "fold 02"), ("split3", "fold 3"), ("cv", "split")])
def test_a_folder_may_be_a_fold(tmp_path, folder, name):
    files = part_files(tmp_path, "{}.csv", folder)
    assert [fold.name for fold in read_split_list(files).folds] == [name]


def test_the_folds_of_several_folders_are_one_list(tmp_path):
    files = [*part_files(tmp_path, "{}.csv", "fold_1"), *part_files(tmp_path, "{}.csv", "fold_2")]
    assert [(fold.name, fold.test) for fold in read_split_list(files).folds] == [("fold 1", ("d",)), ("fold 2", ("d",))]


def test_json_lines_of_a_toolkit_are_read_with_their_names(tmp_path):
    lines = '{"key": "a", "wav": "x/a.wav", "spk": "1", "emo": "sad", "split": "train"}\n{"key": "b", "spk": "01", "split": "test"}\n'
    split = read_split_list(written(tmp_path, lines, "list.jsonl"))
    assert [(item.item_id, item.speaker, item.label) for item in split.items] == [("a", "1", "sad"), ("b", "01", "")]
    assert {finding.name for finding in audit_split_list(split) if finding.stops} == {"speaker_in_two_parts"}


def test_several_files_need_a_part_in_every_name(tmp_path):
    files = [written(tmp_path, "clip,speaker\na,1\n", name) for name in ("train.csv", "rest.csv")]
    with pytest.raises(SplitListError, match=r"rest\.csv: expected a name that says the part"):
        read_split_list(files)
    doubled = [written(tmp_path, "clip,part\na,train\n", name) for name in ("train.csv", "test.csv")]
    with pytest.raises(SplitListError, match="part stands in a column of the lists and in the names of their files"):
        read_split_list(doubled)


@pytest.mark.parametrize("outside", ["../secret.wav", "{}/secret.wav", "a/../../secret.wav"])
def test_media_outside_of_the_lists_folder_are_never_opened(tmp_path, outside):
    (tmp_path / "lists").mkdir()
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "lists" / "own.wav").write_bytes(b"own")
    text = f"path,part\nown.wav,train\n{outside.format(tmp_path)},test\n"
    opened = []

    def compare(clips, root):
        opened.extend((root / clip.audio).resolve() for clip in clips)
        return Comparison((), len(clips), {})

    findings = audit_lists(CONFIG, [str(written(tmp_path / "lists", text))], [], compare)
    assert opened == [tmp_path / "lists" / "own.wav"]
    (missed,) = (finding for finding in findings if finding.name == "media_not_compared")
    assert "lies outside of" in missed.detail and "--config.corpus.root" in missed.detail


@pytest.mark.parametrize(
    ("names", "media"),
    [
        (("a.wav", "a.OPUS", "a.mka"), {"audio"}),
        (("a.png", "a.webp", "a.JPG"), {"video"}),
        (("a.mp4", "a.m4v", "a.3gp", "a.ogv", "a.TS", "a.gif", "a.mxf", "a", "a.b"), {"audio", "video"}),
    ],
)
def test_of_films_sound_and_picture_are_compared(tmp_path, names, media):
    """And of files of an unknown kind: one recording as a film in one part and as a sound in another is a leak."""
    for clip in read_split_list(written(tmp_path, "path,part\n" + "".join(f"{name},test\n" for name in names))).clips():
        assert {medium for medium in ("audio", "video") if getattr(clip, medium)} == media, clip


def test_clips_that_are_named_as_files_are_their_media_where_no_column_names_any(tmp_path):
    text = "clip,part\nA/a.wav,train\nA\\b.MP4,test\nc,test\nd.npy,test\n"
    media = {item.item_id: [span.path for span in item.media] for item in read_split_list(written(tmp_path, text)).items}
    assert media == {"A/a.wav": ["A/a.wav"], "A\\b.MP4": ["A/b.MP4"], "c": [], "d.npy": []}


@pytest.mark.parametrize("column", ["audio_file", "wav_file", "wav_path", "video_file", "image_path", "media_file", "Audio FilePath"])
def test_media_are_found_in_columns_of_many_names(tmp_path, column):
    """A column of files that is not recognised would leave the media uncompared."""
    split = read_split_list(written(tmp_path, f"clip,{column},part\na,media/1.wav,train\nb,media/2.wav,test\n"))
    assert [item.media[0].path for item in split.items] == ["media/1.wav", "media/2.wav"]


def test_decimal_commas_are_times(tmp_path):
    (item,) = read_split_list(written(tmp_path, "path;start;end;part\na.wav;0,5;2,5;test\n")).items
    assert (item.media[0].start_s, item.media[0].end_s) == (0.5, 2.5)


def test_files_of_parts_may_be_named_in_both_ways(tmp_path, monkeypatch):
    files = part_files(tmp_path, "{}.csv")
    monkeypatch.chdir(tmp_path / "lists")
    assert read_split_list([files[0], Path("valid.csv"), Path("test.csv")]).path == tmp_path / "lists"
