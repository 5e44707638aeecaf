"""IEMOCAP trained on a small tree in the owner's layout: five sessions, dialogues with both actors side by side."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demo_run import ROOT
from written_media import write_video

pytestmark = pytest.mark.slow

RATE_HZ, SPAN_S = 16000, 1.2
WORDS = ("neu", "hap", "exc", "sad", "ang", "fru")  # the last is no class of iemocap4


def make_corpus(root: Path) -> int:
    """Write one improvised dialogue a session with an utterance of each actor and word; return the number of utterances with a class."""
    import soundfile

    rng = np.random.default_rng(0)
    for session in range(1, 6):
        dialogue = f"Ses0{session}F_impro01"
        lines, sounds = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"], []
        for number, (actor, word) in enumerate((actor, word) for word in WORDS for actor in "FM"):
            name, start_s = f"{dialogue}_{actor}{number:03d}", number * SPAN_S
            valence, arousal = 1 + number % 5, 5.5 if word == "neu" else 1 + WORDS.index(word) % 4  # 5.5 is outside of the scale
            ratings = f"[{valence:.4f}, {arousal:.4f}, 2.5000]"
            lines.append(f"[{start_s:.4f} - {start_s + SPAN_S:.4f}]\t{name}\t{word}\t{ratings}\nC-E1:\tNeutral;\t()\n")
            pitch_hz = 120 * (1 + WORDS.index(word)) * (1.5 if actor == "F" else 1)
            time_s = np.arange(round(RATE_HZ * SPAN_S)) / RATE_HZ
            sounds.append(0.2 * np.sin(2 * np.pi * pitch_hz * time_s) + 0.01 * rng.normal(size=len(time_s)))
            path = root / f"Session{session}/sentences/wav/{dialogue}/{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, sounds[-1], RATE_HZ)
        labels = root / f"Session{session}/dialog/EmoEvaluation/{dialogue}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("\n".join(lines))
        film = root / f"Session{session}/dialog/avi/DivX/{dialogue}.avi"
        film.parent.mkdir(parents=True, exist_ok=True)
        num_frames = round(len(WORDS) * 2 * SPAN_S * 10)
        write_video(film, [side_by_side(session, index // round(2 * SPAN_S * 10)) for index in range(num_frames)], rate_fps=10)
    return 5 * 2 * 5


def side_by_side(session: int, word: int) -> np.ndarray:
    """Return a picture of both actors: the word sets the brightness, inverted in the right half; each session has its own pattern."""
    blocks = np.random.default_rng(session).integers(-20, 20, (6, 12)).repeat(8, axis=0).repeat(8, axis=1)[..., None]
    halves = np.repeat([20 + 40 * word, 220 - 40 * word], 48)[None, :, None]
    return np.broadcast_to(np.clip(halves + blocks, 0, 255), (48, 96, 3)).astype(np.uint8)


@pytest.mark.long
def test_both_streams_by_session_with_classes_and_dimensions(tmp_path):
    num_utterances = make_corpus(tmp_path / "IEMOCAP_full_release")
    fields = {
        "corpus.root": tmp_path / "IEMOCAP_full_release",
        "prepared_dir": tmp_path / "prepared",
        "workdir": tmp_path / "run",
        "streams.video.view": "frames",
        "views.frames.size_px": 16,
        "views.frames.rate_fps": 2.5,
        "streams.audio.context_units": (4,),
        "streams.video.encoder_units": "(4,)",
        "streams.video.context_units": (4,),
        "train.num_epochs": 2,
        "corpus.dimensions": "('valence','arousal')",
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    command = [sys.executable, str(ROOT / "run.py"), f"--config={ROOT / 'configs' / 'iemocap.py'}:small_audio_video", *flags]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["protocol"], results["label_set"], results["num_clips"]) == ("session5", "iemocap4", num_utterances)
    assert results["num_undecodable"] == 0 and results["leaks"] == [] and len(results["per_fold"]) == 5
    rated = {one["dimension"]: (one["num_rated"], one["num_unrated"]) for one in results["dimensions"]}
    assert rated == {"valence": (50, 0), "arousal": (40, 10)} and "arousal: 10 of 50 clips have a rating outside" in finished.stderr
    with (tmp_path / "run" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == num_utterances == len({row["clip"] for row in rows})
    assert {row["rating_arousal"] for row in rows if row["label"] == "neutral"} == {""} and all(row["value_arousal"] for row in rows)
    assert {row["label"] for row in rows} == {"neutral", "happy", "sad", "angry"}
    assert {row["speaker"] for row in rows if row["fold"] == results["per_fold"][0]["fold"]} == {"Ses01F", "Ses01M"}
