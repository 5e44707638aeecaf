"""The mode `explain`: on which parts of the test clips the answers of a finished run rest, as maps by class with a check by deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.occlusion import SHARES, Explanation, explain_tests
from avemo_jax.experiment.stages import restore_last
from avemo_jax.modes.finished import finished_run
from avemo_jax.reporting.explanation import check_by_deletion, class_maps, deletion_chart, explanation_table, mean_picture
from avemo_jax.reporting.pages import write_page
from avemo_jax.reporting.tables import table_text, write_tables

_AXES = {
    "time and features": "Time runs to the right, in equal parts of each clip; downwards lie bands of the features, the first on top.",
    "time": "Time runs to the right, in equal parts of each clip.",
    "picture": "Squares of the picture, the same in all frames, over the mean of the explained clips' first pictures.",
}


def explain(experiment: Experiment, prepared: PreparedCorpus, *, clips_per_class: int) -> Path:
    """Explain test clips of a finished run; write explain.html, explain.json and a table, and return the path of the page.

    Args:
      clips_per_class: test clips of each class to explain, of as many speakers as there are.

    Raises:
      FileNotFoundError: the run has not finished.
      ValueError: fewer than one clip, a run of dimensions alone, or of a system without a network.
    """
    if clips_per_class < 1:
        raise ValueError(f"--clips_per_class must be 1 or more, got {clips_per_class}")
    with finished_run(experiment, prepared, does="--mode=explain explains") as (run, plan):
        table, folds = plan.folds.spans()[-1]
        found = explain_tests(plan, restore_last(plan, run.path), clips_per_class=clips_per_class, folds=folds)
        classes = plan.blueprint.labels.classes
        run.write_json("explain.json", {"classes": list(classes), "shares": list(SHARES), "divisions": [_as_json(one) for one in found]})
        of_all = explanation_table(found, classes)
        write_tables(run.path / "tables", [of_all])
        path = run.path / "explain.html"
        write_page(
            path,
            "explain.html.j2",
            system=experiment.system.name,
            corpus=experiment.corpus.name,
            protocol=table.protocol,
            seed=min(trial.seed for trial in plan.trials),
            num_clips=len({clip for one in found for clip in one.clips}),
            parts=[
                {
                    "stream": one.division.stream,
                    "name": one.division.name,
                    "axes": _AXES[one.division.name],
                    "check": check_by_deletion(one),
                    "chart": deletion_chart(one),
                    "maps": class_maps(one, classes),
                    "picture": mean_picture(one),
                }
                for one in found
            ],
            table=of_all,
        )
    print(table_text(of_all))
    for one in found:
        print(f"{one.division.stream}, {one.division.name}: {check_by_deletion(one)}")
    print(f"page: {path}")
    return path


def _as_json(one: Explanation) -> dict[str, Any]:
    return {
        "stream": one.division.stream,
        "division": one.division.name,
        "clips": list(one.clips),
        "label": one.label.tolist(),
        "probability": np.round(one.probability, 6).tolist(),
        "importance": np.round(one.importance, 6).tolist(),
        "deletion": np.round(one.deletion, 6).tolist(),
        "random": np.round(one.random, 6).tolist(),
    }
