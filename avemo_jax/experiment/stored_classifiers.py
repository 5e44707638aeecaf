"""The fitted classifiers of a classical system, as plain arrays: in a run directory, and as entries of any file of arrays.

    classifiers.json          what each fold's classifier is, SHA-256 of the arrays, and the run, stage, folds and seeds that it belongs to
    classifiers.safetensors   its arrays, fold<fold>/<name>

Nothing in them is executed or unpickled. A classifier that is read back gives the same probabilities, bit by bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.runs.ownership import ForeignFile, read_owned, write_owned
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.decisions import Decision, GaussianDecision, LinearDecision, Standard, SupportVectorDecision
from avemo_jax.training.stage import Stage
from avemo_jax.training.trials import Trial

CLASSIFIERS_FILE, ARRAYS_FILE = "classifiers.json", "classifiers.safetensors"
_KINDS: Mapping[str, type[Decision]] = {"linear": LinearDecision, "gaussian": GaussianDecision, "support_vectors": SupportVectorDecision}
_STANDARD = tuple(field.name for field in dataclasses.fields(Standard))
# Letters: D features, C classes of the training part, M rows, R = C - 1, Q = C (C - 1) / 2 pairs of classes.
_SHAPES: Mapping[str, Mapping[str, str]] = {
    "linear": dict.fromkeys(_STANDARD, "D") | {"centre": "D", "weights": "DC", "share": "C"},
    "gaussian": dict.fromkeys(_STANDARD, "D") | {"rows": "MD", "weights": "MC", "share": "C"},
    "support_vectors": {
        **{"mean": "D", "deviation": "D", "gamma": "", "rows": "MD", "num_rows": "C", "coefficients": "RM", "intercepts": "Q"},
    },
}
_DTYPES = {"num_rows": "int64"}  # all others are float64, or float32 as the rows of a kernel are
_MOST_ROWS = 1_000_000
_FIX = f"remove {CLASSIFIERS_FILE} and run the same command with --mode=train: the classifiers are fitted again, from the same clips"


def write_classifiers(workdir: Path, stage: Stage, trials: Sequence[Trial], classifiers: Sequence[FittedClassifier]) -> None:
    """Write the classifiers of a run, one a trial, of which those of a fold are the same."""
    from safetensors.numpy import save  # late: hosts that train networks from scratch lack it

    arrays: dict[str, np.ndarray] = {}
    folds: dict[int, dict[str, Any]] = {}
    for trial, classifier in zip(trials, classifiers, strict=True):
        if trial.fold not in folds:
            folds[trial.fold] = facts_of(classifier)
            arrays |= {f"fold{trial.fold}/{name}": array for name, array in arrays_of(classifier).items()}
    content = save(arrays)
    (workdir / CLASSIFIERS_FILE).unlink(missing_ok=True)  # of an earlier, unfinished attempt: its sum is that of other arrays
    (workdir / ARRAYS_FILE).write_bytes(content)
    facts = {
        "stage": stage.name,
        "trials": [{"trial": trial.number, "fold": trial.fold, "seed": trial.seed} for trial in trials],
        "folds": {str(fold): one for fold, one in folds.items()},
        "arrays_sha256": hashlib.sha256(content).hexdigest(),
    }
    write_owned(workdir, CLASSIFIERS_FILE, facts)


def has_classifiers(workdir: Path) -> bool:
    """Return whether a run stores its classifiers; those of an earlier version did not."""
    return (workdir / CLASSIFIERS_FILE).is_file()


def read_classifiers(
    workdir: Path, stage: Stage, trials: Sequence[Trial], *, num_features: int, num_classes: int
) -> list[FittedClassifier]:
    """Return the classifiers of a run, one a trial.

    Raises:
      FileNotFoundError: training has not finished.
      ForeignFile: a file belongs to another run, stage or trials.
      ValueError: a file is damaged, or its arrays are those of other features or classes.
    """
    if not has_classifiers(workdir):
        raise FileNotFoundError(f"training in {workdir} has not finished (no {CLASSIFIERS_FILE}); run the same command with --mode=train")
    found = read_owned(workdir, CLASSIFIERS_FILE, fix=_FIX)
    wanted = [{"trial": trial.number, "fold": trial.fold, "seed": trial.seed} for trial in trials]
    if found["stage"] != stage.name or found["trials"] != wanted:
        raise ForeignFile(f"{workdir / CLASSIFIERS_FILE} holds the classifiers of another stage, or of other folds and seeds; {_FIX}")
    path = workdir / ARRAYS_FILE
    content = path.read_bytes() if path.is_file() else b""
    if (sha256 := hashlib.sha256(content).hexdigest()) != found["arrays_sha256"]:
        raise ValueError(f"{path} is damaged or missing: expected SHA-256 {found['arrays_sha256']}, found {sha256}; {_FIX}")
    from safetensors.numpy import load

    arrays = load(content)
    classifiers = {
        fold: classifier_of(
            facts,
            {name.removeprefix(f"fold{fold}/"): array for name, array in arrays.items() if name.startswith(f"fold{fold}/")},
            num_features=num_features,
            num_classes=num_classes,
        )
        for fold, facts in found["folds"].items()
    }
    return [classifiers[str(trial.fold)] for trial in trials]


def facts_of(classifier: FittedClassifier) -> dict[str, Any]:
    """Return what describes a classifier beside its arrays, as JSON has it."""
    kind = next(name for name, one in _KINDS.items() if isinstance(classifier.decide, one))
    return {
        "kind": kind,
        "regularization": float(classifier.regularization),
        "temperature": float(classifier.temperature),
        "validation_metric": float(classifier.validation_metric),
        "classes": [int(one) for one in classifier.classes],
    }


def arrays_of(classifier: FittedClassifier) -> dict[str, np.ndarray]:
    """Return the arrays of a classifier by name."""
    fields = {field.name: getattr(classifier.decide, field.name) for field in dataclasses.fields(classifier.decide)}
    if (standard := fields.pop("standard", None)) is not None:
        fields |= {name: getattr(standard, name) for name in _STANDARD}
    return {name: np.asarray(array, order="C") for name, array in fields.items()} | {"class_shares": np.asarray(classifier.class_shares)}


def classifier_of(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, num_features: int, num_classes: int) -> FittedClassifier:
    """Return the classifier of these facts and arrays; the file that they come from may be a stranger's.

    Raises:
      ValueError: an array is missing, is of another shape or type than these features and classes need, or is not finite.
    """
    classes = facts.get("classes")
    if (
        not isinstance(classes, list)
        or not all(type(one) is int and 0 <= one < num_classes for one in classes)
        or not 1 < len(set(classes)) == len(classes)
    ):
        raise ValueError(f"expected the classes of a classifier, two numbers below {num_classes} or more, each once; found {classes!r}")
    if facts.get("kind") not in _KINDS:
        raise ValueError(f"expected a classifier of the kinds {', '.join(_KINDS)}, found {facts.get('kind')!r}")
    kind = facts["kind"]
    numbers: dict[str, Any] = {name: facts.get(name) for name in ("regularization", "temperature", "validation_metric")}
    if not all(type(one) in (int, float) and np.isfinite(one) for one in numbers.values()) or not numbers["temperature"] > 0:
        raise ValueError(f"expected finite numbers and a temperature above 0 of a classifier, found {numbers}")
    _check_arrays(arrays, {**_SHAPES[kind], "class_shares": "K"}, num_features, len(classes), num_classes)
    fields: dict[str, Any] = dict(arrays)
    class_shares = fields.pop("class_shares")
    if "standard" in {field.name for field in dataclasses.fields(_KINDS[kind])}:
        fields["standard"] = Standard(**{name: fields.pop(name) for name in _STANDARD})
    if kind == "support_vectors" and (fields["num_rows"].min() < 0 or fields["num_rows"].sum() != len(fields["rows"])):
        raise ValueError(f"expected as many support vectors as rows, found {fields['num_rows']} of {len(fields['rows'])}")
    decide = _KINDS[kind](**fields)
    return FittedClassifier(num_classes=num_classes, class_shares=class_shares, classes=np.asarray(classes), decide=decide, **numbers)


def _check_arrays(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, str], num_features: int, num_trained: int, num_classes: int
) -> None:
    """Raise ValueError where the arrays are not those of `shapes`."""
    if set(arrays) != set(shapes):
        raise ValueError(f"expected the arrays {', '.join(sorted(shapes))} of a classifier, found {', '.join(sorted(arrays)) or 'none'}")
    num_rows = len(arrays["rows"]) if "rows" in arrays else 0
    sizes = {"D": num_features, "C": num_trained, "K": num_classes, "M": num_rows}
    sizes |= {"R": num_trained - 1, "Q": num_trained * (num_trained - 1) // 2}
    if num_rows > _MOST_ROWS:
        raise ValueError(f"expected at most {_MOST_ROWS:,} rows of a classifier, found {num_rows:,}")
    for name, letters in shapes.items():
        array, shape = arrays[name], tuple(sizes[letter] for letter in letters)
        kinds = (_DTYPES[name],) if name in _DTYPES else ("float64", "float32")
        if array.shape != shape or str(array.dtype) not in kinds:
            raise ValueError(f"{name} of a classifier: expected {' or '.join(kinds)} {shape}, found {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} of a classifier: expected finite numbers")
