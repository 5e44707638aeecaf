"""The view `functionals`: statistics of a log-mel spectrum over time, the features of the classical baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np

from data_prep.views.mel import VGGISH_NUM_MELS, VGGISH_RATE_HZ, as_float32, log_mel
from data_prep.views.parameters import SegmentS
from data_prep.views.segments import ViewSegment, usable_pieces

# Statistics over time of each log-mel band, in the order of the features.
_FUNCTIONALS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("mean", lambda x: x.mean(axis=0)),
    ("std", lambda x: x.std(axis=0)),
    *((f"percentile_{q}", lambda x, q=q: np.percentile(x, q, axis=0)) for q in (5, 10, 25, 50, 75, 90, 95)),
    ("mean_change", lambda x: np.abs(np.diff(x, axis=0, append=x[-1:])).mean(axis=0)),
    ("std_change", lambda x: np.diff(x, axis=0, append=x[-1:]).std(axis=0)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Functionals:
    """A classical baseline's features: 11 statistics over time of each of 64 log-mel bands, one step of (704,).

    Statistics after statistics, each for all bands: mean, standard deviation, percentiles 5, 10, 25, 50, 75, 90, 95, mean of the
    absolute change from frame to frame, standard deviation of that change. The spectrum is VGGish's.

    Attributes:
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    name: ClassVar[str] = "functionals"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (len(_FUNCTIONALS) * VGGISH_NUM_MELS,)
    sample_rate_hz: ClassVar[int] = VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    segment_s: SegmentS = 30.0

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, 704) float32."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            frames = log_mel(samples).astype(np.float64)  # means over many frames
            values = np.concatenate([statistic(frames) for _, statistic in _FUNCTIONALS])[None]
            middle_s = index * self.segment_s + len(samples) / self.sample_rate_hz / 2
            yield ViewSegment(as_float32(values), np.ones(1, bool), as_float32([middle_s]), 1)
