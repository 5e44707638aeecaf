"""A view of mel spectra as plain numbers, for a program that computes it from samples without `data_prep`."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class MelArithmetic:
    """What the mel spectra of a view are computed with.

    Attributes:
      sample_rate_hz: of the samples.
      num_samples: of a segment, the most that the view takes at once.
      hop_samples: distance of frames, which are centred at its multiples.
      window: shape of a frame, (window_samples,) float32.
      filters: mel bands, (M, 1 + window_samples // 2) float32.
      cosines: from bands in dB to features, (M, D) float32; None where the features are the bands.
      pre_emphasis: share of the previous sample that is subtracted from each sample.
      range_db: levels further below the highest are raised to that limit; 0 is no limit.
      trim_db: quieter frames at both ends are left out; 0 leaves none out.
      max_frames: later frames are left out; 0 leaves none out.
      padded_samples: shorter sounds are padded with silence to so many.
      is_mean: the steps are the features of the mean frame, (D, 1), in place of frames, (T, D).
    """

    sample_rate_hz: int
    num_samples: int
    hop_samples: int
    window: np.ndarray
    filters: np.ndarray
    cosines: np.ndarray | None
    pre_emphasis: float
    range_db: float
    trim_db: float
    max_frames: int
    padded_samples: int
    is_mean: bool = False
