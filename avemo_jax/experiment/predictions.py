"""From the posteriors of trials to the predictions of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from avemo_jax.evaluation.results import Predictions, aggregate_segments
from avemo_jax.experiment.plan import Plan
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.execution import TrialProgram
from avemo_jax.training.grid import Trial
from avemo_jax.training.state import TrialState
from avemo_jax.training.stream_program import StreamProgram


def chosen_trials(trials: Sequence[Trial], states: Sequence[TrialState]) -> list[int]:
    """Positions of one trial for each (fold, seed): of several hyper-parameter settings the one that the selection part liked best."""
    best: dict[tuple[int, int], int] = {}
    for position, (trial, state) in enumerate(zip(trials, states, strict=True)):
        rival = best.get((trial.fold, trial.seed))
        if rival is None or float(state.best.metric) > float(states[rival].best.metric):
            best[trial.fold, trial.seed] = position
    return sorted(best.values())


def predict_tests(plan: Plan, program: TrialProgram | StreamProgram, states: Sequence[TrialState]) -> Predictions:
    """Predict the test part of every fold with the best weights of its chosen trial."""
    chosen = chosen_trials(plan.trials, states)
    rows = [plan.test_rows(plan.trials[position]) for position in chosen]
    size = max(len(one) for one in rows)
    index = [np.pad(one, (0, size - len(one))).astype(np.int32) for one in rows]
    lanes = program.predict(program.lanes([states[position] for position in chosen]), program.lanes(index))
    posteriors = program.trials(lanes, len(chosen))
    clip = plan.data.arrays["clip"]
    clip_posteriors = []
    for position, own, posterior in zip(chosen, rows, posteriors, strict=True):
        trial = plan.trials[position]
        tested, segment_of = np.unique(clip[own], return_inverse=True)
        mean = aggregate_segments(segment_of, posterior[: len(own)], len(tested))
        clip_posteriors.append((plan.folds.folds[trial.fold], trial.seed, tested, mean))
    return to_predictions(plan, clip_posteriors)


def to_predictions(plan: Plan, posteriors: Iterable[tuple[Fold, int, np.ndarray, np.ndarray]]) -> Predictions:
    """Name what was predicted: (fold, seed, rows of plan.clips, (rows, K) posteriors) of every trial."""
    fold, seed, row, probabilities = [], [], [], []
    for one, number, rows, posterior in posteriors:
        fold += [one.name] * len(rows)
        seed += [number] * len(rows)
        row.append(rows)
        probabilities.append(posterior)
    clips = [plan.clips[i] for i in np.concatenate(row)]
    return Predictions(
        clip=np.asarray([clip.clip_id for clip in clips]),
        speaker=np.asarray([clip.speaker for clip in clips]),
        gender=np.asarray([clip.gender for clip in clips]),
        fold=np.asarray(fold),
        seed=np.asarray(seed),
        label=np.asarray(plan.classes)[np.concatenate(row)],
        probabilities=np.concatenate(probabilities),
        classes=plan.labels.classes,
    )
