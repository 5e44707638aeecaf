"""Systems to compare: predictions of a few speakers, run directories and files of other systems made of them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from made_facts import made_facts

from avemo_jax.atomic import write_json
from avemo_jax.comparison.entries import Entry
from avemo_jax.evaluation.predictions import Predictions, write_predictions_csv
from avemo_jax.evaluation.summary import summarise

CLASSES = ("neutral", "happy", "sad", "angry")
FACTS = made_facts(system="gru", protocol="speaker_k", label_set="iemocap4")
NUM_SPEAKERS, NUM_CLIPS = 6, 6 * 16


def some_predictions(skill: float = 1.0, *, seeds: Sequence[int] = (0,), draw: int = 0, num_folds: int = 3) -> Predictions:
    """6 speakers x 16 clips of 4 classes; `skill` moves probability to the label, `draw` is of the chance in them."""
    generator = np.random.default_rng(draw)
    label = np.arange(NUM_CLIPS) % 4
    speaker = np.repeat(np.arange(NUM_SPEAKERS), 16)
    posteriors = [generator.dirichlet(np.full(4, 0.7), NUM_CLIPS) for _ in seeds]
    for posterior in posteriors:
        posterior[np.arange(NUM_CLIPS), label] += skill * generator.uniform(size=NUM_CLIPS)
    count = len(seeds)
    return Predictions(
        clip=np.tile([f"clip{index:02}" for index in range(NUM_CLIPS)], count),
        speaker=np.tile([f"s{index}" for index in speaker], count),
        gender=np.full(NUM_CLIPS * count, "unknown"),
        fold=np.tile([f"fold{index % num_folds + 1}" for index in speaker], count),
        seed=np.repeat(seeds, NUM_CLIPS),
        label=np.tile(label, count),
        probabilities=np.concatenate([posterior / posterior.sum(axis=1, keepdims=True) for posterior in posteriors]),
        classes=CLASSES,
    )


def entry(name: str, skill: float = 1.0, **options) -> Entry:
    return Entry(name, some_predictions(skill, **options), protocol="speaker_k")


def write_run(directory: Path, predictions: Predictions, system: str = "gru", **facts) -> Path:
    """What compare reads of a run's directory."""
    directory.mkdir(parents=True)
    write_predictions_csv(directory / "predictions.csv", predictions)
    results = summarise(predictions, dataclasses.replace(FACTS, **{"system": system} | facts), num_resamples=50)
    write_json(directory / "results.json", results.to_json())
    return directory


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path
