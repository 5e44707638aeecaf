"""A model folder: the trained models of a run in a form that others can use, without the run, its corpus or its prepared sets.

    config.json           the run's config without paths, swept values and devices
    model.json            format, classes, encoders, members (fold, seed, stages), SHA-256 of the files, and how it was made
    weights.safetensors   member<number>/<stage>/params/..., .../batch_stats/..., .../scaler/..., or the arrays of a classifier
    README.md             the model card

Weights of frozen encoders are not inside: model.json names them, their address and SHA-256. Nothing is executed or unpickled, and a folder
may come from a stranger: the config goes through the parser of configs, and every array must have the shape that the config's network has.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avemo_jax.config import ONNX_ENCODERS, Experiment, parse, to_plain
from avemo_jax.config.overrides import CHANGEABLE, Changes, parse_value
from avemo_jax.config.paths import is_path
from avemo_jax.experiment.encoder_table import encoder_table
from avemo_jax.experiment.grid import stages_of
from avemo_jax.experiment.model_arrays import ANEW, Arrays
from avemo_jax.experiment.segment_statistics import num_features_of, segment_predictor
from avemo_jax.experiment.sources import RANDOM
from avemo_jax.experiment.stored_classifiers import classifier_of
from avemo_jax.inference.predict import Ensemble, EnsembleMember, TrainedClassifier, member_of
from avemo_jax.labels import LabelSet, label_set
from avemo_jax.pretrained.assets import PUBLISHED
from avemo_jax.pretrained.model_folder import read_json
from avemo_jax.runs.run_directory import compare_configs, flatten
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.stage import answering
from avemo_jax.training.trials import Trial

LOG = logging.getLogger(__name__)
Steps = Mapping[str, tuple[tuple[int, ...], str]]
MODEL_FILE, CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "model.json", "config.json", "weights.safetensors", "README.md"
FORMAT = 1
# Fields of a config that say where and how a run was made.
_OF_A_RUN = ("workdir", "prepared_dir", "weights_dir", "num_workers", "beam_runner", "beam_options", "devices", "sweep", "search")
_MOST_MEMBERS = 100_000
_MOST_STEPS = 10_000_000


def without_paths(experiment: Experiment) -> dict[str, Any]:
    """Return a config as plain values without what belongs to one machine or to training alone: paths, devices, sweeps."""
    plain, default = to_plain(experiment), to_plain(Experiment())
    plain |= {name: default[name] for name in _OF_A_RUN}
    plain["corpus"] |= {"root": None, "table": ""}
    for name, parameters in plain["views"].items():
        plain["views"][name] = {key: None if is_path(f"views.{name}.{key}") else value for key, value in parameters.items()}
    for name, settings in plain["encoders"].items():
        if settings["weights"] not in (PUBLISHED, RANDOM):
            settings["weights"] = "" if name in ONNX_ENCODERS else PUBLISHED
    return plain


def read_model_config(folder: Path) -> dict[str, Any]:
    """Return the content of a model folder's config.json, after it was checked as a config and for paths.

    Raises:
      ConfigError: a field is unknown, of another type or out of bounds.
      ValueError: the file is damaged, or names a path, which would be one of this machine.
    """
    plain = read_json(folder / CONFIG_FILE)
    cleaned = flatten(without_paths(parse(plain)))
    if paths := [name for name, value in flatten(plain).items() if name in cleaned and value != cleaned[name]]:
        raise ValueError(f"{folder / CONFIG_FILE}: expected no path and nothing of a machine in it, found {paths[0]}; {ANEW}")
    return plain


def is_model_folder(folder: Path) -> bool:
    """Return whether a folder holds an exported model and not a run."""
    return (folder / MODEL_FILE).is_file() and not (folder / "run.json").is_file()


def config_differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return one line for each field in which a config differs from that of a model folder.

    Where the weights of an encoder are on this machine is no difference; `load_model` compares their SHA-256.
    """
    lines = compare_configs(stored, given)
    return [line for line in lines if not (line.startswith("encoders.") and line.partition(":")[0].endswith(".weights"))]


def load_model(folder: Path, experiment: Experiment, steps: Mapping[str, tuple[tuple[int, ...], str]], **lengths: Any) -> Ensemble:
    """Return the models of a model folder as an ensemble, as `load_ensemble` returns those of a run.

    Args:
      folder: model folder.
      experiment: its config, with paths of this machine.
      steps: as `load_ensemble` has them.
      **lengths: `segment_s`, `step_s` and `window_s` of the Ensemble.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is damaged, was changed, or is not what the config describes.
    """
    described = _read_described(folder)
    parts = {name: _whole_number(value, f"num_steps of {name}", _MOST_STEPS) for name, value in _object(described, "num_steps").items()}
    if set(parts) != set(steps):
        raise ValueError(f"{folder / MODEL_FILE}: expected num_steps of the streams {sorted(steps)}, found {sorted(parts)}; {ANEW}")
    labels = label_set(experiment.corpus.label_set)
    if tuple(described.get("classes", ())) != labels.classes:
        raise ValueError(
            f"{folder / MODEL_FILE}: expected the classes {', '.join(labels.classes)} of the label set {labels.name}, found "
            f"{described.get('classes')!r}; {ANEW}"
        )
    _compare_encoders(folder, experiment, described.get("encoders"))
    with Arrays(folder / WEIGHTS_FILE) as arrays:
        members = list(_members(experiment, labels, steps, parts, described.get("members"), arrays, folder))
    dimensions = experiment.corpus.dimensions
    return Ensemble(members, classes=labels.classes, views=steps, dimensions=dimensions, **lengths)


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of model.json, for what tells users about the model; `load_model` checks what prediction needs.

    Raises:
      FileNotFoundError: there is no model folder.
      ValueError: model.json is damaged, or of a later version.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no model, because it has no {MODEL_FILE}; make one with --mode=export --run=RUN --output=FOLDER"
        )
    described = read_json(path)
    if described.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, found {described.get('format')!r}; use the version of Avemo that made it")
    return described


def array_prefix(member: int, stage: str) -> str:
    """Return the beginning of the names of a member's arrays of one stage."""
    return f"member{member}/{stage}/"


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_described(folder: Path) -> dict[str, Any]:
    """Return model.json after its sums have been compared with the files that prediction reads."""
    described = read_description(folder)
    sums = _object(described, "sha256")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: expected {name} in it; {ANEW}")
        if (found := sha256_of_file(folder / name)) != sums.get(name):
            raise ValueError(f"{folder / name} is damaged or was changed: expected SHA-256 {sums.get(name)}, found {found}; {ANEW}")
    return described


def _compare_encoders(folder: Path, experiment: Experiment, stored: Any) -> None:
    """Warn where an encoder's weights on this machine are others than those that the models were trained on."""
    known = {one.get("name"): one.get("sha256") for one in stored if isinstance(one, dict)} if isinstance(stored, list) else {}
    for own in encoder_table(experiment):
        if own.sha256 and known.get(own.name) and own.sha256 != known[own.name]:
            LOG.warning(
                "the weights of %s have SHA-256 %s..., and the models of %s were trained on features of %s...: the same weights in other "
                "precision change predictions little, other weights make them worthless",
                *(own.name, own.sha256[:12], folder, str(known[own.name])[:12]),
            )


def _members(
    experiment: Experiment, labels: LabelSet, steps: Steps, num_steps: Mapping[str, int], described: Any, arrays: Arrays, folder: Path
) -> Iterator[EnsembleMember]:
    if not isinstance(described, list) or not 0 < len(described) <= _MOST_MEMBERS or not all(isinstance(one, dict) for one in described):
        raise ValueError(f"{folder / MODEL_FILE}: expected 1 to {_MOST_MEMBERS} members; {ANEW}")
    stages = {stage.name: stage for stage in stages_of(experiment)}
    last = list(stages.values())[-1]
    wanted = [stage.name for stage in answering(list(stages.values()), fallback=experiment.fusion.fallback)]
    names = set()
    networks: Any = None
    for number, one in enumerate(described):
        where = f"{folder / MODEL_FILE}: member {number}"
        if one.get("stages") != wanted:
            raise ValueError(f"{where}: expected the stages {wanted} of the config, found {one.get('stages')!r}; {ANEW}")
        trial = Trial(number, 0, 0, 0, {}, _fields(experiment, one.get("fields", []), where))
        prefixes = [array_prefix(number, name) for name in wanted]
        names |= {name for name in arrays.names if name.startswith(tuple(prefixes))}
        if last.is_classical:
            num_features = num_features_of(experiment, last, steps)
            classifier = _classifier(one.get("classifier"), arrays, prefixes[0], where, num_features, len(labels.classes))
            yield EnsembleMember([TrainedClassifier(segment_predictor(experiment, last, classifier))])
            continue
        from avemo_jax.experiment.model_networks import Networks, read_rule  # late: brings JAX, which classical systems do not need

        networks = networks or Networks(experiment, labels, steps, num_steps)
        nets = [networks.read(stages[name], trial, arrays, prefix) for name, prefix in zip(wanted, prefixes, strict=True)]
        yield member_of(nets, read_rule(one.get("rule"), len(nets), len(labels.classes), where) if last.part == "inner" else None)
    if unknown := sorted(arrays.names - names):
        raise ValueError(f"{folder / WEIGHTS_FILE} holds arrays of no member, the first is {unknown[0]}; {ANEW}")


def _classifier(facts: Any, arrays: Arrays, prefix: str, where: str, num_features: int, num_classes: int) -> FittedClassifier:
    if not isinstance(facts, dict):
        raise ValueError(f"{where}: expected the facts of its classifier, found {facts!r}; {ANEW}")
    own = {name.removeprefix(prefix): arrays.read(name) for name in arrays.names if name.startswith(prefix)}
    return classifier_of(facts, own, num_features=num_features, num_classes=num_classes)


def _fields(experiment: Experiment, described: Any, where: str) -> Changes:
    """Return the swept fields of a member, parsed as those of a command line."""
    if not isinstance(described, dict) or not all(isinstance(text, str) for text in described.values()):
        raise ValueError(f"{where}: expected its swept fields as field -> text, found {described!r}; {ANEW}")
    if others := [name for name in described if name.partition(".")[0] not in CHANGEABLE]:
        raise ValueError(f"{where}: expected swept fields of {', '.join(CHANGEABLE)}, found {others[0]}; {ANEW}")
    return tuple((name, parse_value(experiment, name, text)) for name, text in described.items())


def _object(described: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = described.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{MODEL_FILE}: expected an object {name}, found {type(value).__name__}; {ANEW}")
    return value


def _whole_number(value: Any, what: str, most: int) -> int:
    if type(value) is not int or not 0 < value <= most:
        raise ValueError(f"{MODEL_FILE}: expected {what} to be a number from 1 to {most:,}, found {value!r}; {ANEW}")
    return value
