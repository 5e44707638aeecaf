"""The view `logmel_whisper`: the log-mel frames that Whisper was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.mel import as_float32
from data_prep.views.parameters import NumBands
from data_prep.views.segments import ViewSegment, usable_pieces
from data_prep.views.spectra import mel_filters, stft

_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_LEAST_POWER = 1e-10
_LEAST_VARIANCE = 1e-7
_RANGE = 8.0  # in powers of ten below the loudest value of a segment


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogmelWhisper:
    """Log-mel frames every 10 ms as Whisper takes them; steps of (num_mels,), about -1 to 1.5.

    Source: Radford et al. 2022, arXiv 2212.04356, section 2.2, with the numbers of the published code. The scale depends on the loudest
    value of the segment. Differs: segments are not padded to 30 s; the frames are those that begin within the sound.

    Attributes:
      normalize: bring the samples of each segment to mean 0 and variance 1 first, as some networks on Whisper's frames were trained; the
        frames then do not depend on the loudness of the recording.
      num_mels: number of mel bands: 80, or 128 for Whisper large-v3.
      segment_s: length of a segment in s, at most 30; longer clips are cut into several segments, and their predictions are combined.
    """

    name: ClassVar[str] = "logmel_whisper"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    sample_rate_hz: ClassVar[int] = 16000
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view
    VERSION: ClassVar[int] = 1

    normalize: bool = False
    num_mels: NumBands = 80
    segment_s: Annotated[float, Bounds(least=0.02, most=30)] = 30.0

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_mels,)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (T, num_mels) float32, a frame every 10 ms."""
        filters = mel_filters(self.sample_rate_hz, _WINDOW_SAMPLES, self.num_mels, 0.0, 0.0)
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            if self.normalize:
                samples = (samples - samples.mean()) / np.sqrt(samples.var() + _LEAST_VARIANCE)
            num_frames = max(1, -(-len(samples) // _HOP_SAMPLES))
            # silence behind the sound, as where Whisper pads to 30 s; the first frame sees the sound mirrored
            padded = np.pad(samples, (0, 2 * _WINDOW_SAMPLES))
            power = np.abs(stft(padded, _WINDOW_SAMPLES, _HOP_SAMPLES, pad_mode="reflect")) ** 2
            log_mel = np.log10(np.maximum(filters @ power, _LEAST_POWER))
            log_mel = (np.maximum(log_mel, log_mel.max() - _RANGE) + 4) / 4
            values = as_float32(log_mel[:, :num_frames].T)
            times_s = index * self.segment_s + np.arange(num_frames) * _HOP_SAMPLES / self.sample_rate_hz
            yield ViewSegment(values, np.ones(num_frames, bool), as_float32(times_s), num_frames)
