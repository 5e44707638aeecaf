"""The experiment that the command line asks for: the config file's, or the stored one of a run or model folder (`--run`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemo_jax.atomic import read_json
from avemo_jax.config import Experiment, parse, to_plain
from avemo_jax.config.overrides import parse_value, with_fields
from avemo_jax.config.paths import expand, expand_config, is_path
from avemo_jax.experiment.model_folder import config_differences, is_model_folder, read_model_config
from avemo_jax.runs.run_directory import compare_configs, complete, read_config
from avemo_jax.text import nearest


def experiment_of(config: Mapping[str, Any], run: str | None, overrides: Mapping[str, str], *, is_given: bool) -> Experiment:
    """Return the experiment of a config, its unset fields (the corpus's folder) from its run where that exists, or of a run directory.

    Args:
      config: plain values of the config file.
      run: run directory, in place of the config.
      overrides: config field -> text, for `run`.
      is_given: whether the config file is named beside `run`, and so may not differ from it.
    """
    plain = expand_config(config)
    if run is None:
        experiment = parse(plain)
        path = experiment.run_directory / "config.json"
        stored = read_json(path) if path.is_file() else {}
        return parse(complete(plain, stored)) if stored.get("corpus", {}).get("name") == experiment.corpus.name else experiment
    experiment = stored_experiment(expand(run, "--run"), overrides)
    if is_given:
        refuse_differences(experiment.run_directory, experiment, parse(complete(plain, to_plain(experiment))))
    return experiment


def stored_experiment(folder: str, overrides: Mapping[str, str]) -> Experiment:
    """Return the experiment of a run directory or model folder, with overrides that change no result: folders, `segment_s`, workers.

    Args:
      folder: run directory, or model folder, whose encoders' weights may be anywhere.
      overrides: config field -> its text.

    Raises:
      FileNotFoundError: the folder holds no run.
      ConfigMismatch, ValueError: its config is of an earlier version, an override is of a wrong type or contradicts the stored config.
    """
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        siblings = [one.parent.name for one in path.parent.glob("*/config.json")] if path.parent.is_dir() else []
        raise FileNotFoundError(f"--run={folder} holds no run and no model, because it has no config.json{nearest(path.name, siblings)}")
    stored = read_model_config(path) if is_model_folder(path) else read_config(path)
    experiment = with_fields(parse(stored), {"workdir": str(path)})
    texts = {name: expand(text, f"--config.{name}") if is_path(name) else text for name, text in overrides.items()}
    changed = with_fields(experiment, {name: parse_value(experiment, name, text) for name, text in texts.items()})
    refuse_differences(path, experiment, changed)
    return changed


def refuse_differences(path: Path, stored: Experiment, given: Experiment) -> None:
    """Raise ValueError where fields that change results differ from the stored config; shorter segments are a finer prediction."""
    compare = config_differences if is_model_folder(path) else compare_configs
    differences = [one for one in compare(to_plain(stored), to_plain(given)) if not one.partition(":")[0].endswith(".segment_s")]
    if differences:
        raise ValueError(
            f"--run={path} takes the config of that run, and these flags differ from it:\n  "
            + "\n  ".join(differences)
            + "\nLeave them out, or train another run: without --run, with another --config.workdir."
        )
