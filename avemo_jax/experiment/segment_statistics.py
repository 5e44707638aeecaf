"""What the classical system reads of a segment: statistics over its steps. No JAX is imported, for a fast start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avemo_jax.config import Experiment
from avemo_jax.training.classical import FittedClassifier
from avemo_jax.training.stage import Stage


def num_features_of(experiment: Experiment, stage: Stage, steps: Mapping[str, tuple[tuple[int, ...], str]]) -> int:
    """Return how many statistics a segment has.

    Args:
      steps: stream -> (step_shape, dtype).
    """
    return sum((1 + has_deviation) * int(np.prod(steps[stream][0])) for stream, has_deviation in deviations_of(experiment, stage).items())


def segment_predictor(
    experiment: Experiment, stage: Stage, classifier: FittedClassifier
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Return a function from the streams of B segments, values (B, T, ...) and `<stream>_mask` (B, T), to probabilities (B, K) float64."""
    deviations = deviations_of(experiment, stage)

    def predict(batch: Mapping[str, np.ndarray]) -> np.ndarray:
        parts = [statistics_over_steps(batch[stream], batch[f"{stream}_mask"], deviation) for stream, deviation in deviations.items()]
        usable = np.any([batch[f"{stream}_mask"].any(axis=1) for stream in stage.streams], axis=0)
        return classifier.predict(np.concatenate(parts, axis=1), usable)

    return predict


def deviations_of(experiment: Experiment, stage: Stage) -> dict[str, bool]:
    """Return stream -> whether its statistics hold the deviation beside the mean."""
    return {stream: experiment.streams[stream].pooling == "mean_std" for stream in stage.streams}


def statistics_over_steps(values: np.ndarray, mask: np.ndarray, has_deviation: bool) -> np.ndarray:
    """Return the statistics of values (B, T, ...) over the steps of mask (B, T): (B, D) or (B, 2 D) float64, NaN where there is no step."""
    found = []
    for one, real in zip(values.reshape(*mask.shape, -1), mask, strict=True):  # one by one, which needs no copy of them all
        steps = one[real].astype(np.float64)
        if not len(steps):
            found.append(np.full((1 + has_deviation) * steps.shape[1], np.nan))
        else:
            found.append(np.concatenate([steps.mean(axis=0), steps.std(axis=0)]) if has_deviation else steps.mean(axis=0))
    return np.stack(found)
