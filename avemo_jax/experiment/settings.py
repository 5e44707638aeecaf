"""Swept settings side by side: an ablation table, each row measured on the same folds."""

from __future__ import annotations

from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import METRICS, all_metrics
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.experiment.plan import Plan
from avemo_jax.experiment.predictions import predict_tests


def summarise_settings(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """{"settings": one entry a setting}, or nothing where nothing is swept.

    An entry has what was tried, `validation` (the mean of what the selection part said of its trials, by which settings are chosen) and the
    mean over folds and seeds of every metric on the test parts. The run's own result is that of the settings chosen on validation, fold
    by fold; to choose a row of this table by its test columns is selection on test.
    """
    swept = [name for name, values in plan.config["sweep"].items() if name != "fields" and values]
    settings = sorted({trial.setting for trial in plan.trials})
    if len(settings) == 1:
        return {}
    entries = []
    for setting in settings:
        positions = [position for position, trial in enumerate(plan.trials) if trial.setting == setting]
        first = plan.trials[positions[0]]
        predictions = predict_tests(plan, outcome, positions)
        measured = []
        for seed in np.unique(predictions.seed):
            for fold in np.unique(predictions.fold[predictions.seed == seed]):
                rows = (predictions.seed == seed) & (predictions.fold == fold)
                measured.append(all_metrics(predictions.label[rows], predictions.probabilities[rows]))
        tried = {name: _plain(value) for name, value in first.fields} | {name: first.hyper[name] for name in swept}
        means = {name: float(np.mean([one[name] for one in measured])) for name in METRICS}
        validation = float(np.mean([outcome.score(position) for position in positions]))
        entries.append({"setting": setting, "tried": tried, "validation": validation} | means)
    return {"settings": entries}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
