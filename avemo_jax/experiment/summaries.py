"""Further results of a run: of every stage, and of every swept setting."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from avemo_jax.evaluation.metrics import all_metrics, recall_from_confusion
from avemo_jax.evaluation.predictions import PredictionSource, confusion_of
from avemo_jax.evaluation.results import SettingResult, StageResult
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.experiment.predictions import predict_tests


def summarise_stages(
    plan: GridPlan, outcomes: Sequence[Outcome], folds: Container[int], *, last: PredictionSource
) -> tuple[StageResult, ...]:
    """Return the metrics of each stage, with the settings selected on validation for it; () where there is only one stage.

    Args:
      folds: indices of the folds to include.
      last: predictions of the test parts of these folds by the last stage.
    """
    if len(outcomes) == 1:
        return ()
    predicted: list[PredictionSource] = [*(predict_tests(plan, outcome, folds=folds) for outcome in outcomes[:-1]), last]
    return tuple(
        StageResult(
            stage=outcome.stage.name,
            num_params=outcome.num_params,
            per_class_recall=dict(zip(predictions.classes, recall_from_confusion(confusion_of(predictions)).tolist(), strict=True)),
            metrics=_mean_of_folds(predictions),
        )
        for outcome, predictions in zip(outcomes, predicted, strict=True)
    )


def summarise_settings(plan: GridPlan, outcome: Outcome, folds: Container[int]) -> tuple[SettingResult, ...]:
    """Return the metrics of each swept setting on the same folds; () where nothing is swept.

    The run's main result is that of the settings selected on validation, fold by fold. Choosing a setting by these test metrics would be
    selection on the test part.

    Args:
      folds: indices of the folds to include.
    """
    swept = plan.blueprint.variation.numbers
    settings = sorted({trial.setting for trial in plan.trials})
    if len(settings) == 1:
        return ()
    entries = []
    for setting in settings:
        positions = [position for position, trial in enumerate(plan.trials) if trial.setting == setting and trial.fold in folds]
        first = plan.trials[positions[0]]
        tried = {name: _plain(value) for name, value in first.fields} | {name: first.hyper[name] for name in swept}
        validation = float(np.mean([outcome.score(position) for position in positions]))  # -inf where a trial failed
        means = _mean_of_folds(predict_tests(plan, outcome, positions))
        score = validation if np.isfinite(validation) else None
        entries.append(SettingResult(setting=setting, tried=tried, validation=score, metrics=means))
    return tuple(entries)


def _mean_of_folds(predictions: PredictionSource) -> dict[str, float]:
    parts = (predictions.part(*trial) for trial in predictions.trials)
    measured = [all_metrics(part.label, part.probabilities) for part in parts]
    return {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
