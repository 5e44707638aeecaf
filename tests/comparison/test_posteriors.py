"""Predictions as another project publishes them: one file a fold, semicolons, labels in capitals, two orders of the classes."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from compared_systems import CLASSES, some_predictions
from shared_data import shared_data

from avemo_jax.comparison.alignment import align
from avemo_jax.comparison.compare import measure, read_entries

SCORES = tuple(f"embs{index}" for index in range(4))
WAV2VEC2 = "angry,calm,disgust,fearful,happy,neutral,sad,surprised"
ACTION_UNITS = "neutral,calm,happy,sad,angry,fearful,disgust,surprised"


def write_folds(folder: Path, name: str, order: tuple[int, ...], draw: int, *, logits: bool) -> None:
    """Write predictions of six speakers in three folds; logits have the labels and speakers beside them."""
    one = some_predictions(1.2, draw=draw)
    scores = np.log(np.maximum(one.probabilities, 1e-6)) if logits else one.probabilities
    for fold in np.unique(one.fold):
        path = folder / name.format(fold=fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = one.fold == fold
        beside = [[CLASSES[label].capitalize(), speaker] for label, speaker in zip(one.label[rows], one.speaker[rows], strict=True)]
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream, delimiter=";")
            writer.writerow([*SCORES, "name", *(["emotion", "actor"] if logits else [])])
            for values, clip, more in zip(scores[rows][:, order], one.clip[rows], beside, strict=True):
                writer.writerow([*values, clip, *(more if logits else [])])


def compared(predictions: list[str]) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a regression that has not converged
        entries, alignment = align(read_entries([], predictions, lambda corpus, stem: None)[0], on="all")
        return measure(entries, alignment, num_resamples=20)[0]


def test_a_file_a_fold_with_semicolons_and_capitals_is_read_as_it_lies(tmp_path):
    first, second = (3, 1, 0, 2), (1, 0, 2, 3)
    write_folds(tmp_path, "sound/{fold}/posteriors_test.csv", first, 0, logits=True)
    write_folds(tmp_path, "picture/test_{fold}.csv", second, 1, logits=False)
    columns = f"columns={','.join(SCORES)}"
    sound = f"classes={','.join(CLASSES[index] for index in first)};label=emotion;speaker=actor;clip=name;kind=logits"
    picture = f"classes={','.join(CLASSES[index] for index in second)};kind=probabilities"
    files = (f"sound={tmp_path}/sound/fold*/posteriors_test.csv;{columns};{sound}", f"picture={tmp_path}/picture;{columns};{picture}")
    found = compared(list(files))
    for entry, draw in zip(found["entries"], (0, 1), strict=True):
        own = some_predictions(1.2, draw=draw)
        of_folds = [(own.predicted == own.label)[own.fold == fold].mean() for fold in np.unique(own.fold)]
        assert entry["metrics"]["war"]["mean_of_folds"] == pytest.approx(np.mean(of_folds))
    assert "the 3 folds that sound was tested on" in found["meta_folds"]["note"]
    assert found["sentence"] == "on all 96 clips" and [fusion["rule"] for fusion in found["fusions"]][-1] == "logistic"


def test_published_posteriors_of_two_systems_on_ravdess():
    folder = shared_data("posteriors")
    columns = f"columns={','.join(f'embs{index}' for index in range(8))}"
    found = compared(
        [
            f"wav2vec2={folder}/wav2vec2/fold*/posteriors_test.csv;{columns};classes={WAV2VEC2};label=emotion;speaker=actor;clip=name;"
            "kind=logits",
            f"action_units={folder}/action_units/test_fold*.csv;{columns};classes={ACTION_UNITS};kind=probabilities",
        ]
    )
    assert [round(100 * entry["metrics"]["war"]["mean_of_folds"], 2) for entry in found["entries"]] == [81.82, 60.22]
    war = {fusion["rule"]: fusion["metrics"]["war"]["pooled"] for fusion in found["fusions"]}
    assert round(100 * war["weighted_product"], 1) == 87.4 and war["logistic"] >= 0.865
