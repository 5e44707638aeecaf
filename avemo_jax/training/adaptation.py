"""Adaptation of fitted machines to a speaker by some of his labelled clips.

A machine of ridge regression is fitted again with the new clips, each with the weight of so many training clips. That fit needs no more of
the training part than how its errors at two clips go together: for the decision f of the first fit and residual covariance c,

    f'(x) = f(x) + c(x, L) (c(L, L) + noise / weight)^-1 (Y - f(L))

with labelled clips L and their indicators Y is the ridge regression on training clips and labelled clips together. The centre and the
class shares stay those of the training part.

Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, section 2.2 (prediction, and its covariance given the training
part); the equality with weighted ridge regression is tested.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from avemo_jax.training.decisions import GaussianDecision, LinearDecision, gaussian_kernel

# How many training clips a labelled clip of the speaker counts as; 0 leaves the machine as it is.
WEIGHTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# Where no speaker is there to choose the weight on; inner folds of RAVDESS choose 100 to 1,000 (docs/adaptation.md).
FIXED_WEIGHT = 300.0


@dataclasses.dataclass(frozen=True)
class SpeakerModel:
    """What a fitted machine knows of R examples of one speaker.

    Attributes:
      rows: (R,) examples.
      decision: (R, C) decision values of the machine, for the classes of its training part.
      covariance: (R, R) of its errors; 0 at examples that cannot be used.
      noise: of a labelled example with weight 1.
    """

    rows: np.ndarray
    decision: np.ndarray
    covariance: np.ndarray
    noise: float

    def adapted(self, labelled: np.ndarray, target: np.ndarray, weight: float) -> np.ndarray:
        """Return decision values (R, C) after adaptation.

        Args:
          labelled: (M,) positions among the R examples.
          target: (M, C), indicators of their classes.
          weight: of each labelled example, in training examples; 0 changes nothing.
        """
        if not weight or not len(labelled):
            return self.decision
        gram = self.covariance[np.ix_(labelled, labelled)] + self.noise / weight * np.eye(len(labelled))
        return self.decision + self.covariance[:, labelled] @ np.linalg.solve(gram, target - self.decision[labelled])


def residual_covariance(decide: LinearDecision | GaussianDecision, train: np.ndarray, own: np.ndarray, noise: float) -> np.ndarray:
    """Return the covariance (P, P) of the errors of ridge regression at examples `own`.

    Args:
      decide: the fitted decision function.
      train: (N, D) features of its training part.
      own: (P, D) features.
      noise: its penalty times N.

    The smaller of the two systems, of N or of D unknowns, is solved.
    """
    from scipy.linalg import cho_factor, cho_solve

    if isinstance(decide, GaussianDecision):
        rows, new = decide.rows.astype(np.float64), decide.standard(own)
        products, across, within = gaussian_kernel(rows, rows), gaussian_kernel(rows, new), gaussian_kernel(new, new)
    else:
        rows, new = decide.standard(train) - decide.centre, decide.standard(own) - decide.centre
        if rows.shape[1] <= len(rows):
            products = rows.T @ rows
            products[np.diag_indices_from(products)] += noise
            return noise * new @ cho_solve(cho_factor(products, overwrite_a=True), new.T)
        products, across, within = rows @ rows.T, rows @ new.T, new @ new.T
    products[np.diag_indices_from(products)] += noise
    return within - across.T @ cho_solve(cho_factor(products, overwrite_a=True), across)


def probability_covariance(probabilities: np.ndarray) -> np.ndarray:
    """Return a covariance (R, R) of the errors at examples of which only probabilities (R, K) are known: alike where these are alike.

    Source: Jebara, Kondor and Howard 2004, Probability product kernels, section 3.1 (the Bhattacharyya kernel).
    """
    root = np.sqrt(np.maximum(probabilities, 0.0))
    return root @ root.T


def best_weight(scores: Sequence[float], weights: Sequence[float] = WEIGHTS) -> float:
    """Return the smallest of the weights with the best score."""
    return weights[int(np.argmax(scores))]
