"""Export of a finished run as a model folder, see `model_folder`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from avemo_jax.atomic import atomic_binary_file, atomic_file, write_json
from avemo_jax.config import Experiment
from avemo_jax.experiment.encoder_table import encoder_table
from avemo_jax.experiment.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    FORMAT,
    MODEL_FILE,
    WEIGHTS_FILE,
    array_prefix,
    sha256_of_file,
    without_paths,
)
from avemo_jax.experiment.programs import NOT_WRITTEN, PROGRAMS, write_program
from avemo_jax.experiment.sources import needs_making
from avemo_jax.experiment.stored_classifiers import arrays_of, facts_of
from avemo_jax.experiment.trained_members import TrainedMember, read_members
from avemo_jax.labels import label_set
from avemo_jax.mel_arithmetic import MelArithmetic
from avemo_jax.models.encoders import ENCODERS, find_encoder
from avemo_jax.runs.run_directory import RunDirectory

_NO_SOUND = f"{NOT_WRITTEN}no view of this system is plain arithmetic on samples that goes into the network as it is"


def export_model(
    experiment: Experiment,
    steps: Mapping[str, tuple[tuple[int, ...], str]],
    output: Path,
    *,
    half_precision: bool = False,
    programs: Sequence[str] = (),
    arithmetic: Mapping[str, MelArithmetic | None] | None = None,
    card: Callable[[dict[str, Any]], str] | None = None,
) -> dict[str, Any]:
    """Write the files of a model folder, and return the content of model.json, which is written last: it makes the folder a model folder.

    Args:
      experiment: config of a finished run.
      steps: stream -> (step_shape, dtype) of the models' inputs.
      output: the folder, new or empty.
      half_precision: store the weights of networks in float16, which rounds them; else in float32.
      programs: formats in which the networks are also written as one program, where they are one, see `programs.PROGRAMS`.
      arithmetic: view -> the view as plain numbers, where it is such; the programs are then also written with these views inside.
      card: function that may add to the content of model.json, and returns the text of the model card; None: no card.

    Raises:
      FileExistsError: the folder holds something.
      FileNotFoundError, ConfigMismatch, DamagedCheckpoint, ValueError: see `read_members`.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} exists and is not empty; name another folder with --output")
    members = read_members(experiment, steps)
    run = RunDirectory(experiment.run_directory)
    facts = run.read_json("run.json")
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / CONFIG_FILE, without_paths(experiment))
    _write_arrays(output / WEIGHTS_FILE, members, half_precision=half_precision)
    files_of = {name: PROGRAMS[name].file for name in programs}
    written = {file: write_program(name, output / file, members, steps, facts["num_steps"]) for name, file in files_of.items()}
    sound = _sound_streams(experiment, arithmetic or {})
    for name in [name for name in programs if not written[files_of[name]].startswith(NOT_WRITTEN)]:
        file = PROGRAMS[name].file_from_sound
        written[file] = write_program(name, output / file, members, steps, facts["num_steps"], sound) if sound else _NO_SOUND
    files = (CONFIG_FILE, WEIGHTS_FILE, *(name for name in written if (output / name).is_file()))
    described = {
        "format": FORMAT,
        "system": experiment.system.name,
        "classes": list(label_set(experiment.corpus.label_set).classes),
        "dimensions": list(experiment.corpus.dimensions),
        "num_steps": facts["num_steps"],
        "members": [_described(member) for member in members],
        "encoders": _encoders(experiment, facts),
        "made_by": {name: facts.get(name) for name in ("run_id", "command", "git_commit", "versions", "started")},
        **({"programs": written} if written else {}),
    }
    if card is not None:
        with atomic_file(output / CARD_FILE) as stream:
            stream.write(card(described))
        files = (*files, CARD_FILE)
    described["sha256"] = {name: sha256_of_file(output / name) for name in files}
    write_json(output / MODEL_FILE, described)
    return described


def _sound_streams(experiment: Experiment, arithmetic: Mapping[str, MelArithmetic | None]) -> dict[str, MelArithmetic]:
    """Return stream -> its view, for the streams whose views are plain arithmetic and go into the network as they are."""
    found = {}
    for name in experiment.system.streams:
        stream = experiment.streams[name]
        view = arithmetic.get(stream.view)
        if view is not None and not stream.per_speaker and not needs_making(experiment, name):
            found[name] = view
    return found


def _write_arrays(path: Path, members: list[TrainedMember], *, half_precision: bool) -> None:
    from safetensors.numpy import save  # late: hosts that train from scratch lack it

    arrays: dict[str, np.ndarray] = {}
    for number, member in enumerate(members):
        for stage, net in member.nets.items():
            tree = traverse_util.flatten_dict({**net.variables, "scaler": dict(net.scaler)}, sep="/")
            kind = np.float16 if half_precision else np.float32
            arrays |= {array_prefix(number, stage) + name: np.asarray(leaf).astype(kind) for name, leaf in tree.items()}
        if member.classifier is not None:
            prefix = array_prefix(number, member.stage)
            arrays |= {prefix + name: _in_float32(array) for name, array in arrays_of(member.classifier).items()}
    with atomic_binary_file(path) as stream:  # save_file makes a file that its owner alone can read
        stream.write(save(arrays))


def _in_float32(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _described(member: TrainedMember) -> dict[str, Any]:
    """Return a member as model.json lists it."""
    classical = {} if member.classifier is None else {"classifier": facts_of(member.classifier)}
    return {
        "fold": member.trial.fold,
        "seed": member.trial.seed,
        "stages": list(member.nets) or [member.stage],
        "fields": {name: value if isinstance(value, str) else repr(value) for name, value in member.trial.fields},
        **({} if member.rule is None else {"rule": dict(member.rule)}),
        **classical,
    }


def _encoders(experiment: Experiment, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the encoders in use as run.json has them, with the page of their owner in place of a path."""
    stored = facts.get("encoders") or [one.as_dict() for one in encoder_table(experiment)]
    found = []
    for one in stored:
        record = find_encoder(one["name"]) if one["name"] in ENCODERS else None
        pages = [asset.page for layout in record.weights for asset in layout.assets] if record else []
        weights = one["weights"] if one["weights"] in ("published", "random") else "file"
        found.append(dict(one) | {"weights": weights, "pages": list(dict.fromkeys(pages))})
    return found
