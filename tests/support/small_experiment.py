"""A small experiment without media: made-up prepared sets of up to three streams, networks of a few units, a run of seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from made_sets import write_set

from avemo_jax.clips import Clip
from avemo_jax.config import Experiment, parse
from avemo_jax.data.prepared import PreparedCorpus, PreparedSet
from configs import base
from data_prep.views.segments import ViewSegment

EMOTIONS = ("neutral", "happy", "sad", "angry")
NUM_SPEAKERS, NUM_FOLDS = 9, 3
BOTH = ("audio", "video")
THREE = (*BOTH, "mouth")
STEP = ((3,), "float32")
VIEWS = {"audio": "mfcc", "video": "faces", "mouth": "mouths"}
SMALL = {
    "corpus.name": "made",
    "corpus.label_set": "iemocap4",
    "protocol.name": "speaker_k",
    "protocol.num_folds": NUM_FOLDS,
    "protocol.baseline": False,
    "system.streams": ("audio",),
    "train.stages": ("audio",),
    "train.num_epochs": 2,
    "train.batch_size": 16,
    "train.learning_rate": 0.05,
    "train.checkpoint_every_epochs": 1,
    "train.tensorboard": False,
    "late.num_inner_folds": 2,
}
BRANCH = {"context": "none", "dense_units": (4,), "pooling": "mean"}


def small_config(workdir: Path | None = None, **fields: Any) -> Experiment:
    """Return an experiment that defines the streams THREE and uses "audio"; names of fields have underscores doubled for dots.

    train__num_epochs=3 sets train.num_epochs; system__streams=BOTH uses the second stream too.

    Args:
      workdir: run directory, with the prepared sets beside it; None for tests that write nothing.
    """
    made = base.get_config()
    base.use(made, "small", THREE, **{name: base.stream(view=view, **BRANCH) for name, view in VIEWS.items()})
    with made.unlocked():
        made.update_from_flattened_dict(SMALL | {name.replace("__", "."): value for name, value in fields.items()})
        if workdir is not None:
            made.workdir, made.prepared_dir = str(workdir), str(workdir.parent / "prepared")
    return parse(made.to_dict())


def small_clips(num_speakers: int = NUM_SPEAKERS, num_takes: int = 2) -> tuple[Clip, ...]:
    """Return speakers x emotions x takes; speakers are male and female in turn."""
    return tuple(
        Clip(f"s{speaker}-{emotion}-{take}", "made", emotion, f"s{speaker}", gender=("male", "female")[speaker % 2])
        for speaker in range(num_speakers)
        for emotion in EMOTIONS
        for take in range(num_takes)
    )


def small_corpus(folder: Path, streams: Sequence[str] = BOTH) -> PreparedCorpus:
    """Write sets of these streams below a folder; each stream tells some classes better than others, and one clip has two segments."""
    clips = small_clips()

    def segments(stream: str):
        def of_clip(i: int) -> list[ViewSegment]:
            return [piece(stream, i, part) for part in range(2 if i == 5 else 1)]

        return of_clip

    def piece(stream: str, i: int, part: int) -> ViewSegment:
        rng, length = np.random.default_rng([i, part, len(stream), ord(stream[0])]), 3 + i % 3
        level = EMOTIONS.index(clips[i].label)
        signal = {"audio": (level % 2, level), "video": (level // 2, -level), "mouth": (level == 1, level)}[stream]
        values = np.array([*signal, 0], np.float32) + rng.normal(size=(length, 3)).astype(np.float32) * 1.5
        return ViewSegment(values.astype(np.float32), np.ones(length, bool), np.arange(length, dtype=np.float32), length)

    sets = {
        stream: write_set(folder, clips, segments(stream), step_shape=(3,), modality=stream, view=VIEWS[stream], key=f"{number}" * 64)
        for number, stream in enumerate(streams, 1)
    }
    return PreparedCorpus(clips, sets, None)


def open_small_corpus(folder: Path, streams: Sequence[str] = BOTH) -> PreparedCorpus:
    """Open what `small_corpus` has written into a folder, in another process."""
    sets = {stream: PreparedSet.open(path) for stream in streams for path in folder.glob(f"{stream}-*-set")}
    return PreparedCorpus(small_clips(), sets, None)


def only(prepared: PreparedCorpus, stream: str) -> PreparedCorpus:
    """Return the corpus with one of its streams."""
    return dataclasses.replace(prepared, sets={stream: prepared.sets[stream]})


def rows_of(workdir: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl without their seconds."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a tree by their path."""
    found: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {f"{prefix}{name}": np.asarray(value)}
    return found
