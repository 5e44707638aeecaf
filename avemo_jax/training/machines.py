"""The machines of the classical system, by the name of their stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from avemo_jax.training.classical import FittedClassifier, fit_svm
from avemo_jax.training.linear import fit_linear


def fit_classical(machine: str, features: np.ndarray, label: np.ndarray, *, speaker: np.ndarray, **arguments: Any) -> FittedClassifier:
    """Return the classical system, fitted on one fold: "linear" by `fit_linear`, which selects by speakers, "svm" by `fit_svm`.

    Args:
      arguments: as the two functions have them.

    Raises:
      ValueError: as they do.
    """
    if machine == "linear":
        return fit_linear(features, label, speaker=speaker, **arguments)
    return fit_svm(features, label, **arguments)
