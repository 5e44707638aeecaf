"""The mode `explain`: on which parts of the test clips the answers of a finished run rest, as maps by class with a check by deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_file
from avemo_jax.config import Experiment
from avemo_jax.data.prepared import PreparedCorpus
from avemo_jax.experiment.backend import set_up_backend
from avemo_jax.experiment.grid_plan import make_plan
from avemo_jax.experiment.measuring import run_hashes
from avemo_jax.experiment.occlusion import SHARES, Explanation, explain_tests
from avemo_jax.experiment.searching import with_chosen
from avemo_jax.experiment.stages import restore_last
from avemo_jax.reporting.explanation import check_by_deletion, class_maps, deletion_chart, explanation_table, mean_picture
from avemo_jax.reporting.pages import page_environment
from avemo_jax.reporting.tables import table_text, write_tables
from avemo_jax.runs.run_directory import open_run

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
    set_up_backend(experiment)
    workdir = experiment.run_directory
    if not (workdir / "results.json").is_file():
        raise FileNotFoundError(f"no finished run in {workdir}; train it first: the same command with --mode=train")
    with open_run(workdir, experiment) as run:
        plan = make_plan(experiment, prepared)
        run.bind(**run_hashes(plan, prepared))
        if plan.blueprint.num_classes < 2:
            raise ValueError("--mode=explain explains classes, and this run has none (--config.corpus.label_set=none)")
        plan = with_chosen(plan, run.path)
        table, folds = plan.folds.spans()[-1]
        found = explain_tests(plan, restore_last(plan, run.path), clips_per_class=clips_per_class, folds=folds)
        classes = plan.blueprint.labels.classes
        run.write_json("explain.json", {"classes": list(classes), "shares": list(SHARES), "divisions": [_as_json(one) for one in found]})
        of_all = explanation_table(found, classes)
        write_tables(workdir / "tables", [of_all])
        page = (
            page_environment()
            .get_template("explain.html.j2")
            .render(
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
        )
        path = workdir / "explain.html"
        with atomic_file(path) as stream:
            stream.write(page)
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
