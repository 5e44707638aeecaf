"""The trained models of a finished run, or of a model folder, as one ensemble; no corpus is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avemo_jax.config import Experiment
from avemo_jax.experiment.model_folder import is_model_folder, load_model
from avemo_jax.inference.predict import Ensemble
from avemo_jax.labels import label_set


def load_ensemble(
    experiment: Experiment,
    steps: Mapping[str, tuple[tuple[int, ...], str]],
    segment_s: float,
    step_s: float | None,
    window_s: float | None = None,
) -> Ensemble:
    """Return the models of a finished run, or of a model folder; of several settings those selected on validation for each fold and seed.

    Args:
      steps: stream -> (step_shape, dtype) of the models' inputs.
      segment_s, step_s, window_s: as in Ensemble.

    Raises:
      FileNotFoundError: the directory has no finished training.
      ConfigMismatch: the directory holds a run of another config, or of an earlier version.
      DamagedCheckpoint: all checkpoints are damaged.
      ValueError: run.json was changed, or a model folder is damaged.
    """
    workdir = experiment.run_directory
    if is_model_folder(workdir):
        return load_model(workdir, experiment, steps, segment_s=segment_s, step_s=step_s, window_s=window_s)
    from avemo_jax.experiment.trained_members import ensemble_members  # late: brings JAX and Orbax, which a model folder may not need

    members = ensemble_members(experiment, steps)
    labels, dimensions = label_set(experiment.corpus.label_set), experiment.corpus.dimensions
    lengths: dict[str, Any] = {"segment_s": segment_s, "step_s": step_s, "window_s": window_s}
    return Ensemble(members, classes=labels.classes, views=steps, dimensions=dimensions, **lengths)
