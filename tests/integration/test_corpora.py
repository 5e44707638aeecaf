"""Train on one corpus of each kind in docs/corpora.md from the owner's layout: audio, video, and stills of three joined corpora."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from demo_run import ROOT
from PIL import Image
from written_media import numbered_images, write_video

from data_prep.corpora import cfe, ck_plus, enterface, jaffe, tess

pytestmark = pytest.mark.slow

RATE_HZ = 16000


def run(config: str, workdir: Path, *, mode: str = "train", **fields: object) -> subprocess.CompletedProcess:
    """Start run.py; a field's dots are written as two underscores."""
    fields = {"workdir": workdir, "prepared_dir": workdir.parent / "prepared", "train__tensorboard": False} | fields
    flags = [f"--config.{name.replace('__', '.')}={value}" for name, value in fields.items()]
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), f"--config={ROOT / 'configs' / config}", f"--mode={mode}", *flags],
        capture_output=True,
        text=True,
        cwd=workdir.parent,
    )


def noise(level: float, rng: np.random.Generator) -> np.ndarray:
    """Return one second of noise, different in every file."""
    return np.clip(rng.normal(0, level, RATE_HZ), -1, 1).astype(np.float32)


def picture(path: Path, level: int, size_px: int, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(rng.normal(level, 10, (size_px, size_px)), 0, 255).astype(np.uint8)).save(path)


def test_audio_corpus_with_a_cross_speaker_protocol(tmp_path):
    root, rng = tmp_path / "TESS", np.random.default_rng(0)
    for speaker in ("OAF", "YAF"):
        for number, emotion in enumerate(tess.EMOTIONS):
            (root / f"{speaker}_{emotion}").mkdir(parents=True)
            for word in ("back", "bar", "base", "bath", "bean"):
                path = root / f"{speaker}_{emotion}" / f"{speaker}_{word}_{emotion}.wav"
                kind = "AIFF" if (speaker, word, emotion) == ("YAF", "bar", "fear") else "WAV"
                soundfile.write(path, noise(0.02 * (number + 1), rng), 24414, subtype="PCM_16", format=kind)
    finished = run("tess.py:mfcc_lstm", tmp_path / "run", corpus__root=root, train__num_epochs=1, protocol__baseline=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["corpus"], results["protocol"], results["label_set"]) == ("tess", "cross_speaker2", "basic7")
    assert (results["num_clips"], results["num_undecodable"], results["speaker_independent"]) == (70, 0, True)
    with (tmp_path / "run" / "predictions.csv").open() as stream:
        assert {(row["fold"], row["speaker"]) for row in csv.DictReader(stream)} == {("fold1", "OAF"), ("fold2", "YAF")}


def test_video_corpus_with_both_streams(tmp_path):
    root, rng = tmp_path / "eNTERFACE05", np.random.default_rng(0)
    for subject, sentence in ((1, 1), (11, 2), (20, 3)):
        for emotion in enterface.EMOTIONS:
            path = root / f"subject {subject}/{emotion}/sentence {sentence}/s12_{emotion[:2]}_{sentence}.avi"
            path.parent.mkdir(parents=True)
            write_video(path, numbered_images(25), sound=noise(0.1, rng), sound_rate_hz=RATE_HZ)
    fields = {
        "views__frames__size_px": 16,
        "streams__video__view": "frames",
        "protocol__baseline": False,
        "protocol__name": "speaker_k",
        "protocol__num_folds": 3,
    }
    finished = run("enterface.py:small_audio_video", tmp_path / "run", mode="prepare", corpus__root=root, **fields)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for view in ("mfcc", "frames"):
        (directory,) = (tmp_path / "prepared").glob(f"enterface-{view}-*")
        manifest = json.loads((directory / "manifest.json").read_text())
        assert (manifest["num_clips"], manifest["num_examples"]) == (18, 18)
        assert json.loads((directory / "damage.json").read_text()) == {}


@pytest.mark.long  # their readers, joining and the network of stills each have tests of their own
def test_stills_of_three_joined_corpora(tmp_path):
    rng = np.random.default_rng(0)
    for number, code in enumerate(jaffe.EMOTIONS):
        for model in jaffe.MODELS[:4]:
            picture(tmp_path / f"jaffe/{model}.{code}1.{number}.tiff", 30 * number, 64, rng)
    for number, word in enumerate(ck_plus.EMOTIONS[1:]):
        for subject, frame in ((subject, frame) for subject in range(5, 9) for frame in (10, 11, 12)):
            picture(tmp_path / f"CK+48/{word}/S{subject:03}_001_{1000 * number + frame:08}.png", 30 * number, 48, rng)
    for category in cfe.EMOTIONS:
        for subject in range(101, 105):
            picture(tmp_path / f"CFEE/01-04/Images1/{category}_{subject}_{subject}.jpg", 30 * int(category), 80, rng)
    finished = run(
        "mixed_images.py:image_cnn",
        tmp_path / "run",
        corpus__root=f"jaffe={tmp_path}/jaffe,ck48={tmp_path}/CK+48,cfe={tmp_path}/CFEE",
        protocol__num_folds=3,
        train__num_epochs=1,
        views__still__size_px=16,
        streams__video__encoder_units="(4,)",
        streams__video__dense_units="(4,)",
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    # 28 + 84 + 28 pictures without the 12 of contempt, which is not in the seven basic classes.
    assert (results["num_clips"], results["num_undecodable"], results["leaks"]) == (128, 0, [])
    with (tmp_path / "run" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["clip"] for row in rows}) == 128 and {row["speaker"].partition(":")[0] for row in rows} == {"jaffe", "ck48", "cfe"}


def test_a_system_that_does_not_fit_the_corpus_is_refused(tmp_path):
    finished = run("jaffe.py:gru_attention", tmp_path / "run", corpus__root=tmp_path)
    message = "system gru_attention needs sound, and jaffe has pictures and no sound; systems that fit it: image_cnn"
    assert finished.returncode == 1 and message in finished.stderr
    assert "Traceback" not in finished.stderr
