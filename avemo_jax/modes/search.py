"""The mode `search`: join the search of a run, in addition to the process that trains the run."""

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
    """Train settings of a search in a storage that all processes reach; no run directory is needed.

    Raises:
      Preempted: the process was asked to stop; other processes take over its unfinished settings.
      ValueError: search.space is empty, the storage supports only one process, or it has a search of that name of another experiment.
    """
    set_up_backend(experiment)
    plan = make_plan(experiment, prepared)
    refuse(audit(plan, prepared))
    add_to_search(plan, run_hashes(plan, prepared))
