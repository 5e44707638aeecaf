"""The view `waveform`: the samples themselves, for networks that hear the waveform."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.segments import ViewSegment, usable_pieces

_FEWEST_SAMPLES = 400  # 25 ms: what one step of the networks that take this view sees


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waveform:
    """Samples at 16 kHz; steps of (), in [-1, 1].

    They have the level of the recording. Encoders that were trained on zero mean and unit variance bring each segment to it themselves. A
    clip shorter than 25 ms is followed by silence up to that length.

    Attributes:
      segment_s: length of a segment in s; longer clips are cut into several segments, and their predictions are combined. The attention of
        a transformer takes memory that grows with its square.
    """

    name: ClassVar[str] = "waveform"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = ()
    sample_rate_hz: ClassVar[int] = 16000
    VERSION: ClassVar[int] = 1

    segment_s: Annotated[float, Bounds(least=0.1, most=60)] = 30.0

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (T,) float32, a step a sample."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = np.pad(samples, (0, max(0, _FEWEST_SAMPLES - len(samples)))).astype(np.float32)
            times_s = index * self.segment_s + np.arange(len(values)) / self.sample_rate_hz
            yield ViewSegment(values, np.ones(len(values), bool), times_s.astype(np.float32), len(values))
