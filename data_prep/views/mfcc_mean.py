"""The view `mfcc_mean`: one mean MFCC vector a clip, a sequence with the coefficients as steps; the sound of system C."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from avemo_jax.mel_arithmetic import MelArithmetic
from data_prep.views.mfcc import Mfcc
from data_prep.views.parameters import NumBands, SampleRateHz, SegmentS, WindowMs
from data_prep.views.segments import ViewSegment


@dataclasses.dataclass(frozen=True, kw_only=True)
class MfccMean:
    """Mel-frequency cepstral coefficients averaged over time; num_coefficients steps of (1,).

    The paper's recurrent layer runs over the coefficients, so they are the steps; all of them have the time of the clip's middle. The
    paper gives only "40 MFCC"; all other defaults are librosa's.

    Attributes:
      num_coefficients: number of coefficients of the cosine transform, the zeroth included.
      sample_rate_hz: sample rate of the analysis in Hz; media of another rate are resampled.
      window_ms: length of an analysis window in ms; 92.88 ms are 2048 samples at 22,050 Hz.
      hop_ms: time between successive analysis windows in ms; 23.22 ms are 512 samples at 22,050 Hz.
      num_mels: number of mel bands.
      segment_s: length of a segment in s; longer clips are cut into several segments.

    Source: C, section 5.1.2.
    """

    name: ClassVar[str] = "mfcc_mean"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (1,)
    VERSION: ClassVar[int] = 1
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view

    num_coefficients: NumBands = 40
    sample_rate_hz: SampleRateHz = 22050
    window_ms: WindowMs = 92.88
    hop_ms: WindowMs = 23.22
    num_mels: NumBands = 128
    segment_s: SegmentS = 30.0

    def __post_init__(self):
        self._frames()  # checks the parameters

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (num_coefficients, 1) float32."""
        for frames in self._frames().segments(audio):
            means = frames.values.mean(axis=0)
            middle_s = np.full(len(means), (frames.times_s[0] + frames.times_s[-1]) / 2, np.float32)
            yield ViewSegment(means[:, None], np.ones(len(means), bool), middle_s, frames.num_seen)

    def arithmetic(self) -> MelArithmetic:
        """Return the view as plain numbers."""
        frames = self._frames().arithmetic()
        assert frames is not None  # it has no derivatives
        return dataclasses.replace(frames, is_mean=True)

    def _frames(self) -> Mfcc:
        return Mfcc(**dataclasses.asdict(self))
