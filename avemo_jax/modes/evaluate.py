"""The mode `evaluate`: restore a trained grid from its checkpoints, predict again, and report, without training."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.results import RunResults
from avemo_jax.experiment.audit import audit
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.measuring import measure_run, run_hashes
from avemo_jax.experiment.searching import with_chosen
from avemo_jax.experiment.stages import restore_stages
from avemo_jax.protocols.audit.findings import refuse
from avemo_jax.runs.run_directory import open_run


def evaluate(experiment: Experiment, prepared: PreparedCorpus) -> RunResults:
    """Return the results of a trained run: predict the test parts with the stored weights, and write the report.

    Raises:
      FileNotFoundError: the run directory has no finished training.
      ChangedPredictions: its predictions have been changed since they were written, or the checkpoints give others.
      DamagedCheckpoint, ForeignCheckpoint: see `restore_stages`.
    """
    set_up_backend(experiment)
    workdir = experiment.run_directory
    if not (workdir / "config.json").is_file():
        raise FileNotFoundError(f"no run in {workdir}; train it first: the same command with --mode=train")
    with open_run(workdir, experiment) as run:
        run.check_predictions()
        plan = make_plan(experiment, prepared)
        run.bind(**run_hashes(plan, prepared))
        plan = with_chosen(plan, run.path)
        outcomes = restore_stages(plan, run.path)
        findings = audit(plan, prepared)
        refuse(findings)
        return measure_run(plan, run, prepared, outcomes, findings, refuse_changes=True)
