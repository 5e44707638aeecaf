"""The view `logmel_496`: one log-mel picture of 5 s, the sound of system D."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from data_prep.views.mel import VGGISH_NUM_MELS, VGGISH_RATE_HZ, as_float32, num_log_mel_frames, padded_log_mel
from data_prep.views.parameters import SegmentS
from data_prep.views.segments import ViewSegment, usable_pieces


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logmel496:
    """One log-mel picture of a segment: 5 s padded with silence give one step of (496, 64).

    Attributes:
      segment_s: length of a segment in s; longer clips are cut into several segments.

    Source: D; Hershey et al. 2017, section 2, for the spectrum.
    """

    name: ClassVar[str] = "logmel_496"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (496, VGGISH_NUM_MELS)
    sample_rate_hz: ClassVar[int] = VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    segment_s: SegmentS = 5.0

    def __post_init__(self):
        if num_log_mel_frames(self.segment_s) < 496:
            raise ValueError(f"segment_s must be at least 4.975, the length of 496 frames, got {self.segment_s:g}")

    @property
    def fixed_s(self) -> float:
        """Length in s that the network needs segments to have."""
        return self.segment_s

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, 496, 64) float32, log of mel magnitudes."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = padded_log_mel(samples, self.segment_s, 496)[None]
            yield ViewSegment(values, np.ones(1, bool), as_float32([index * self.segment_s + 2.48]), 1)
