"""Fitted classifiers come back from their files with every bit, and files of others are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from avemo_jax.experiment.stored_classifiers import (
    ARRAYS_FILE,
    CLASSIFIERS_FILE,
    arrays_of,
    classifier_of,
    facts_of,
    read_classifiers,
    write_classifiers,
)
from avemo_jax.runs.ownership import ForeignFile
from avemo_jax.training.machines import fit_classical
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import make_trials

NUM_FEATURES, NUM_CLASSES = 5, 4
MACHINES = ("svm", "linear", "kernel")
TRIALS = make_trials(num_folds=2, seeds=(0,), hyper={}, sweep={})


@pytest.fixture(scope="module")
def fitted():
    """A function from a machine to its classifier of three of four classes, and features of clips that it has not seen."""
    generator = np.random.default_rng(0)
    label = np.arange(90) % 3
    features = generator.normal(size=(90, NUM_FEATURES)) + label[:, None]
    speaker = np.asarray([f"s{i // 9}" for i in range(90)])
    parts = {"train": np.arange(60), "validation": np.arange(60, 90)}

    def fit(machine: str):
        return fit_classical(machine, features, label, speaker=speaker, num_classes=NUM_CLASSES, **parts), features[60:]

    return fit


def write_run(workdir: Path, run_id: str = "this") -> Path:
    workdir.mkdir()
    (workdir / "run.json").write_text(json.dumps({"run_id": run_id}))
    (workdir / "config.json").write_text("{}")
    return workdir


def read(workdir: Path, machine: str = "linear", num_features: int = NUM_FEATURES):
    return read_classifiers(workdir, Stage(machine, ("audio",), part=machine), TRIALS, num_features=num_features, num_classes=NUM_CLASSES)


@pytest.mark.parametrize("machine", MACHINES)
def test_classifiers_come_back_with_every_bit(fitted, machine, tmp_path):
    classifier, features = fitted(machine)
    workdir = write_run(tmp_path / "run")
    write_classifiers(workdir, Stage(machine, ("audio",), part=machine), TRIALS, [classifier] * 2)
    for found in read(workdir, machine):
        np.testing.assert_array_equal(found.probabilities(features), classifier.probabilities(features))
        np.testing.assert_array_equal(found.class_shares, classifier.class_shares)
        assert (found.regularization, found.validation_metric) == (classifier.regularization, classifier.validation_metric)


def test_files_of_another_run_and_changed_files_are_refused(fitted, tmp_path):
    workdir, other = write_run(tmp_path / "run"), write_run(tmp_path / "other", "other")
    stage = Stage("linear", ("audio",), part="linear")
    for path in (workdir, other):
        write_classifiers(path, stage, TRIALS, [fitted("linear")[0]] * 2)
    with pytest.raises(ForeignFile, match="another stage, or of other folds and seeds"):
        read_classifiers(workdir, stage, TRIALS[:1], num_features=NUM_FEATURES, num_classes=NUM_CLASSES)
    with pytest.raises(ValueError, match=r"mean of a classifier: expected float64 or float32 \(6,\), found float64 \(5,\)"):
        read(workdir, num_features=6)
    own = (workdir / CLASSIFIERS_FILE).read_bytes()
    (workdir / CLASSIFIERS_FILE).write_bytes((other / CLASSIFIERS_FILE).read_bytes())
    with pytest.raises(ForeignFile, match="run_id: expected this, found other"):
        read(workdir)
    (workdir / CLASSIFIERS_FILE).write_bytes(own)
    arrays = load_file(workdir / ARRAYS_FILE)
    arrays["fold0/share"][0] += 1
    save_file(arrays, workdir / ARRAYS_FILE)
    with pytest.raises(ValueError, match=r"classifiers\.safetensors is damaged or missing: expected SHA-256"):
        read(workdir)


@pytest.mark.parametrize(
    ("facts", "arrays", "message"),
    [
        ({"kind": "pickle"}, {}, "expected a classifier of the kinds linear, gaussian, support_vectors, found 'pickle'"),
        ({"classes": [0, 1, 9]}, {}, "two numbers below 4 or more, each once; found"),
        ({"classes": [1]}, {}, "two numbers below 4 or more"),
        ({"temperature": 0.0}, {}, "a temperature above 0"),
        ({"temperature": "1"}, {}, "expected finite numbers"),
        ({}, {"weights": np.zeros((2, 3))}, r"weights of a classifier: expected float64 or float32 \(5, 3\), found float64 \(2, 3\)"),
        ({}, {"share": np.full(3, np.nan)}, "share of a classifier: expected finite numbers"),
        ({}, {"other": np.zeros(1)}, "expected the arrays .*, found"),
    ],
)
def test_arrays_of_strangers_are_checked(fitted, facts, arrays, message):
    classifier, _ = fitted("linear")
    with pytest.raises(ValueError, match=message):
        classifier_of(facts_of(classifier) | facts, arrays_of(classifier) | arrays, num_features=NUM_FEATURES, num_classes=NUM_CLASSES)
