"""The doctor tries what `train` does: media that are none are named, one clip of each kind goes through a worker, the plan is made."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avemo_jax import api
from avemo_jax.clips import Clip
from avemo_jax.config import parse
from configs import ravdess
from data_prep import doctor as doctor_module
from data_prep.doctor import doctor
from data_prep.media_check import find_impostors, try_view
from data_prep.views import make_view

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def write_wav(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (3000 * np.sin(np.arange(8000) / 9)).astype("<i2")
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(16000)
        stream.writeframes(samples.tobytes())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (POINTER, ""),  # named once, where the corpus is read
        (None, "absent"),
        (b"RIFF", ""),
    ],
)
def test_files_that_are_no_media_are_named(content, problem, tmp_path):
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    found = find_impostors([Clip("a", "x", "happy", "1", audio="a.wav"), Clip("b", "x", "happy", "1")], tmp_path)
    assert ([*found.values()], bool(problem)) == ([["a.wav"]] if problem else [], any(problem in key for key in found))


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(path)


def test_one_clip_of_each_kind_is_decoded_in_a_worker(tmp_path):
    """A kind of which the first is damaged is tried up to three times; a clip without the medium is not tried."""
    write_picture(tmp_path / "2.png")
    for name in ("1.png", "1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    names = ("1.png", "2.png", "1.jpg", "2.jpg")
    clips = [Clip(name, "x", "happy", "1", video=name) for name in names] + [Clip("sound", "x", "happy", "1", audio="1.wav")]
    read, lost = try_view(make_view("still", crop="whole"), clips, tmp_path)
    assert read == {".png": "2.png"} and list(lost) == [".jpg"] and lost[".jpg"].startswith("1.jpg: ")


def experiment(root: Path, tmp_path: Path, system: str):
    config = ravdess.get_config(system)
    config.corpus.root, config.prepared_dir, config.workdir = str(root), str(tmp_path / "prepared"), str(tmp_path / "run")
    config.protocol.name = "speaker_k"
    return parse(config.to_dict())


def small_ravdess(root: Path, num_actors: int) -> Path:
    for actor in range(1, num_actors + 1):
        for emotion in range(1, 9):
            write_wav(root / f"Actor_{actor:02d}" / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav")
    return root


@pytest.mark.parametrize(
    ("num_actors", "system", "is_ok", "sentences"),
    [
        (
            10,
            "small_audio",
            True,
            ["80 of 1440 clips of 10 of 24 speakers", ".wav can be read", "5 folds of speaker_k over 80 labelled clips"],
        ),
        (1, "small_audio", False, ["8 of 1440 clips of 1 of 24 speakers", "speaker_k needs at least 3", "! plan"]),
        (6, "small_audio_video", False, ["! plan", "stream video needs picture, and none of the 48 clips has any"]),
    ],
)
def test_it_fails_where_train_would(num_actors, system, is_ok, sentences, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("data_prep.media_check.try_view", lambda *_: ({".wav": "a"}, {}))  # tested above
    root = small_ravdess(tmp_path / "corpus", num_actors)
    assert api.doctor(experiment(root, tmp_path, system)) == is_ok
    printed = capsys.readouterr().out
    for sentence in sentences:
        assert sentence in printed, printed
    assert not (tmp_path / "prepared").exists() and not (tmp_path / "run").exists()


def test_media_that_are_pointers_are_doubtful_until_none_can_be_read(tmp_path, monkeypatch):
    def here(function, tasks, **_):
        return ((name, function(task)) for name, task in tasks.items())

    monkeypatch.setattr("data_prep.media_check.run_tasks", here)
    files = [tmp_path / "jaffe" / f"KA.AN{number}.{number}.tiff" for number in (1, 2, 3, 4)]
    for file in files:
        write_picture(file)
    (tmp_path / "requirements.txt").write_text("numpy>=1\n")

    def look():
        given = {"views": {"still": {"crop": "whole"}}, "requirements": tmp_path / "requirements.txt", "prepared_dir": tmp_path}
        return doctor(corpus="jaffe", corpus_root=tmp_path / "jaffe", **given)

    files[0].write_bytes(POINTER)
    report, is_ok = look()
    assert is_ok, report
    assert "1 of 4 media files of jaffe are each a Git LFS pointer" in report and files[0].name in report
    assert report.count("Git LFS pointer") == 1
    for file in files:
        file.write_bytes(POINTER)
    report, is_ok = look()
    assert not is_ok and "! jaffe" in report and "4 of 4 media files of jaffe are each a Git LFS pointer" in report


def test_folders_that_cannot_be_written_are_named_with_their_flag(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("numpy>=1\n")
    real = doctor_module.tempfile.TemporaryFile

    def refuse(dir):
        if "read-only" in str(dir):
            raise OSError(30, os.strerror(30))
        return real(dir=dir)

    monkeypatch.setattr(doctor_module.tempfile, "TemporaryFile", refuse)
    prepared = tmp_path / "read-only"
    prepared.mkdir()
    kept = {"requirements": tmp_path / "requirements.txt", "prepared_dir": prepared, "written": (tmp_path / "run", prepared)}
    report, is_ok = doctor(**kept)
    assert not is_ok and "Read-only file system" in report and "--config.prepared_dir=" in report
    assert not (tmp_path / "run").exists()
    (prepared / "set").mkdir()
    (prepared / "set" / "manifest.json").write_text('{"num_examples": 1, "num_clips": 1, "view": "mfcc", "corpus": "x"}')
    report, is_ok = doctor(**kept)
    assert is_ok and "the sets that are finished there can be used" in report


def test_a_machine_on_which_jax_does_not_start_is_one_line_with_its_fix(tmp_path, monkeypatch):
    def fail():
        raise doctor_module.MachineError("JAX_PLATFORMS=cuda, and JAX finds no such device here; install it or unset JAX_PLATFORMS")

    monkeypatch.setattr(doctor_module, "start_jax", fail)
    monkeypatch.setattr(doctor_module, "_packages", lambda _: ())
    report, is_ok = doctor(prepared_dir=tmp_path, checks={"plan": lambda: pytest.fail("needs JAX")})
    assert not is_ok and "fix: install it or unset JAX_PLATFORMS" in report
