"""The mode `ablate`: what each part of a finished run's classical system is worth, judged within the training parts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.evaluation.json_types import to_json
from avemo_jax.evaluation.metrics import metric_named
from avemo_jax.evaluation.paired import paired_bootstrap
from avemo_jax.evaluation.summary import pooled_with_interval
from avemo_jax.experiment.ablating import ablate, variants_of
from avemo_jax.experiment.classical_stage import statistics_with_copies
from avemo_jax.modes.finished import finished_run
from avemo_jax.reporting.tables import Column, Table, difference_cell, pooled_cell, table_text, text_column, write_tables
from avemo_jax.training.machines import KERNELS


def ablate_run(experiment: Experiment, prepared: PreparedCorpus, parts: Mapping[str, Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Leave out one part of a run's system at a time; write ablation.json and a table, and return the content of ablation.json.

    Args:
      parts: stream -> parts of its view by name, each as (S,) bool over the numbers of a step.

    Returns:
      One entry a variant, the whole system first: name, number of features, UAR with its interval over training speakers, and the paired
      difference from the whole system.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: a run without classes, or of a system that is no ridge regression.
    """
    with finished_run(experiment, prepared, does="--mode=ablate measures") as (run, plan):
        stage = plan.stages[-1]
        if stage.part not in KERNELS:
            raise ValueError(
                f"--mode=ablate fits the stages {' and '.join(KERNELS)} again, and the last stage of this run is {stage.name!r}; of a "
                "network, train one setting for each part with --config.sweep.one_at_a_time=True, see docs/ablation.md"
            )
        table, folds = plan.folds.spans()[-1]
        found = statistics_with_copies(plan, stage)
        uar, entries, whole = metric_named("uar"), [], None
        variants = variants_of(plan, stage, found, parts)
        for variant, sums in tqdm(ablate(plan, stage, found, variants, folds), desc="ablate", unit="variant", total=len(variants)):
            whole = sums if whole is None else whole
            difference = None if sums is whole else to_json(paired_bootstrap(sums, whole, uar.value))
            num_features = int(variant.keeps.sum())
            entries.append(
                {
                    "name": variant.name,
                    "num_features": num_features,
                    "uar": to_json(pooled_with_interval(uar, sums)),
                    "difference": difference,
                }
            )
        content = {"protocol": table.protocol, "system": experiment.system.name, "judged_on": "inner folds of the training parts"}
        run.write_json("ablation.json", content | {"variants": entries})
        shown = ablation_table(experiment.system.name, table.protocol, entries)
        write_tables(run.path / "tables", [shown])
    print(table_text(shown))
    return entries


def ablation_table(system: str, protocol: str, entries: list[dict[str, Any]]) -> Table:
    """Return the table of the entries of `ablate_run`."""
    columns = [text_column("variant"), Column("features", "{:,}".format), Column("UAR", pooled_cell), Column("Δ UAR", difference_cell)]
    note = (
        f"{system}, in %: each training clip of {protocol} predicted by fits on other training speakers (five inner folds), with 95 % "
        "intervals over speakers; Δ is the difference from the whole system in points, paired over speakers. No test part was read"
    )
    rows = [[one["name"], one["num_features"], one["uar"], one["difference"]] for one in entries]
    return Table("ablation", "What each part is worth", columns, rows, note)
