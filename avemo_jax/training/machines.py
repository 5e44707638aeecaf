"""The machines of the classical system, by the name of their stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avemo_jax.training.classical import FittedClassifier, fit_svm
from avemo_jax.training.ridge import fit_ridge_classes

# Stage -> kernel of ridge regression.
KERNELS = {"linear": "linear", "kernel": "gaussian"}


def fit_classical(
    machine: str, features: np.ndarray, label: np.ndarray, *, speaker: np.ndarray, widths: Sequence[int] = (), **arguments: Any
) -> FittedClassifier:
    """Return the classical system, fitted on one fold: "linear" and "kernel" by `fit_ridge_classes`, "svm" by `fit_svm`.

    Args:
      speaker, widths: as `fit_ridge_classes` has them; the SVM selects on the validation part and has one stream.
      arguments: as the two functions have them.

    Raises:
      ValueError: as they do.
    """
    if machine in KERNELS:
        return fit_ridge_classes(features, label, kernel=KERNELS[machine], speaker=speaker, widths=widths, **arguments)
    return fit_svm(features, label, **arguments)
