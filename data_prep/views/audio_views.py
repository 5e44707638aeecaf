"""Audio views: what a network hears of a clip, as frozen dataclasses whose fields are the view's parameters.

`segments(audio)` takes the clip's sound already cut into pieces of segment_s (as `media.stream_audio(..., segment_s=...)` yields it)
and gives one ViewSegment a piece; times are the middles of the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import ClassVar

import numpy as np

from data_prep.views.librosa_loading import load_librosa
from data_prep.views.segments import ViewSegment, kept_pieces

# VGGish's front end: Hershey et al. 2017, section 2; numbers as in the published feature code.
_VGGISH_RATE_HZ = 16000
_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_FFT_SAMPLES = 512
_NUM_MELS = 64
_MEL_RANGE_HZ = (125.0, 7500.0)
_LOG_OFFSET = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogmelPatches:
    """VGGish's input: log-mel patches of 96 frames, one after another without overlap; steps of (96, 64).

    A segment shorter than segment_s is padded with silence; patches that hold no sound of the clip at all are masked.

    Source: Hershey et al. 2017, section 2; system A of the published ones (5 patches of a 5 s clip).
    """

    name: ClassVar[str] = "logmel_patches"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (96, _NUM_MELS)
    sample_rate_hz: ClassVar[int] = _VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    num_patches: int = 5
    segment_s: float = 5.0

    def __post_init__(self):
        most = _num_frames(round(self.segment_s * _VGGISH_RATE_HZ)) // 96
        if not 1 <= self.num_patches <= most:
            raise ValueError(f"num_patches of segments of {self.segment_s:g} s must be 1 to {most}, got {self.num_patches}")

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (num_patches, 96, 64) float32, log of mel magnitudes."""
        for index, samples in kept_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = _padded_log_mel(samples, self.segment_s, 96 * self.num_patches).reshape(self.num_patches, *self.step_shape)
            starts_s = 0.01 * 96 * np.arange(self.num_patches)
            mask = starts_s < len(samples) / self.sample_rate_hz
            yield ViewSegment(values, mask, _float32(index * self.segment_s + starts_s + 0.48), self.num_patches)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logmel496:
    """One log-mel picture of a segment, as system D hears it: 5 s padded with silence give one step of (496, 64).

    Source: Hershey et al. 2017, section 2, for the spectrum.
    """

    name: ClassVar[str] = "logmel_496"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (496, _NUM_MELS)
    sample_rate_hz: ClassVar[int] = _VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    segment_s: float = 5.0

    def __post_init__(self):
        if _num_frames(round(self.segment_s * _VGGISH_RATE_HZ)) < 496:
            raise ValueError(f"segment_s must be at least 4.975, which 496 frames take, got {self.segment_s:g}")

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, 496, 64) float32, log of mel magnitudes."""
        for index, samples in kept_pieces(audio, self.sample_rate_hz, self.segment_s):
            values = _padded_log_mel(samples, self.segment_s, 496)[None]
            yield ViewSegment(values, np.ones(1, bool), _float32([index * self.segment_s + 2.48]), 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _MelFrames:
    """What views of overlapping frames share: a mel spectrum in dB, derivatives if wanted, silent ends cut off if wanted.

    Frames are centred at multiples of the hop, the sound padded with zeros at both ends: librosa's definitions. Sound shorter than a
    window is padded to one.

    Attributes:
      num_deltas: 0, 1 (append the first derivative) or 2 (append the second as well), over 9 frames.
      sample_rate_hz: of the analysis; other media are resampled.
      window_ms, hop_ms: of the analysis.
      num_mels, min_hz, max_hz: mel bands; a max_hz of 0 stands for half the sample rate.
      range_db: levels further below the loudest of the segment are raised to that; 0 leaves them.
      trim_db: ends of the segment that stay further below its loudest frame are cut off, but for one frame before and two after;
        0 keeps all.
      padded_s: shorter segments are padded with silence to this length, for networks that want equally many frames; 0 leaves them.
      max_frames: of what is left, frames from this one on are cut off; 0 keeps all.
      segment_s: longer clips are cut.
    """

    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view

    num_deltas: int
    sample_rate_hz: int = 48000
    window_ms: float = 85.333
    hop_ms: float = 42.667
    num_mels: int
    min_hz: float
    max_hz: float
    range_db: float
    trim_db: float
    padded_s: float = 0.0
    max_frames: int = 0
    segment_s: float = 30.0

    def __post_init__(self):
        if self.num_deltas not in (0, 1, 2):
            raise ValueError(f"num_deltas must be 0, 1 or 2, got {self.num_deltas}")
        if not 0 <= self.min_hz < (self.max_hz or self.sample_rate_hz / 2) <= self.sample_rate_hz / 2:
            raise ValueError(f"expected min_hz < max_hz <= half of {self.sample_rate_hz} Hz, got {self.min_hz:g} and {self.max_hz:g}")
        if self.padded_s > self.segment_s or (self.padded_s and self.trim_db):
            raise ValueError(
                f"padded_s must be at most segment_s, {self.segment_s:g}, and trim_db 0, which would cut the padding off, got "
                f"{self.padded_s:g} and {self.trim_db:g}"
            )

    @property
    def num_features(self) -> int:
        """Features of a frame before derivatives are appended."""
        return self.num_mels

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.num_features * (1 + self.num_deltas),)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (T, D) float32, the features first, then their derivatives."""
        librosa = load_librosa()
        window = round(self.window_ms * self.sample_rate_hz / 1000)
        hop = round(self.hop_ms * self.sample_rate_hz / 1000)
        for index, samples in kept_pieces(audio, self.sample_rate_hz, self.segment_s):
            samples = np.pad(samples, (0, max(0, window - len(samples), round(self.padded_s * self.sample_rate_hz) - len(samples))))
            # what librosa's melspectrogram does, but that it makes the filters anew for every clip, in a third of a clip's time
            spectrum = np.abs(librosa.stft(samples, n_fft=window, hop_length=hop)) ** 2.0
            filters = _mel_filters(self.sample_rate_hz, window, self.num_mels, self.min_hz, self.max_hz)
            power = np.einsum("...ft,mf->...mt", spectrum, filters, optimize=True)
            features = self._features(librosa.power_to_db(power, top_db=self.range_db or None))
            first, end = 0, features.shape[1]
            if self.trim_db:
                _, (start, stop) = librosa.effects.trim(samples, top_db=self.trim_db, frame_length=window, hop_length=hop)
                if stop > start:  # else all of it is silence
                    first, end = max(0, start // hop - 1), stop // hop + 2
            if self.max_frames:
                end = min(end, first + self.max_frames)
            features = features[:, first:end]
            # a line is fitted to the ends where the segment has the 9 frames that this takes, else they are repeated
            mode = "interp" if features.shape[1] >= 9 else "nearest"
            deltas = [librosa.feature.delta(features, order=order, mode=mode) for order in range(1, self.num_deltas + 1)]
            values = _float32(np.concatenate([features, *deltas]).T)
            times_s = index * self.segment_s + (first + np.arange(len(values))) * hop / self.sample_rate_hz
            yield ViewSegment(values, np.ones(len(values), bool), _float32(times_s), len(values))

    def _features(self, mel_db: np.ndarray) -> np.ndarray:
        """(num_features, T) of the mel spectrum (num_mels, T) in dB."""
        return mel_db


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mfcc(_MelFrames):
    """Mel-frequency cepstral coefficients of overlapping frames; steps of (num_coefficients * (1 + num_deltas),).

    The defaults are librosa's (128 bands up to half the sample rate, 80 dB) with windows and hops of 4096 and 2048 samples at 48 kHz.

    Attributes:
      num_coefficients: of the cosine transform, the zeroth included; as many as num_mels lose nothing.
    """

    name: ClassVar[str] = "mfcc"
    VERSION: ClassVar[int] = 1

    num_coefficients: int = 13
    num_deltas: int = 0
    num_mels: int = 128
    min_hz: float = 0.0
    max_hz: float = 0.0
    range_db: float = 80.0
    trim_db: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.num_coefficients <= self.num_mels:
            raise ValueError(f"num_coefficients must be 1 to {self.num_mels}, the number of mel bands, got {self.num_coefficients}")

    @property
    def num_features(self) -> int:
        return self.num_coefficients

    def _features(self, mel_db: np.ndarray) -> np.ndarray:
        return load_librosa().feature.mfcc(S=mel_db, n_mfcc=self.num_coefficients)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogmelFrames(_MelFrames):
    """Mel spectrum in dB of overlapping frames; steps of (num_mels * (1 + num_deltas),).

    For networks that take cepstra of it themselves, after disturbing voice and tempo where those are axes of the array.
    """

    name: ClassVar[str] = "logmel_frames"
    VERSION: ClassVar[int] = 1

    num_deltas: int = 0
    num_mels: int = 64
    min_hz: float = 50.0
    max_hz: float = 8000.0
    range_db: float = 0.0
    trim_db: float = 30.0


# Statistics over time, in this order, of each log-mel band: what a classical baseline hears.
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
    """

    name: ClassVar[str] = "functionals"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (len(_FUNCTIONALS) * _NUM_MELS,)
    sample_rate_hz: ClassVar[int] = _VGGISH_RATE_HZ
    VERSION: ClassVar[int] = 1

    segment_s: float = 30.0

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, 704) float32."""
        for index, samples in kept_pieces(audio, self.sample_rate_hz, self.segment_s):
            frames = log_mel(samples).astype(np.float64)  # means over many frames
            values = np.concatenate([statistic(frames) for _, statistic in _FUNCTIONALS])[None]
            middle_s = index * self.segment_s + len(samples) / self.sample_rate_hz / 2
            yield ViewSegment(_float32(values), np.ones(1, bool), _float32([middle_s]), 1)


AUDIO_VIEWS = {view.name: view for view in (LogmelPatches, Logmel496, LogmelFrames, Mfcc, Functionals)}


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log-mel spectrum as VGGish has it.

    Args:
      samples: (S,) mono, [-1, 1], 16 kHz; fewer than a window of 400 are padded with zeros.

    Returns:
      (T, 64) float32, log(mel + 0.01); T = 1 + (S - 400) // 160 windows that lie wholly inside.

    Source: Hershey et al. 2017, section 2; magnitudes, not powers, and a periodic Hann window, as the published feature code has them.
    """
    samples = np.pad(samples, (0, max(0, _WINDOW_SAMPLES - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW_SAMPLES) / _WINDOW_SAMPLES)
    magnitudes = np.abs(np.fft.rfft(frames * hann, _FFT_SAMPLES))
    return _float32(np.log(magnitudes @ _mel_weights() + _LOG_OFFSET))


@lru_cache(maxsize=8)
def _mel_filters(sample_rate_hz: int, window_samples: int, num_mels: int, min_hz: float, max_hz: float) -> np.ndarray:
    """librosa's triangles, (num_mels, 1 + window_samples // 2) float32."""
    return load_librosa().filters.mel(sr=sample_rate_hz, n_fft=window_samples, n_mels=num_mels, fmin=min_hz, fmax=max_hz or None)


@lru_cache(maxsize=1)
def _mel_weights() -> np.ndarray:
    """(257, 64) triangles that are straight on the mel scale, the bin at 0 Hz left out; librosa's are straight in Hz."""
    mel = 1127 * np.log1p(np.linspace(0, _VGGISH_RATE_HZ / 2, _FFT_SAMPLES // 2 + 1) / 700)[:, None]
    lowest, highest = 1127 * np.log1p(np.array(_MEL_RANGE_HZ) / 700)
    edges = np.linspace(lowest, highest, _NUM_MELS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0, np.minimum((mel - lower) / (centre - lower), (upper - mel) / (upper - centre)))
    weights[0] = 0
    return weights


def _num_frames(num_samples: int) -> int:
    return 1 + (num_samples - _WINDOW_SAMPLES) // _HOP_SAMPLES


def _padded_log_mel(samples: np.ndarray, segment_s: float, num_frames: int) -> np.ndarray:
    """(num_frames, 64) of the samples padded with zeros to segment_s."""
    return log_mel(np.pad(samples, (0, round(segment_s * _VGGISH_RATE_HZ) - len(samples))))[:num_frames]


def _float32(values) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)
