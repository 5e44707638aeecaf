"""Calibration: reliability diagrams and temperature scaling.

A temperature is fitted on validation predictions alone: `scale_trial` refuses predictions of the clips that it scales.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax

from avemo_jax.evaluation.metrics import LEAST_PROBABILITY, calibration_bins
from avemo_jax.evaluation.predictions import Predictions, PredictionSource
from avemo_jax.evaluation.results import ReliabilityBin, TrialTemperature

# Range of temperatures; beyond it predictions are practically one-hot or uniform.
TEMPERATURES = (0.02, 20.0)
NUM_BARS = 10


def fit_temperature(label: np.ndarray, probabilities: np.ndarray) -> float:
    """Fit the temperature of maximum likelihood.

    Args:
      label: (N,) int, of validation clips.
      probabilities: (N, K) of the same clips; their logarithms are used as logits, from which they differ by a constant a row.

    Returns:
      Temperature within TEMPERATURES: above 1 where the network is overconfident, below 1 where it is underconfident.

    Raises:
      ValueError: no clip, or inconsistent shapes.

    Source: Guo et al. 2017, On calibration of modern neural networks, section 4.2.
    """
    label, probabilities = np.asarray(label), np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2 or label.shape != probabilities.shape[:1] or not len(label):
        raise ValueError(f"expected label (N,) and probabilities (N, K) of at least one clip, got {label.shape} and {probabilities.shape}")
    return fit_temperature_of_logits(label, _logits(probabilities))


def fit_temperature_of_logits(label: np.ndarray, logits: np.ndarray) -> float:
    """Fit the temperature of maximum likelihood to logits (N, K), known up to a constant a row, and labels (N,) int."""
    from scipy.optimize import minimize_scalar  # late: applying a temperature does not need it

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(label)), label].mean()

    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-6}).x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logarithms of (N, K) probabilities by a temperature and normalise again; no predicted class changes."""
    return softmax(_logits(np.asarray(probabilities, dtype=float)) / temperature, axis=1)


def scale_trial(tested: Predictions, validated: PredictionSource) -> tuple[np.ndarray, TrialTemperature]:
    """Scale one trial's predictions of its test part by the temperature fitted on its own validation part.

    Args:
      tested: predictions of the test part of one fold and seed.
      validated: predictions of the validation parts, of this (fold, seed) among others.

    Returns:
      (N, K) scaled probabilities of the rows of `tested`, and the temperature.

    Raises:
      ValueError: other classes, no validation rows of this (fold, seed), or a clip that is in both parts.
    """
    if validated.classes != tested.classes:
        raise ValueError(f"validation predictions have the classes {validated.classes}, test predictions {tested.classes}")
    ((seed, fold),) = tested.trials
    if (seed, fold) not in validated.trials:
        raise ValueError(f"no validation predictions of fold {fold}, seed {seed}: its temperature cannot be fitted")
    part = validated.part(seed, fold)
    if len(shared := np.intersect1d(tested.clip, part.clip)):
        raise ValueError(
            f"fold {fold}: {len(shared)} clips are in the validation and the test predictions, the first is {shared[0]}; "
            "a temperature is fitted on the validation part alone"
        )
    temperature = fit_temperature(part.label, part.probabilities)
    return apply_temperature(tested.probabilities, temperature), TrialTemperature(fold=fold, seed=seed, temperature=temperature)


def reliability(label: np.ndarray, probabilities: np.ndarray, *, num_bars: int = NUM_BARS) -> tuple[ReliabilityBin, ...]:
    """Bin clips by confidence, as a reliability diagram shows them.

    Args:
      label: (N,) int.
      probabilities: (N, K).
      num_bars: bins of equal width; fewer than the calibration error uses, to keep the diagram readable.

    Returns:
      The bins that have clips.

    Source: Niculescu-Mizil and Caruana 2005, Predicting good probabilities with supervised learning, section 4; Guo et al. 2017, figure 1.
    """
    return reliability_from_bins(calibration_bins(label, probabilities, num_bins=num_bars))


def reliability_from_bins(bins: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram that have clips, from (num_bars, 3) of `calibration_bins`."""
    num_bars = len(bins)
    return tuple(
        ReliabilityBin(
            low=index / num_bars,
            high=(index + 1) / num_bars,
            num_clips=int(count),
            confidence=float(confidence / count),
            accuracy=float(right / count),
        )
        for index, (count, right, confidence) in enumerate(bins)
        if count
    )


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY))
