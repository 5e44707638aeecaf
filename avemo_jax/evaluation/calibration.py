"""Whether a network is as often right as it says: reliability diagrams, and the temperature that mends much of it.

A temperature is fitted on validation predictions and nothing else: `scale_by_trial` refuses those of clips that it then scales.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy.special import log_softmax, softmax

from avemo_jax.evaluation.metrics import LEAST_PROBABILITY, calibration_bins

# Temperatures that are looked at; beyond them predictions are as good as certain, or as good as uniform.
TEMPERATURES = (0.02, 20.0)
NUM_BARS = 10


def fit_temperature(label: np.ndarray, probabilities: np.ndarray) -> float:
    """Fit the temperature under which the labels are most likely.

    Args:
      label: (N,) int, of validation clips.
      probabilities: (N, K) what was said of them; their logarithms take the place of logits, from which they differ by a constant a row.

    Returns:
      Temperature within TEMPERATURES: over 1 where the network is too sure, under 1 where it is not sure enough.

    Raises:
      ValueError: no clip, or shapes that do not belong together.

    Source: Guo et al. 2017, On calibration of modern neural networks, section 4.2.
    """
    label, probabilities = np.asarray(label), np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2 or label.shape != probabilities.shape[:1] or not len(label):
        raise ValueError(f"expected label (N,) and probabilities (N, K) of at least one clip, got {label.shape} and {probabilities.shape}")
    return fit_temperature_of_logits(label, _logits(probabilities))


def fit_temperature_of_logits(label: np.ndarray, logits: np.ndarray) -> float:
    """Fit the temperature of scores (N, K), up to a constant a row, under which the labels (N,) int are most likely."""
    from scipy.optimize import minimize_scalar  # late: whoever only applies a temperature need not wait for it

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(label)), label].mean()

    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-6}).x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logarithms of (N, K) probabilities by a temperature and make probabilities of them again; no prediction changes."""
    return softmax(_logits(np.asarray(probabilities, dtype=float)) / temperature, axis=1)


class Said(Protocol):
    """What trials said, one row a clip, seed and fold: `results.Predictions`, of which this is all that matters here."""

    @property
    def clip(self) -> np.ndarray: ...
    @property
    def fold(self) -> np.ndarray: ...
    @property
    def seed(self) -> np.ndarray: ...
    @property
    def label(self) -> np.ndarray: ...
    @property
    def probabilities(self) -> np.ndarray: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


def scale_by_trial(tested: Said, validated: Said) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Scale what each trial said of its test part by the temperature fitted on its own validation part.

    Args:
      tested: predictions of the test parts.
      validated: predictions of the validation parts, with rows for each (fold, seed) of `tested`.

    Returns:
      (N, K) scaled probabilities of the rows of `tested`, and [{"fold", "seed", "temperature"}].

    Raises:
      ValueError: other classes, a (fold, seed) without validation rows, or a clip that is in both parts of a fold.
    """
    if validated.classes != tested.classes:
        raise ValueError(f"validation predictions have the classes {validated.classes}, test predictions {tested.classes}")
    scaled, temperatures = tested.probabilities.copy(), []
    for seed, fold in sorted({(int(seed), str(fold)) for seed, fold in zip(tested.seed, tested.fold, strict=True)}):
        test = (tested.fold == fold) & (tested.seed == seed)
        chosen = (validated.fold == fold) & (validated.seed == seed)
        if not chosen.any():
            raise ValueError(f"no validation predictions of fold {fold}, seed {seed}: its temperature cannot be fitted")
        if shared := sorted(set(tested.clip[test]) & set(validated.clip[chosen])):
            raise ValueError(
                f"fold {fold}: {len(shared)} clips are in the validation and the test predictions, the first is {shared[0]}; "
                "a temperature is fitted on the validation part alone"
            )
        temperature = fit_temperature(validated.label[chosen], validated.probabilities[chosen])
        scaled[test] = apply_temperature(tested.probabilities[test], temperature)
        temperatures.append({"fold": fold, "seed": seed, "temperature": temperature})
    return scaled, temperatures


def reliability(label: np.ndarray, probabilities: np.ndarray, *, num_bars: int = NUM_BARS) -> list[dict[str, Any]]:
    """What a reliability diagram shows: for each bin of confidence that has clips, how many, how sure, and how often right.

    Args:
      label: (N,) int.
      probabilities: (N, K).
      num_bars: bins of equal width; fewer than the calibration error uses, for the eye.

    Returns:
      [{"low", "high", "num_clips", "confidence", "accuracy"}], the bin (low, high], the mean confidence and the accuracy in it.

    Source: Niculescu-Mizil and Caruana 2005, Predicting good probabilities with supervised learning, section 4; Guo et al. 2017, figure 1.
    """
    bins = calibration_bins(label, probabilities, num_bins=num_bars)
    return [
        {
            "low": index / num_bars,
            "high": (index + 1) / num_bars,
            "num_clips": int(count),
            "confidence": float(confidence / count),
            "accuracy": float(right / count),
        }
        for index, (count, right, confidence) in enumerate(bins)
        if count
    ]


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY))
