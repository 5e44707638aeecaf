"""The mode `report`: write report.html again from the files of the run directory."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.reporting.report import format_table, read_results, write_report


def report(experiment: Experiment) -> None:
    """Write report.html, and print its table.

    Raises:
      FileNotFoundError: there is no finished run.
    """
    workdir = experiment.run_directory
    write_report(workdir)
    print(format_table(read_results(workdir)))
    print(f"report: {workdir / 'report.html'}")
