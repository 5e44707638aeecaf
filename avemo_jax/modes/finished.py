"""A finished run, opened for a mode that measures its trained system on classes: its directory, locked, and its plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.results import RunResults
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.grid_plan import GridPlan, make_plan
from avemo_jax.experiment.measuring import run_hashes
from avemo_jax.experiment.searching import with_chosen
from avemo_jax.runs.run_directory import RunDirectory, open_run


@contextmanager
def finished_run(experiment: Experiment, prepared: PreparedCorpus, *, does: str) -> Iterator[tuple[RunDirectory, GridPlan]]:
    """Yield the directory of a finished run, and its plan with the settings that it has chosen.

    Args:
      does: what the mode does with classes, for the message: "--mode=robustness measures".

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: a run without classes.
    """
    set_up_backend(experiment)
    workdir = experiment.run_directory
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    with open_run(workdir, experiment) as run:
        plan = make_plan(experiment, prepared)
        run.bind(**run_hashes(plan, prepared))
        if plan.blueprint.num_classes < 2:
            raise ValueError(f"{does} classes, and this run has none (--config.corpus.label_set=none)")
        yield run, with_chosen(plan, run.path)


def facts_of(results: RunResults) -> dict[str, Any]:
    """Return what a mode writes of the run that it measured, beside its own numbers."""
    names = ("corpus", "system", "protocol", "speaker_independent", "fold_hash", "select", "leaks")
    return {name: to_json(getattr(results, name)) for name in names}
