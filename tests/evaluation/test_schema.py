"""`RunResults` goes to JSON and back; its schema accepts what `summarise` returns, and nothing else."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from made_facts import made_facts
from results_schema import VALIDATOR, check_results

from avemo_jax.evaluation.predictions import Predictions
from avemo_jax.evaluation.results import (
    SCHEMA_PATH,
    ProtocolGap,
    ProtocolResult,
    RunResults,
    SearchResult,
    SettingResult,
    StageResult,
    results_schema,
)
from avemo_jax.evaluation.summary import summarise

FACTS = made_facts()


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


def everything() -> RunResults:
    """Results with all that is optional."""
    baseline = summarise(predictions(), dataclasses.replace(FACTS, system="functionals_linear"))
    results = summarise(predictions(), FACTS, baseline=baseline, validation=predictions("validation"), num_train={"fold1": 20, "fold2": 22})
    means = {name: one.mean_of_folds for name, one in results.metrics.items()}
    shared = {
        name: getattr(results, name)
        for name in ("speaker_independent", "fold_hash", "num_clips", "num_trials", "num_failed", "leaks", "metrics")
    }
    protocols = [ProtocolResult(protocol=name, num_folds=2, baseline=results.baseline.metrics, **shared) for name in ("random10", "luna5")]
    gap = ProtocolGap(0.1, (0.05, 0.15), 0.01, first="random10", second="luna5", metric="uar", paired=True)
    chosen = dict(
        fold="fold1", num_settings=3, num_failed=1, setting=2, tried={"learning_rate": 0.1}, validation=0.5, median_validation=None
    )
    return dataclasses.replace(
        results,
        stages=(StageResult(stage="audio", num_params=3, metrics=means),),
        protocols=tuple(protocols),
        gaps=(gap,),
        settings=(SettingResult(setting=0, tried={"model.units": [8, 8]}, validation=None, metrics=means),),
        search=(SearchResult(**chosen),),
    )


def as_file(results: RunResults) -> dict:
    return json.loads(json.dumps(results.to_json(), allow_nan=False))


def test_the_committed_schema_is_that_of_the_type():
    Draft202012Validator.check_schema(results_schema())
    assert json.loads(SCHEMA_PATH.read_text()) == results_schema(), "run python -m avemo_jax.evaluation.results"


def test_full_results_validate_and_come_back():
    results = everything()
    content = check_results(as_file(results))
    assert len(content["calibration"]["scaled"]["temperatures"]) == 4 and content["per_fold"][0]["num_train"] == 20
    assert content["settings"][0]["uar"] == content["metrics"]["uar"]["mean_of_folds"]
    assert content["gaps"][0] == {
        "first": "random10",
        "second": "luna5",
        "metric": "uar",
        "difference": 0.1,
        "ci95": [0.05, 0.15],
        "p": 0.01,
        "paired": True,
    }
    again = RunResults.from_json(content)
    assert as_file(again) == content and again.gaps == results.gaps and again.metrics == results.metrics


def test_empty_parts_are_left_out():
    content = check_results(as_file(summarise(predictions(), FACTS)))
    assert content["calibration"]["scaled"] is None
    assert content.keys().isdisjoint(("baseline", "stages", "protocols", "gaps", "settings", "search"))


def test_a_run_that_was_selected_on_its_test_part_validates_with_its_flags():
    content = check_results(as_file(summarise(predictions(), dataclasses.replace(FACTS, select="test", leaks=("transductive",)))))
    assert (content["select"], content["leaks"]) == ("test", ["transductive"])


def test_one_speaker_and_one_fold_validate():
    one = dataclasses.replace(predictions(num_speakers=1), fold=["fold1"] * 24, seed=[0] * 24)
    content = check_results(as_file(summarise(one, FACTS)))
    assert content["gender_gap"] is None and content["speaker_spread"]["war"]["std"] is None


def test_files_of_earlier_versions_are_read():
    content = as_file(everything())
    content["leaks"] = [{"finding": "transductive", "detail": "..."}, "speaker_in_two_parts"]  # once written with their details
    for name in ("calibration", "per_class", "speaker_spread", "gender_gap"):
        del content[name]
    del content["metrics"]["ece"]
    results = RunResults.from_json(content | {"note": "of another version"})
    assert results.leaks == ("transductive", "speaker_in_two_parts") and results.calibration is None
    assert list(results.metrics) == ["uar", "war", "macro_f1", "weighted_f1"]
    with pytest.raises(ValueError, match="per_fold is missing"):
        RunResults.from_json({name: value for name, value in content.items() if name != "per_fold"})
    with pytest.raises(ValueError, match="between: expected tuple"):
        RunResults.from_json(content | {"gender_gap": {"between": ["female"]}})
    with pytest.raises(ValueError, match="num_clips: expected int, got 'many'"):
        RunResults.from_json(content | {"num_clips": "many"})


def test_every_part_is_required():
    content = as_file(summarise(predictions(), FACTS))
    for name in content.keys() - {"seed_ensemble"}:  # only where there are several seeds
        assert not VALIDATOR.is_valid({key: value for key, value in content.items() if key != name}), name


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
        (("note",), "unknown"),
        (("gaps", 0, "p"), 1.5),
        (("protocols", 0, "baseline"), {}),
    ],
)
def test_what_is_wrong_is_refused(where, value):
    results = as_file(everything())
    place = results
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    assert not VALIDATOR.is_valid(results)
