"""The view `logmel_patches`: log-mel patches of about a second, the input of VGGish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from data_prep.views.mel import VGGISH_NUM_MELS, VGGISH_RATE_HZ, as_float32, num_log_mel_frames, padded_log_mel
from data_prep.views.parameters import Count, SegmentS
from data_prep.views.segments import ViewSegment, usable_pieces


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogmelPatches:
    """VGGish's input: log-mel patches of 96 frames, one after another without overlap; steps of (96, 64).

    A segment shorter than segment_s is padded with silence; patches that hold no sound of the clip at all are masked.

    Attributes:
      num_patches: number of patches of a segment, 0.96 s each.
      segment_s: length of a segment in s; longer clips are cut into several segments.

    Source: Hershey et al. 2017, section 2; A (5 patches of a clip of 5 s).
    """

    name: ClassVar[str] = "logmel_patches"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (96, VGGISH_NUM_MELS)
    sample_rate_hz: ClassVar[int] = VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    num_patches: Count = 5
    segment_s: SegmentS = 5.0

    def __post_init__(self):
        most = num_log_mel_frames(self.segment_s) // 96
        if not 1 <= self.num_patches <= most:
            raise ValueError(f"num_patches of segments of {self.segment_s:g} s must be 1 to {most}, got {self.num_patches}")

    @property
    def fixed_s(self) -> float:
        """The length of the segments that networks take, since these have a fixed number of patches."""
        return self.segment_s

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (num_patches, 96, 64) float32, log of mel magnitudes."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = padded_log_mel(samples, self.segment_s, 96 * self.num_patches).reshape(self.num_patches, *self.step_shape)
            starts_s = 0.01 * 96 * np.arange(self.num_patches)
            mask = starts_s < len(samples) / self.sample_rate_hz
            yield ViewSegment(values, mask, as_float32(index * self.segment_s + starts_s + 0.48), self.num_patches)
