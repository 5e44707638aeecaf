"""The schema holds what `summarise` gives, and lets nothing else through."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from results_schema import SCHEMA, VALIDATOR, check_results

from avemo_jax.evaluation.results import Predictions, summarise

FACTS = dict(
    corpus="ravdess",
    system="gru_attention",
    protocol="luna5",
    label_set="ravdess8",
    label_target="acted",
    fold_hash="abc",
    select="validation",
    num_undecodable=0,
    num_without_face=0,
    num_params=10,
    leaks=[],
    seconds=1.5,
    speaker_independent=True,
)


def predictions(part: str = "test", num_speakers: int = 4) -> Predictions:
    """Three classes, two folds, two seeds."""
    generator = np.random.default_rng(0)
    size = 12 * num_speakers
    speaker = np.repeat(np.arange(num_speakers), 12)
    return Predictions(
        clip=np.tile([f"{part}{index}" for index in range(size)], 2),
        speaker=np.tile(speaker.astype(str), 2),
        gender=np.tile(np.where(speaker % 2, "male", "female"), 2),
        fold=np.tile(np.where(speaker % 2, "fold1", "fold2"), 2),
        seed=np.repeat([0, 1], size),
        label=np.tile(np.arange(size) % 3, 2),
        probabilities=generator.dirichlet(np.ones(3), 2 * size),
        classes=("neutral", "happy", "sad"),
    )


def everything() -> dict:
    """Results with all that is optional, as JSON has them."""
    baseline = summarise(predictions(), **(FACTS | {"system": "functionals_svm"}))
    results = summarise(
        predictions(), **FACTS, baseline=baseline, validation=predictions("validation"), num_train={"fold1": 20, "fold2": 22}
    )
    return json.loads(json.dumps(results))


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_full_results_validate():
    results = check_results(everything())
    assert len(results["calibration"]["scaled"]["temperatures"]) == 4 and results["per_fold"][0]["num_train"] == 20


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"leaks": ["speaker_in_two_parts", {"finding": "transductive", "detail": "..."}]},
        {"select": "test", "speaker_independent": False},
    ],
)
def test_plain_results_validate(changes):
    results = check_results(json.loads(json.dumps(summarise(predictions(), **(FACTS | changes)))))
    assert results["calibration"]["scaled"] is None and "baseline" not in results


def test_one_speaker_and_one_fold_validate():
    one = dataclasses.replace(predictions(num_speakers=1), fold=["fold1"] * 24, seed=[0] * 24)
    results = check_results(json.loads(json.dumps(summarise(one, **FACTS))))
    assert results["gender_gap"] is None and results["speaker_spread"]["war"]["std"] is None


def test_every_part_is_wanted():
    results = everything()
    for name in SCHEMA["required"]:
        assert not VALIDATOR.is_valid({key: value for key, value in results.items() if key != name}), name


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("metrics", "war", "pooled"), 61.5),  # percent
        (("metrics", "auc"), 0.5),
        (("select",), "train"),
        (("leaks",), [{"detail": "which?"}]),
        (("per_fold",), []),
        (("calibration", "nll", "pooled"), -1.0),
        (("calibration", "scaled", "temperatures", 0, "temperature"), 0.0),
        (("metrics", "uar", "ci95"), [0.5]),
        (("num_clips",), 0),
        (("note",), "of my own"),
    ],
)
def test_what_is_wrong_is_refused(where, value):
    results = copy.deepcopy(everything())
    place = results
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert not VALIDATOR.is_valid(results)
