"""The mode `train`: audit the folds, train the grid or continue its training, evaluate and report."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.results import RunResults
from avemo_jax.experiment.audit import audit, write_audit
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.encoder_table import encoder_table
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.measuring import measure_run, run_hashes
from avemo_jax.experiment.searching import search
from avemo_jax.experiment.stages import train_stages
from avemo_jax.protocols.audit.findings import refuse
from avemo_jax.runs.processes import SINGLE_PROCESS, Processes
from avemo_jax.runs.run_directory import follow_run, open_run
from avemo_jax.runs.time_spent import count_compilations


def train(experiment: Experiment, prepared: PreparedCorpus, processes: Processes = SINGLE_PROCESS) -> RunResults | None:
    """Train the grid, evaluate and report; return the results.

    With several processes, the primary one also plans, evaluates and reports; the others only train their shares and return None.

    Raises:
      Preempted: the run was asked to stop, and its state is saved.
      ChangedPredictions: the predictions of an earlier, finished run have been changed since they were written.
      ConfigMismatch, LeakError, ValueError: see `open_run` and `make_plan`.
    """
    set_up_backend(experiment)
    count_compilations()
    if not processes.is_primary:
        _follow(experiment, prepared, processes)
        return None
    with open_run(experiment.run_directory, experiment) as run:
        run.check_predictions()
        with run.phase("plan"):
            plan = make_plan(experiment, prepared)
            hashes = run_hashes(plan, prepared)
            run.bind(**hashes)
            if encoders := encoder_table(experiment):
                run.write_run_json(encoders=[one.as_dict() for one in encoders])
            if prepared.licences:
                run.write_run_json(licences=dict(prepared.licences))
            findings = audit(plan, prepared)
            write_audit(run, findings)
            refuse(findings)
        processes.barrier("opened")
        try:
            plan = search(plan, run, hashes)
            outcomes = train_stages(plan, run, processes)
        finally:
            run.write_run_json()
        return measure_run(plan, run, prepared, outcomes, findings)


def _follow(experiment: Experiment, prepared: PreparedCorpus, processes: Processes) -> None:
    """Train the shares of a process that is not the primary one."""
    processes.barrier("opened")
    run = follow_run(experiment.run_directory, experiment)
    plan = make_plan(experiment, prepared)
    hashes = run_hashes(plan, prepared)
    run.check(**hashes)
    train_stages(search(plan, run, hashes), run, processes)
