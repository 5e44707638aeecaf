"""Attention of a trained network over a few test clips: attention.npz of the run directory."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import jax
import numpy as np

from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import FallbackOutcome, NetworkOutcome, Outcome
from avemo_jax.experiment.predictions import chosen_trials
from avemo_jax.models.emotion_net import attention_weights
from avemo_jax.reporting.attention_examples import write_attention
from avemo_jax.training.frontend import network_input


def write_attention_examples(plan: GridPlan, outcome: Outcome, path: Path, folds: Container[int]) -> bool:
    """Write attention over time for the first test clip of each class, in the first of these folds.

    Return whether the file was written: networks without attention pooling have no weights to write.
    """
    outcome = outcome.whole if isinstance(outcome, FallbackOutcome) else outcome
    if not isinstance(outcome, NetworkOutcome):
        return False
    position = next(one for one in chosen_trials(plan.trials, outcome.score) if plan.trials[one].fold in folds)
    trial, state, stage = plan.trials[position], outcome.states[position], outcome.stage
    data = plan.data.only(stage.streams)
    rows = plan.test_rows(trial)
    rows = rows[data.usable[rows]]
    _, first = np.unique(data.label[rows], return_index=True)
    rows = rows[np.sort(first)]
    views = data.load(rows)
    batch = network_input(plan.recipe(stage, trial).streams, state.scaler, views)
    weights = jax.device_get(attention_weights(plan.blueprint.net(stage, trial.fields), state.best.variables, batch))
    arrays: dict[str, np.ndarray] = {}
    for stream in [name for name in stage.streams if name in weights]:
        arrays |= {f"{stream}_weights": weights[stream], f"{stream}_times_s": data.times_of(stream, rows)}
        values = views[stream]
        if values.dtype == np.uint8 and values.ndim == 5:
            arrays[f"{stream}_keyframes"] = np.broadcast_to(values, (*values.shape[:-1], 3)) if values.shape[-1] == 1 else values
    if not arrays:
        return False
    num_rows = len(rows)
    write_attention(
        path,
        clip=np.asarray([data.clip_ids[i] for i in data.clip[rows]]),
        fold=np.asarray([plan.folds.folds[trial.fold].name] * num_rows),
        seed=np.asarray([trial.seed] * num_rows),
        **arrays,
    )
    return True
