"""System B's cut of a clip into short overlapping segments of its speech."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.parameters import Count, Hz, MaxFrames, SampleRateHz, SegmentS, Share, WindowMs
from data_prep.views.segments import ViewSegment, usable_pieces
from data_prep.views.speech_activity import SpeechActivity


@dataclasses.dataclass(frozen=True)
class Speech:
    """The speech of one piece of a clip, cut into N segments.

    Attributes:
      samples: (S,) float32, the span that the segments are cut from; padded with silence where the clip is shorter than a segment.
      starts_s: (N,) float64, where the segments begin, from the start of the clip.
      is_active: False where no window was active, so the span is all of the piece.
    """

    samples: np.ndarray
    starts_s: np.ndarray
    is_active: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechCut:
    """Where the segments of a clip lie: shared by the views of its sound and its picture, so that segment n of both is the same moment.

    The span of speech activity is cut into segments of `segment_frames` analysis frames, `shift_frames` apart; frames behind the last
    whole segment are left out. A span shorter than a segment grows at both ends as far as there is sound.

    Attributes:
      sample_rate_hz: sample rate of the analysis in Hz; media of another rate are resampled.
      window_ms: length of an analysis frame in ms.
      hop_ms: time between successive analysis frames in ms.
      segment_frames: length of a segment in analysis frames; with the defaults 63 x 10 + 25 = 655 ms.
      shift_frames: distance between the starts of successive segments in analysis frames.
      speech_window_ms: speech activity: length in ms of the windows that are classified as active or not.
      speech_hop_ms: speech activity: time between successive windows in ms.
      speech_min_hz: speech activity: lower edge of the speech band in Hz.
      speech_max_hz: speech activity: upper edge of the speech band in Hz.
      speech_threshold: speech activity: share of a window's energy that must lie in the speech band for the window to be active.
      speech_before_s: speech activity: margin in s before the first active window.
      speech_after_s: speech activity: margin in s after the last active window.
      segments_per_example: number of neighbouring segments that form one example, as its steps; 0 joins all segments of a piece, for
        networks that attend over the segments of a clip.
      segment_s: length in s of the pieces that longer clips are first cut into; speech activity is detected in each piece by itself. It
        bounds the memory, as a segment can hold 20 faces of 227 px.
    """

    modality: ClassVar[str]
    dtype: ClassVar[str] = "uint8"

    sample_rate_hz: SampleRateHz = 16000
    window_ms: WindowMs = 25.0
    hop_ms: WindowMs = 10.0
    segment_frames: Count = 64
    shift_frames: Count = 30
    speech_window_ms: WindowMs = 25.0
    speech_hop_ms: WindowMs = 10.0
    speech_min_hz: Hz = 300.0
    speech_max_hz: Hz = 3000.0
    speech_threshold: Share = 0.6
    speech_before_s: Annotated[float, Bounds(least=0, most=600)] = 0.2
    speech_after_s: Annotated[float, Bounds(least=0, most=600)] = 0.2
    segments_per_example: MaxFrames = 1
    segment_s: SegmentS = 10.0

    def __post_init__(self):
        if self.segment_samples > round(self.segment_s * self.sample_rate_hz):
            raise ValueError(f"segment_s must be at least {self.step_s:g}, the length of one segment, got {self.segment_s:g}")
        if self.speech_max_hz > self.sample_rate_hz / 2:
            raise ValueError(f"speech_max_hz must be at most half of {self.sample_rate_hz} Hz, got {self.speech_max_hz:g}")
        self._activity()  # checks the parameters of the speech activity

    @property
    def step_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def window_samples(self) -> int:
        return round(self.window_ms * self.sample_rate_hz / 1000)

    @property
    def hop_samples(self) -> int:
        return round(self.hop_ms * self.sample_rate_hz / 1000)

    @property
    def segment_samples(self) -> int:
        return (self.segment_frames - 1) * self.hop_samples + self.window_samples

    @property
    def step_s(self) -> float:
        """Length of one segment, which is one step."""
        return self.segment_samples / self.sample_rate_hz

    @property
    def cut(self) -> Mapping[str, Any]:
        """The parameters that decide where segments lie: equal cuts give equal segments of equal sound."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(SpeechCut)}

    def speech(self, audio: Iterator[np.ndarray]) -> Iterator[tuple[int, Speech]]:
        """Yield (index of the piece, its speech) for each piece of segment_s of a clip's sound."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            span = self._activity().span(samples, self.sample_rate_hz)
            first, end = self._grown(span or (0, len(samples)), len(samples))
            num_segments = 1 + max(0, self._num_frames(end - first) - self.segment_frames) // self.shift_frames
            span_samples = np.pad(samples[first:end], (0, max(0, self.segment_samples - (end - first))))
            starts = first + self.shift_frames * self.hop_samples * np.arange(num_segments)
            yield index, Speech(span_samples, index * self.segment_s + starts / self.sample_rate_hz, span is not None)

    def examples(self, steps: Iterator[np.ndarray], speech: Speech, mask: bool = True) -> Iterator[ViewSegment]:
        """Join steps, one a segment, into examples."""
        size = self.segments_per_example or len(speech.starts_s)
        for first in range(0, len(speech.starts_s), size):
            starts_s = speech.starts_s[first : first + size]
            values = np.empty((len(starts_s), *self.step_shape), self.dtype)
            for row in values:
                row[...] = next(steps)
            yield ViewSegment(
                values=values,
                mask=np.full(len(starts_s), mask),
                times_s=(starts_s + self.step_s / 2).astype(np.float32),
                num_seen=len(starts_s),
                has_speech=speech.is_active,
            )

    def _activity(self) -> SpeechActivity:
        prefix = "speech_"
        return SpeechActivity(**{name.removeprefix(prefix): value for name, value in self.cut.items() if name.startswith(prefix)})

    def _num_frames(self, num_samples: int) -> int:
        return 1 + (num_samples - self.window_samples) // self.hop_samples

    def _grown(self, span: tuple[int, int], num_samples: int) -> tuple[int, int]:
        """The span, at least a segment long where there is so much sound."""
        missing = max(0, self.segment_samples - (span[1] - span[0]))
        first = max(0, min(span[0] - missing // 2, num_samples - self.segment_samples))
        return first, min(num_samples, max(span[1], first + self.segment_samples))
