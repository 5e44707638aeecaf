"""Damaged clips among good ones: each is named and counted, none is dropped, and the prepared data of the others is unchanged."""

from __future__ import annotations

import csv
import io
import json
import shutil

import av
import numpy as np
import pytest
from demo_run import NUM_CLIPS, DemoRun
from written_media import chirp, numbered_images, write_sound, write_video

from avemo_jax.data.prepared import PreparedSet

pytestmark = pytest.mark.slow

RATE_HZ = 16000
VIEWS = {"audio": "mfcc", "video": "faces"}  # of the demo's streams
# Clip -> kinds of damage of its sound and of its picture.
PLANTED = {
    "01-02-01-01-01-01": ("truncated", "truncated"),
    "01-03-01-01-01-02": ("empty", "empty"),
    "01-04-01-01-01-03": ("silent", None),
    "01-05-01-01-01-04": (None, "no_face"),
    "01-06-01-01-01-05": (None, "no_video"),
    "01-07-01-01-01-06": ("undecodable", "undecodable"),
}


def damage(clip: str, path) -> None:
    """Replace a good clip by one with the damage in PLANTED."""
    faces = frames(path)
    kind = next(kind for kind in PLANTED[clip] if kind)
    path.unlink()
    if kind == "truncated":
        write_video(path, faces, rate_fps=15, sound=chirp(len(faces) / 15, RATE_HZ), sound_codec="aac")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "silent":
        write_video(path, faces, rate_fps=15, sound=np.zeros(RATE_HZ * len(faces) // 15, np.float32), sound_codec="aac")
    elif kind == "no_face":
        write_video(path, numbered_images(len(faces)), rate_fps=15, sound=chirp(len(faces) / 15, RATE_HZ), sound_codec="aac")
    elif kind == "no_video":
        write_sound(path, chirp(len(faces) / 15, RATE_HZ), rate_hz=RATE_HZ, codec="aac")
    else:
        path.write_bytes(np.random.default_rng(0).bytes(60000))


def frames(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def prepared_set(folder, corpus: str, stream: str) -> PreparedSet:
    """Return the prepared set of a stream's view; each test of this file has one of each corpus."""
    (directory,) = (folder / "prepared").glob(f"{corpus}-{VIEWS[stream]}-*")
    return PreparedSet.open(directory)


def examples_of(prepared: PreparedSet, without) -> dict:
    return {
        (example.clip_id, example.segment): [array.tobytes() for array in (example.values, example.mask, example.times_s)]
        for example in prepared.examples()
        if example.clip_id not in without
    }


@pytest.fixture(scope="module")
def damaged(shelf, tmp_path_factory):
    """Return a run on a copy of the demo corpus with the clips of PLANTED, its output, and the folder with the sets of both."""
    folder = tmp_path_factory.mktemp("damaged")
    own = {"prepared_dir": folder / "prepared", "protocol.baseline": False, "train.tensorboard": False, "train.stages": "('fused',)"}
    DemoRun(shelf, folder / "whole", "audio_video", own)("--mode=prepare")
    shutil.copytree(shelf / "corpus", folder / "corpus")
    for clip in PLANTED:
        damage(clip, folder / "corpus" / f"Actor_{clip[-2:]}" / f"01-{clip}.mp4")
    # Two of the damaged videos have the same sound, which the leak audit would report as an error.
    corpus = {"corpus.name": "ravdess", "corpus.root": folder / "corpus", "protocol.near_duplicates": False}
    run = DemoRun(shelf, folder / "run", "audio_video", corpus | own)
    return run, run(), folder


def test_every_damaged_clip_is_named_with_its_kind(damaged):
    _, printed, folder = damaged
    for place, stream in enumerate(("audio", "video")):
        found = {clip: entry.kind for clip, entry in prepared_set(folder, "ravdess", stream).damage.items()}
        assert found == {clip: kinds[place] for clip, kinds in PLANTED.items() if kinds[place]}
    for clip, kinds in PLANTED.items():
        lines = [line for line in printed.splitlines() if clip in line]
        assert all(any(kind in line for line in lines) for kind in kinds if kind), lines


def test_every_clip_is_counted_and_predicted(damaged):
    run, printed, _ = damaged
    results = json.loads(run.file("results.json"))
    assert (results["num_clips"], results["num_undecodable"], results["num_without_face"]) == (NUM_CLIPS, 4, 1)
    assert "undecodable clips 4, clips without a face 1" in printed
    rows = list(csv.DictReader(io.StringIO(run.file("predictions.csv").decode())))
    assert len(rows) == len({row["clip"] for row in rows}) == NUM_CLIPS and {row["clip"] for row in rows} >= set(PLANTED)


@pytest.mark.parametrize("stream", ["audio", "video"])
def test_the_other_clips_are_prepared_as_without_damage(damaged, stream):
    *_, folder = damaged
    found, expected = (examples_of(prepared_set(folder, corpus, stream), PLANTED) for corpus in ("ravdess", "synthetic"))
    assert found == expected and len(found) >= NUM_CLIPS - len(PLANTED)
