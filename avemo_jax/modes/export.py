"""The mode `export`: a finished run as a model folder, which predicts without the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.config import Experiment
from avemo_jax.config.paths import is_path
from avemo_jax.experiment.exporting import export_model
from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.live_features import views_of
from avemo_jax.experiment.model_folder import WEIGHTS_FILE, is_model_folder
from avemo_jax.experiment.programs import NOT_WRITTEN, PROGRAMS, check_programs
from avemo_jax.mel_arithmetic import MelArithmetic
from avemo_jax.pretrained.assets import FACE_DETECTORS
from avemo_jax.reporting.model_card import model_card
from avemo_jax.reporting.report import read_results
from avemo_jax.runs.run_directory import RunDirectory
from avemo_jax.text import count_of


def export(
    experiment: Experiment,
    steps: Mapping[str, tuple[tuple[int, ...], str]],
    output: Path,
    *,
    modalities: Mapping[str, str],
    segment_s: float,
    half_precision: bool = False,
    programs: Sequence[str] = (),
    arithmetic: Mapping[str, MelArithmetic | None] | None = None,
) -> dict[str, Any]:
    """Write a model folder with its card, print what it holds, and return the content of model.json.

    Args:
      experiment: config of a finished run.
      steps: view -> (step_shape, dtype).
      output: the folder, new or empty.
      modalities: view -> "audio" or "video".
      segment_s: length of a segment.
      half_precision, programs, arithmetic: see `export_model`.

    Raises:
      FileExistsError: the folder holds something.
      FileNotFoundError: the run has not finished.
      ConfigMismatch, DamagedCheckpoint, ValueError: see `read_members`.
      ValueError, RuntimeError: see `check_programs`.
    """
    check_programs(programs)
    workdir = experiment.run_directory
    if is_model_folder(workdir):
        raise ValueError(f"{workdir} is a model folder already; copy it")
    results = read_results(workdir)
    facts = RunDirectory(workdir).read_json("run.json")
    streams = {stream: feature_step(experiment, stream, steps) for stream in experiment.system.streams}

    def card(described: dict[str, Any]) -> str:
        described["made_by"]["command"] = without_own_paths(facts.get("command") or ())
        described["results"] = {
            "corpus": results.corpus,
            "protocol": results.protocol,
            "speaker_independent": results.speaker_independent,
            "leaks": list(results.leaks),
            **{
                name: {"pooled": one.pooled, "ci95": None if one.ci95 is None else list(one.ci95)}
                for name in ("uar", "war")
                if (one := results.metrics.get(name))
            },
        }
        flags = [*(["--half_precision"] if half_precision else []), *([f"--programs={','.join(programs)}"] if programs else [])]
        return model_card(
            results,
            described,
            streams=tuple(dict.fromkeys(modalities[experiment.streams[name].view] for name in streams)),
            segment_s=segment_s,
            licences=facts.get("licences", {}),
            not_inside=_face_detectors(experiment),
            command=["run.py", "--mode=export", "--run=RUN", "--output=FOLDER", *flags],
            half_precision=half_precision,
            programs=[_program(name, what) for name, what in described.get("programs", {}).items()],
        )

    described = export_model(
        experiment, streams, output, half_precision=half_precision, programs=programs, arithmetic=arithmetic, card=card
    )
    size_mb = (output / WEIGHTS_FILE).stat().st_size / 1e6
    for name, what in described.get("programs", {}).items():
        print(f"{name} {what}" if what.startswith(NOT_WRITTEN) else f"{name}: {what}")
    print(f"{count_of(len(described['members']), 'model')} of {experiment.system.name}, {size_mb:.1f} MB: {output}")
    return described


def _program(name: str, what: str) -> str:
    if what.startswith(NOT_WRITTEN):
        return f"{name} is {what}."
    (one,) = (one for one in PROGRAMS.values() if name in (one.file, one.file_from_sound))
    if name == one.file_from_sound:
        return (
            f"{name}: the same with the views of sound inside, computed in float32: samples in [-1, 1], with a mask that is True up to the "
            f"end of a sound. Arguments: {what}."
        )
    return (
        f"{name}: the networks from features to probabilities, as {one.runtime}. Views and frozen encoders are not inside. "
        f"Arguments: {what}."
    )


def _face_detectors(experiment: Experiment) -> list[str]:
    """Return what the views in use need beside the folder."""
    used = {experiment.views[view].get("detector") for view in views_of(experiment)}
    return [f"the face detector {name} ({one.licence}; {one.page})" for name, one in sorted(FACE_DETECTORS.items()) if name in used]


def without_own_paths(command: Sequence[str]) -> list[str]:
    """Return a command with FOLDER in place of paths of this machine; flags of run directory and prepared sets are left out."""
    found = []
    for text in command:
        flag, equals, _ = text.partition("=")
        name = flag.lstrip("-").removeprefix("config.")
        if name in ("workdir", "prepared_dir", "weights_dir", "num_workers"):
            continue
        found.append(f"{flag}=FOLDER" if equals and (is_path(name) or name == "run") else text)
    return found
