"""Mel spectra of overlapping frames: the common part of the views `mfcc` and `logmel_frames`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from avemo_jax.mel_arithmetic import MelArithmetic
from data_prep.views.mel import as_float32, with_deltas
from data_prep.views.parameters import Hz, LevelDb, MaxFrames, NumBands, SampleRateHz, SegmentS, WindowMs
from data_prep.views.segments import ViewSegment, usable_pieces
from data_prep.views.spectra import loud_span, mel_filters, power_to_db, stft, window_shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelFrames:
    """A mel spectrum in dB of overlapping frames, with derivatives and without silent ends where asked for.

    Frames are centred at multiples of the hop, the sound padded with zeros at both ends: librosa's definitions. Sound shorter than a
    window is padded to one.

    Attributes:
      num_deltas: number of derivatives appended to the features, each over 9 frames: 0, 1 (the first) or 2 (the first and the second).
      sample_rate_hz: sample rate of the analysis in Hz; media of another rate are resampled.
      window_ms: length of an analysis window in ms; 85.333 ms are 4096 samples at 48 kHz.
      hop_ms: time between successive analysis windows in ms; 42.667 ms are 2048 samples at 48 kHz.
      num_mels: number of mel bands.
      min_hz: lower edge of the mel bands in Hz.
      max_hz: upper edge of the mel bands in Hz; 0 stands for half the sample rate.
      range_db: dynamic range in dB; levels further below the loudest of the segment are raised to that limit. 0 is no limit.
      trim_db: level in dB below the loudest frame of the segment; quieter frames at both ends are cut off, except one before and two
        after the rest. 0 cuts nothing.
      padded_s: length in s to which shorter segments are padded with silence, for networks that need a fixed number of frames (D: 5.0);
        0 does not pad.
      max_frames: largest number of frames of a segment after trimming; later frames are dropped. 0 is no limit.
      segment_s: length of a segment in s; longer clips are cut into several segments, and their predictions are combined.
    """

    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view

    num_deltas: Annotated[int, Bounds(least=0, most=2)] = 0
    sample_rate_hz: SampleRateHz = 48000
    window_ms: WindowMs = 85.333
    hop_ms: WindowMs = 42.667
    num_mels: NumBands
    min_hz: Hz
    max_hz: Hz
    range_db: LevelDb
    trim_db: LevelDb
    padded_s: Annotated[float, Bounds(least=0, most=600)] = 0.0
    max_frames: MaxFrames = 0
    segment_s: SegmentS = 30.0

    def __post_init__(self):
        if not 0 <= self.min_hz < (self.max_hz or self.sample_rate_hz / 2) <= self.sample_rate_hz / 2:
            raise ValueError(f"expected min_hz < max_hz <= half of {self.sample_rate_hz} Hz, got {self.min_hz:g} and {self.max_hz:g}")
        if self.padded_s > self.segment_s or (self.padded_s and self.trim_db):
            raise ValueError(
                f"padded_s must be at most segment_s, {self.segment_s:g}, and trim_db 0, which would cut the padding off, got "
                f"{self.padded_s:g} and {self.trim_db:g}"
            )

    @property
    def fixed_s(self) -> float:
        """Length in s that the network needs segments to have, 0 where it takes any."""
        return self.padded_s

    @property
    def num_features(self) -> int:
        """Features of a frame before derivatives are appended."""
        return self.num_mels

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_features * (1 + self.num_deltas),)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (T, D) float32, the features first, then their derivatives."""
        window = round(self.window_ms * self.sample_rate_hz / 1000)
        hop = round(self.hop_ms * self.sample_rate_hz / 1000)
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            samples = np.pad(samples, (0, max(0, window - len(samples), round(self.padded_s * self.sample_rate_hz) - len(samples))))
            # as librosa.feature.melspectrogram, which computes the filters again for every clip
            spectrum = self._power_spectrum(samples, window, hop)
            filters = mel_filters(self.sample_rate_hz, window, self.num_mels, self.min_hz, self.max_hz)
            power = np.einsum("...ft,mf->...mt", spectrum, filters, optimize=True)
            features = self._features(power_to_db(power, range_db=self.range_db or None))
            first, end = 0, features.shape[1]
            if self.trim_db:
                start, stop = loud_span(samples, self.trim_db, window, hop)
                if stop > start:  # otherwise all of it is silence
                    first, end = max(0, start // hop - 1), stop // hop + 2
            if self.max_frames:
                end = min(end, first + self.max_frames)
            values = as_float32(with_deltas(features[:, first:end], self.num_deltas).T)
            times_s = index * self.segment_s + (first + np.arange(len(values))) * hop / self.sample_rate_hz
            yield ViewSegment(values, np.ones(len(values), bool), as_float32(times_s), len(values))

    def arithmetic(self) -> MelArithmetic | None:
        """Return the view as plain numbers; None with derivatives, which are not among them."""
        if self.num_deltas:
            return None
        window = round(self.window_ms * self.sample_rate_hz / 1000)
        return MelArithmetic(
            sample_rate_hz=self.sample_rate_hz,
            num_samples=round(self.segment_s * self.sample_rate_hz),
            hop_samples=round(self.hop_ms * self.sample_rate_hz / 1000),
            window=as_float32(window_shape(self._window_name, window)),
            filters=mel_filters(self.sample_rate_hz, window, self.num_mels, self.min_hz, self.max_hz),
            cosines=self._cosines,
            pre_emphasis=self._pre_emphasis,
            range_db=self.range_db,
            trim_db=self.trim_db,
            max_frames=self.max_frames,
            padded_samples=round(self.padded_s * self.sample_rate_hz),
        )

    @property
    def _window_name(self) -> str:
        return "hann"

    @property
    def _pre_emphasis(self) -> float:
        return 0.0

    @property
    def _cosines(self) -> np.ndarray | None:
        """(num_mels, num_features) of `_features`, where that is a matrix product."""
        return None

    def _power_spectrum(self, samples: np.ndarray, window: int, hop: int) -> np.ndarray:
        """(1 + window // 2, T) of Hann windows of `window` samples, `hop` apart."""
        return np.abs(stft(samples, window, hop)) ** 2.0

    def _features(self, mel_db: np.ndarray) -> np.ndarray:
        """(num_features, T) of the mel spectrum (num_mels, T) in dB."""
        return mel_db
