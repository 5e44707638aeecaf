"""The mode `audit`: the leak audit of the folds, and of existing predictions, without training."""

from __future__ import annotations

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.stored_predictions import read_predictions
from avemo_jax.experiment.audit import audit, audit_results
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.measuring import predictions_name
from avemo_jax.protocols.audit.findings import Finding, format_findings, worst_first


def audit_run(experiment: Experiment, prepared: PreparedCorpus) -> list[Finding]:
    """Print the folds and the findings of the leak audit in them and in existing predictions; return the findings."""
    plan = make_plan(experiment, prepared)
    findings = audit(plan, prepared)
    for table in plan.folds.tables:
        sizes = ", ".join(f"{fold.name} {len(fold.train)}/{len(fold.validation)}/{len(fold.test)}" for fold in table.folds)
        print(f"protocol {table.protocol} on {len(plan.clips)} clips (train/validation/test): {sizes}")
        print(f"{table.note}\nfold hash {table.content_hash}")
        path = experiment.run_directory / predictions_name(plan, table)
        if path.is_file():
            print(f"also audited: {path}")
            findings += audit_results(plan, read_predictions(path), table=table)
    findings = worst_first(findings)
    print(format_findings(findings))
    return findings
