"""What a run measured beside its own result: the stages before the last one, and swept settings one by one."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import METRICS, all_metrics
from avemo_jax.evaluation.results import Predictions
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.predictions import predict_tests


def summarise_stages(plan: GridPlan, outcomes: Sequence[Outcome], folds: Container[int]) -> dict[str, Any]:
    """Return {"stages": one entry a stage}, or nothing where there is one alone: single streams beside all, as papers print them.

    An entry has the stage's name, its number of parameters, and the mean over folds and seeds of every metric on the test parts, of the
    settings that were chosen on validation for that stage.

    Args:
      folds: indices of the folds that count.
    """
    if len(outcomes) == 1:
        return {}
    entries = []
    for outcome in outcomes:
        means = _mean_of_folds(predict_tests(plan, outcome, folds=folds))
        entries.append({"stage": outcome.stage.name, "num_params": outcome.num_params} | means)
    return {"stages": entries}


def summarise_settings(plan: GridPlan, outcome: Outcome, folds: Container[int]) -> dict[str, Any]:
    """Return {"settings": one entry a setting}, or nothing where nothing is swept: an ablation table on the same folds.

    An entry has what was tried, `validation` (the mean selection metric of its trials, by which settings are chosen; None
    where one of them failed) and the mean over folds and seeds of every metric on the test parts. The run's own result is that of the
    settings chosen on validation, fold by fold; to choose a row of this table by its test columns is selection on test.

    Args:
      folds: indices of the folds that count.
    """
    swept = plan.blueprint.variation.numbers
    settings = sorted({trial.setting for trial in plan.trials})
    if len(settings) == 1:
        return {}
    entries = []
    for setting in settings:
        positions = [position for position, trial in enumerate(plan.trials) if trial.setting == setting and trial.fold in folds]
        first = plan.trials[positions[0]]
        tried = {name: _plain(value) for name, value in first.fields} | {name: first.hyper[name] for name in swept}
        validation = float(np.mean([outcome.score(position) for position in positions]))  # -inf where a trial has learnt nothing
        means = _mean_of_folds(predict_tests(plan, outcome, positions))
        entries.append({"setting": setting, "tried": tried, "validation": validation if np.isfinite(validation) else None} | means)
    return {"settings": entries}


def _mean_of_folds(predictions: Predictions) -> dict[str, float]:
    measured = []
    for seed in np.unique(predictions.seed):
        for fold in np.unique(predictions.fold[predictions.seed == seed]):
            rows = (predictions.seed == seed) & (predictions.fold == fold)
            measured.append(all_metrics(predictions.label[rows], predictions.probabilities[rows]))
    return {name: float(np.mean([one[name] for one in measured])) for name in METRICS}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
