"""The mode `report`: write report.html again from the files of the run directory."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.evaluation.results import RunResults
from avemo_jax.reporting.report import format_table, write_report
from avemo_jax.runs.run_directory import RunDirectory


def report(experiment: Experiment) -> None:
    """Write report.html, and print its table.

    Raises:
      FileNotFoundError: there is no finished run.
    """
    workdir = experiment.run_directory
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    write_report(workdir)
    print(format_table(RunResults.from_json(RunDirectory(workdir).read_json("results.json"))))
    print(f"report: {workdir / 'report.html'}")
