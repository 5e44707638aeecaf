"""Predictions of a run from the probabilities of its trials."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.evaluation import stored_predictions
from avemo_jax.evaluation.predictions import Predictions, PredictionSource, aggregate_segments
from avemo_jax.evaluation.stored_predictions import StoredPredictions, open_writer
from avemo_jax.experiment.grid_plan import GridPlan
from avemo_jax.experiment.outcomes import Outcome
from avemo_jax.protocols.folds import Fold
from avemo_jax.training.trials import Trial


def chosen_trials(trials: Sequence[Trial], score: Callable[[int], float]) -> list[int]:
    """Return the positions of one trial for each (fold, seed): of several settings the one with the best selection metric."""
    best: dict[tuple[int, int], int] = {}
    for position, trial in enumerate(trials):
        leading = best.get((trial.fold, trial.seed))
        if leading is None or score(position) > score(leading):
            best[trial.fold, trial.seed] = position
    return sorted(best.values())


def predict_tests(
    plan: GridPlan, outcome: Outcome, positions: Sequence[int] | None = None, *, folds: Container[int] | None = None
) -> Predictions:
    """Return predictions of the test part of every fold, with the best weights of its chosen trial or of the trials at `positions`.

    Args:
      folds: indices of the folds to predict; all where None.
    """
    chosen = chosen_trials(plan.trials, outcome.score) if positions is None else list(positions)
    chosen = [position for position in chosen if folds is None or plan.trials[position].fold in folds]
    return predict_parts(plan, outcome, chosen, [plan.test_rows(plan.trials[position]) for position in chosen])


def predict_tests_and_validation(
    plan: GridPlan, outcome: Outcome, folder: Path, *, folds: Container[int] | None = None
) -> tuple[PredictionSource, PredictionSource]:
    """Return predictions of the test part of every fold, as `predict_tests`, and of its validation part, for calibration.

    Where there are more than MANY_ROWS, trials are predicted in pieces of that many rows and lie in two files below `folder`, so that
    memory does not grow with the number of seeds.
    """
    chosen = [position for position in chosen_trials(plan.trials, outcome.score) if folds is None or plan.trials[position].fold in folds]
    pieces: list[list[int]] = [[]]
    num_rows = 0
    for position in chosen:
        num_clips = len(plan.folds.folds[plan.trials[position].fold].test)
        if pieces[-1] and num_rows + num_clips > stored_predictions.MANY_ROWS:
            pieces.append([])
            num_rows = 0
        pieces[-1].append(position)
        num_rows += num_clips
    if len(pieces) == 1:
        return _tested_and_validated(plan, outcome, pieces[0])
    paths = [folder / "tested.parquet", folder / "validated.parquet"]
    with open_writer(paths[0]) as tested, open_writer(paths[1]) as validated:
        for piece in pieces:
            for writer, predictions in zip((tested, validated), _tested_and_validated(plan, outcome, piece), strict=True):
                writer.add(predictions)
    return StoredPredictions(paths[0]), StoredPredictions(paths[1])


def _tested_and_validated(plan: GridPlan, outcome: Outcome, chosen: Sequence[int]) -> tuple[Predictions, Predictions]:
    trials = [plan.trials[position] for position in chosen]
    # Both parts are predicted together, so that nothing is compiled twice.
    rows = [np.concatenate([plan.test_rows(trial), plan.data.examples_of(plan.validation_clips(outcome.stage, trial))]) for trial in trials]
    predictions = predict_parts(plan, outcome, chosen, rows)
    is_tested = np.zeros(len(predictions.clip), dtype=bool)
    for fold in (plan.folds.folds[index] for index in {trial.fold for trial in trials}):
        is_tested |= (predictions.fold == fold.name) & np.isin(predictions.clip, fold.test)
    return predictions.rows(is_tested), predictions.rows(~is_tested)


def predict_parts(plan: GridPlan, outcome: Outcome, positions: Sequence[int], rows: Sequence[np.ndarray]) -> Predictions:
    """Return predictions, clip by clip, of the examples `rows` by each of these trials."""
    clip = plan.data.clip
    clip_probabilities = []
    for position, own, values in zip(positions, rows, outcome.probabilities(positions, rows), strict=True):
        trial = plan.trials[position]
        tested, segment_of = np.unique(clip[own], return_inverse=True)
        of_classes, of_dimensions = np.split(values, [plan.blueprint.num_classes], axis=1)
        joined = aggregate_segments(segment_of, of_classes, len(tested), rule=plan.experiment.system.segment_rule)
        if of_dimensions.size:
            joined = np.concatenate([joined, aggregate_segments(segment_of, of_dimensions, len(tested))], axis=1)
        clip_probabilities.append((plan.folds.folds[trial.fold], trial.seed, tested, joined))
    return to_predictions(plan, clip_probabilities)


def to_predictions(plan: GridPlan, results: Iterable[tuple[Fold, int, np.ndarray, np.ndarray]]) -> Predictions:
    """Return the predictions of trials, each given as (fold, seed, rows of plan.clips, (rows, K + D) probabilities and values)."""
    fold, seed, row, probabilities = [], [], [], []
    for one, number, rows, values in results:
        fold += [one.name] * len(rows)
        seed += [number] * len(rows)
        row.append(rows)
        probabilities.append(values)
    clips = [plan.clips[i] for i in np.concatenate(row)]
    of_classes, of_dimensions = np.split(np.concatenate(probabilities), [plan.blueprint.num_classes], axis=1)
    return Predictions(
        clip=np.asarray([clip.clip_id for clip in clips]),
        speaker=np.asarray([clip.speaker for clip in clips]),
        gender=np.asarray([clip.gender for clip in clips]),
        fold=np.asarray(fold),
        seed=np.asarray(seed),
        label=np.asarray(plan.classes)[np.concatenate(row)],
        probabilities=of_classes,
        classes=plan.blueprint.labels.classes,
        dimensions=plan.experiment.corpus.dimensions,
        rating=plan.ratings[np.concatenate(row)],
        value=of_dimensions,
    )
