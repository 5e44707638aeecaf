"""Normalisation by speaker: features z-scored with the mean and deviation of all clips of their speaker.

It uses all clips of a speaker and no label. A speaker of the test part is normalised with clips of the test part, so whoever uses it has to
know all of a new speaker's clips beforehand: results are flagged `transductive`.

Source: Busso, Mariooryad, Metallinou and Narayanan 2013, Iterative feature normalization scheme for automatic emotion detection from
speech, which has it as its "global" scheme and takes neutral clips alone for its own. Differs: no clip is chosen by its label.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_LEAST_DEVIATION = 1e-5  # of a feature that varies; those that do not keep their unit


def standardize_per_speaker(values: np.ndarray, speaker: Sequence[str] | np.ndarray, *, mask: np.ndarray | None = None) -> np.ndarray:
    """Subtract each speaker's own mean from its clips and divide by its own deviation, feature by feature.

    Args:
      values: (N, D), one row a clip, or (N, T, ..., D), one row a sequence, any numeric type; the feature axis is the last one and all
        others are averaged over.
      speaker: (N,) whose clip each row is. A row's result depends on the rows of its speaker and on no other.
      mask: (N, T) bool, True where a step is real, and nowhere in a lost clip; wanted with sequences and only there.

    Returns:
      float32 of the shape of `values`, zero at padded steps (the speaker's mean is the best guess of a lost clip) and in features that
      do not vary within a speaker.

    Raises:
      ValueError: shapes that do not belong together, or a value of a real step that is not finite.
    """
    values, speaker = np.asarray(values), np.asarray(speaker, dtype=str)
    if values.ndim < 2 or speaker.shape != values.shape[:1]:
        raise ValueError(f"expected values (N, D) or (N, T, ..., D) and speaker (N,), got {values.shape} and {speaker.shape}")
    if (mask is None) != (values.ndim == 2) or (mask is not None and mask.shape != values.shape[:2]):
        raise ValueError(f"expected a mask (N, T) with sequences alone, got {None if mask is None else mask.shape} for {values.shape}")
    real = np.ones((len(values), 1), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if mask is None:
        values = values[:, None]
    result = np.zeros(values.shape, dtype=np.float32)
    for name in np.unique(speaker):
        rows = np.flatnonzero(speaker == name)
        seen = values[rows][real[rows]].astype(np.float64)  # (real steps, ..., D)
        seen = seen.reshape(-1, values.shape[-1])
        if not len(seen):
            continue
        if not np.isfinite(seen).all():
            raise ValueError(f"features of speaker {name} are not finite; damaged clips must have no real step")
        mean, deviation = seen.mean(axis=0), seen.std(axis=0)
        varies = deviation > _LEAST_DEVIATION * np.maximum(1, np.abs(mean))
        scaled = np.where(varies, (values[rows] - mean) / np.where(varies, deviation, 1.0), 0.0)
        result[rows] = np.where(real[rows].reshape(real[rows].shape + (1,) * (values.ndim - 2)), scaled, 0.0)
    return result[:, 0] if mask is None else result
