"""The mode `search`: work on the search of a run that another process begins or has begun."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.audit import audit
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.measuring import run_hashes
from avemo_jax.experiment.searching import add_to_search
from avemo_jax.protocols.audit.findings import refuse


def join_search(experiment: Experiment, prepared: PreparedCorpus) -> None:
    """Add settings to a search on the storage that all processes reach; needs no run directory.

    Raises:
      Preempted: the process was asked to stop; others take over what it had begun.
      ValueError: nothing is searched, its storage serves one process, or it has another experiment's search of that name.
    """
    set_up_backend(experiment)
    plan = make_plan(experiment, prepared)
    refuse(audit(plan, prepared))
    add_to_search(plan, run_hashes(plan, prepared))
