"""Trees as they are found: links, converted files, near misses, pointers; the same for all readers that walk a folder."""

from __future__ import annotations

import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_trees import touch

from avemo_jax.identity import FILM_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES
from data_prep import doctor
from data_prep.corpora import CORPORA, CorpusNotFound, load_clips, num_clips_of_owner
from data_prep.corpora.layout import MediaNotFetched, recordings
from data_prep.corpora.walk import walk
from data_prep.sets.staging import StageTask, stage_media, staged_path
from data_prep.views import make_view

POINTERS = {
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72862\n",
    "a git-annex pointer": b"/annex/objects/MD5E-s72862--00.wav\n",
    "a web page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
}


def speech(actor: int, emotion: int = 1, suffix: str = ".wav") -> str:
    return f"Actor_{actor:02}/03-01-{emotion:02}-01-01-01-{actor:02}{suffix}"


def paths(tree_files: tuple[Path, ...], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in tree_files]


class TestWalk:
    def test_links_to_folders_and_files_are_followed(self, tmp_path):
        root, store = tmp_path / "corpus", tmp_path / "store"
        touch(root, speech(1))
        touch(store, speech(2), "objects/x")
        (root / "Actor_02").symlink_to(store / "Actor_02")
        (root / "Actor_03").mkdir()
        (root / speech(3)).symlink_to(store / "objects/x")
        assert paths(walk(root).files, root) == [speech(1), speech(2), speech(3)]
        assert {clip.speaker for clip in load_clips("ravdess", root)} == {"01", "02", "03"}

    def test_all_folders_are_links_and_so_is_the_root(self, tmp_path):
        touch(tmp_path / "store", *(speech(actor) for actor in range(1, 25)))
        (tmp_path / "real").mkdir()
        for actor in range(1, 25):
            (tmp_path / f"real/Actor_{actor:02}").symlink_to(Path("../store") / f"Actor_{actor:02}")
        (tmp_path / "corpus").symlink_to("real")
        assert len(load_clips("ravdess", tmp_path / "corpus")) == 24

    def test_loops_end_and_a_folder_counts_once_under_its_own_name(self, tmp_path):
        touch(tmp_path, "b/c/x.wav")
        (tmp_path / "b/c/up").symlink_to("../..")
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "me").symlink_to("me")
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")
        assert paths(walk(tmp_path).files, tmp_path) == ["b/c/x.wav"]
        assert paths(walk(tmp_path).broken, tmp_path) == ["me", "one", "two"]

    def test_folders_that_all_link_to_each_other(self, tmp_path):
        touch(tmp_path, *(f"{name}/{name}.wav" for name in "abcdefghij"))
        for folder in "abcdefghij":
            for other in "abcdefghij":
                (tmp_path / folder / f"to_{other}").symlink_to(tmp_path / other)
        assert paths(walk(tmp_path).files, tmp_path) == [f"{name}/{name}.wav" for name in "abcdefghij"]

    def test_broken_links_are_named(self, tmp_path):
        touch(tmp_path, speech(1))
        for emotion in (2, 3):
            (tmp_path / speech(1, emotion)).symlink_to("../.git/annex/objects/x.wav")
        with pytest.warns(MediaNotFetched, match=r"2 links lead nowhere: Actor_01/03-01-02.*git annex get"):
            assert len(load_clips("ravdess", tmp_path)) == 1
        (tmp_path / speech(1)).unlink()
        with pytest.warns(MediaNotFetched), pytest.raises(CorpusNotFound, match=r"nearly: .*2 links lead nowhere"):
            load_clips("ravdess", tmp_path)

    def test_hidden_files_repositories_and_what_macos_leaves_are_no_media(self, tmp_path):
        touch(tmp_path, speech(1), f".git/annex/{speech(2)}", f"__MACOSX/{speech(3)}", "Actor_01/._03-01-02-01-01-01-01.wav")
        assert len(load_clips("ravdess", tmp_path)) == 1

    def test_any_depth(self, tmp_path):
        deep = "/".join("abcdefghijklmnop")
        touch(tmp_path, f"{deep}/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.flac")
        labels = tmp_path / deep / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        labels.parent.mkdir(parents=True)
        labels.write_text("[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\n")
        with pytest.warns(UserWarning):
            (clip,) = load_clips("iemocap", tmp_path)
        assert clip.audio == f"{deep}/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.flac"
        touch(tmp_path / "ck", f"{deep}/S005_001_00000011.png", f"{deep}/S005_001_00000011_emotion.txt")
        (tmp_path / "ck" / deep / "S005_001_00000011_emotion.txt").write_text("   3.0000000e+00")
        assert [clip.label for clip in load_clips("ck_plus", tmp_path / "ck")] == ["disgust"]


class TestEndings:
    @pytest.mark.parametrize("suffix", [*SOUND_SUFFIXES, ".WAV", ".Flac"])
    def test_converted_sound_is_read(self, tmp_path, suffix):
        touch(tmp_path, speech(5, suffix=suffix), f"emodb/03a01Fa{suffix}")
        with pytest.warns(UserWarning, match="their names are not"):
            assert [clip.audio for clip in load_clips("ravdess", tmp_path)] == [speech(5, suffix=suffix)]
            assert [clip.audio for clip in load_clips("emodb", tmp_path)] == [f"emodb/03a01Fa{suffix}"]

    @pytest.mark.parametrize("suffix", FILM_SUFFIXES)
    def test_converted_films_are_read(self, tmp_path, suffix):
        name = f"01-01-01-01-01-01-05{suffix}"
        touch(tmp_path, name)
        (clip,) = load_clips("ravdess", tmp_path)
        assert (clip.audio, clip.video) == (name, name)
        touch(tmp_path / "rml", f"s1/an1{suffix}")
        assert load_clips("rml", tmp_path / "rml")[0].video == f"s1/an1{suffix}"

    @pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
    def test_converted_pictures_are_read(self, tmp_path, suffix):
        touch(tmp_path, f"KA.AN1.39{suffix}")
        assert load_clips("jaffe", tmp_path)[0].video == f"KA.AN1.39{suffix}"

    def test_the_owner_s_ending_comes_first_of_copies(self, tmp_path):
        touch(tmp_path, f"a/b/{speech(5)}", speech(5, suffix=".flac"), speech(5, suffix=".mp3"))
        with pytest.warns(UserWarning, match="second copies.*2 files"):
            assert load_clips("ravdess", tmp_path)[0].audio == f"a/b/{speech(5)}"

    def test_near_misses_are_said(self, tmp_path):
        touch(tmp_path, *(speech(actor, suffix=".npy") for actor in range(1, 11)))
        with pytest.raises(CorpusNotFound, match=r"nearly: +10 names fit, their ending \.npy: such files cannot be decoded"):
            load_clips("ravdess", tmp_path)

    @pytest.mark.parametrize(
        ("name", "file", "message"),
        [
            ("ravdess", "Audio_Speech_Actors_01-24.zip", r"1 archives: Audio_Speech.*; unpack them"),
            ("enterface", "happy/s1_ha_1.avi", r"1 names fit, their ending \.avi: such files hold films, and the names of the folders"),
            ("crema_d", "AudioWAV/1001_ieo_ang_hi.wav", r"1 names fit but for capital and small letters"),
            ("ck48", "S010_004_00000017.png", r"1 names fit, their ending \.png: such files hold pictures, and"),
        ],
    )
    def test_other_near_misses(self, tmp_path, name, file, message):
        touch(tmp_path, file)
        with warnings.catch_warnings(action="ignore"), pytest.raises(CorpusNotFound, match=message):
            load_clips(name, tmp_path)


def test_names_are_one_in_both_forms_of_unicode(tmp_path):
    composed = "Jürgen/läuft"
    touch(tmp_path, f"{unicodedata.normalize('NFD', composed)}.wav", f"{composed}.mp4")
    found = recordings(tmp_path, {".wav", ".mp4"}, lambda path: (path.with_suffix("").as_posix(), path.suffix), pattern="any")
    assert list(found) == [composed]
    assert all((tmp_path / name).is_file() for name in found[composed].values())


class TestPointers:
    @pytest.mark.parametrize("what", POINTERS)
    @pytest.mark.parametrize("name", ["AudioWAV/1001_IEO_ANG_HI.wav", "VideoFlash/1001_IEO_ANG_HI.flv", "AudioMP3/1001_IEO_ANG_HI.mp3"])
    def test_a_corpus_of_them_is_not_there(self, tmp_path, what, name):
        touch(tmp_path, name)
        (tmp_path / name).write_bytes(POINTERS[what])
        with pytest.raises(CorpusNotFound, match=rf"1 of 1 media files of crema_d are each {what}"):
            load_clips("crema_d", tmp_path)

    def test_some_of_them_are_marked_by_the_doctor_and_named_when_prepared(self, tmp_path):
        names = [speech(actor) for actor in (1, 2, 3)]
        touch(tmp_path, *names)
        soundfile.write(tmp_path / names[0], np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
        (tmp_path / names[1]).write_bytes(POINTERS["a Git LFS pointer"])
        (tmp_path / names[2]).write_bytes(POINTERS["a web page"])
        finding = doctor._corpus("ravdess", tmp_path, {})
        assert finding.detail.startswith("3 of 1440 clips of 3 of 24 speakers") and finding.is_doubtful
        assert "1 of 3 media files of ravdess are each a Git LFS pointer; `git lfs pull`" in finding.detail
        with pytest.warns(MediaNotFetched):
            clips = load_clips("ravdess", tmp_path)
        staged = [stage_media(StageTask(clip, make_view("mfcc_mean"), tmp_path, staged_path(tmp_path, clip.clip_id))) for clip in clips]
        assert [(clip.num_segments > 0, clip.damage and clip.damage.kind) for clip in staged] == [
            *((True, None), (False, "missing"), (False, "missing"))
        ]
        assert "is a Git LFS pointer" in staged[1].damage.detail and "is a web page" in staged[2].damage.detail

    def test_media_and_labels_in_markup_are_none(self, tmp_path):
        touch(tmp_path, speech(1))
        (tmp_path / speech(1)).write_bytes(b"RIFF\x24\0\0\0WAVE<html>")
        assert len(load_clips("ravdess", tmp_path)) == 1


def test_the_owner_s_count_follows_the_options():
    assert num_clips_of_owner("ravdess", {"channel": "speech", "num_actors": 3}) == 1440
    assert num_clips_of_owner("ravdess", {"channel": "song"}) == 1012
    assert num_clips_of_owner("ck_plus", {"first_frames": True}) == 654
    assert num_clips_of_owner("ravdess+savee", {"channel": "speech"}) == 1920
    assert num_clips_of_owner("enterface", {}) is None and num_clips_of_owner("enterface+savee", {}) is None
    assert all(num_clips_of_owner(name, {}) in (None, module.NUM_CLIPS) or module.NUM_CLIPS is None for name, module in CORPORA.items())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folders_that_may_not_be_read_are_named(tmp_path):
    touch(tmp_path, speech(1), speech(2))
    (tmp_path / "Actor_02").chmod(0)
    try:
        with pytest.warns(MediaNotFetched, match="1 folders may not be read: Actor_02"):
            assert len(load_clips("ravdess", tmp_path)) == 1
    finally:
        (tmp_path / "Actor_02").chmod(0o755)
