"""The view `speech_segments`: the sound of each segment of speech as a picture, the input of system B."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from data_prep.views.librosa_loading import load_librosa
from data_prep.views.parameters import Hz, NumBands
from data_prep.views.segments import ViewSegment
from data_prep.views.speech_cut import SpeechCut


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechSegments(SpeechCut):
    """The sound of each segment as a picture for image networks; steps of (segment_frames, num_mels, 3) uint8.

    Rows are frames, columns are cepstral coefficients: as many as mel bands, the zeroth included, so the picture loses nothing.
    Channels are the coefficients, their change, and the change of that, each by regression over 2 frames at either side within the
    segment (its first and last frame repeated), each stretched to 0..255 by its own least and greatest value; a channel that does not
    vary is 0.

    Choices where the paper is silent: regression over 2 frames at either side; each segment is scaled by itself, as the paper's order
    of steps has it.

    Attributes:
      num_mels: number of mel bands (librosa's) and of cepstral coefficients.
      min_hz: lower edge of the mel bands in Hz.
      max_hz: upper edge of the mel bands in Hz.

    Source: B, section 3.2.
    """

    name: ClassVar[str] = "speech_segments"
    modality: ClassVar[str] = "audio"
    compiles: ClassVar[bool] = True  # librosa's machine code, see prepare_view
    VERSION: ClassVar[int] = 1

    num_mels: NumBands = 64
    min_hz: Hz = 20.0
    max_hz: Hz = 8000.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(f"expected min_hz < max_hz <= half of {self.sample_rate_hz} Hz, got {self.min_hz:g} and {self.max_hz:g}")

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.segment_frames, self.num_mels, 3)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield the examples: values (T, segment_frames, num_mels, 3) uint8."""
        for _, speech in self.speech(audio):
            cepstra = self._cepstra(speech.samples)
            starts = self.shift_frames * np.arange(len(speech.starts_s))
            yield from self.examples((cepstra_picture(cepstra[start : start + self.segment_frames]) for start in starts), speech)

    def _cepstra(self, samples: np.ndarray) -> np.ndarray:
        """(F, num_mels) of frames that lie wholly inside."""
        feature, power_to_db = load_librosa().feature, load_librosa().power_to_db
        mel = feature.melspectrogram(
            y=samples,
            sr=self.sample_rate_hz,
            n_fft=self.window_samples,
            hop_length=self.hop_samples,
            window="hamming",
            center=False,
            n_mels=self.num_mels,
            fmin=self.min_hz,
            fmax=self.max_hz,
        )
        return feature.mfcc(S=power_to_db(mel, top_db=None), n_mfcc=self.num_mels).T


def cepstra_picture(cepstra: np.ndarray) -> np.ndarray:
    """Return a picture (F, M, 3) uint8 of cepstra (F, M): the cepstra, their change, and the change of that."""
    change = slope(cepstra)
    return np.stack([_stretched(channel) for channel in (cepstra, change, slope(change))], axis=-1)


def slope(values: np.ndarray) -> np.ndarray:
    """Return the slope per frame, (F, M), of values (F, M) by regression over 2 frames at either side: B, equation 4, with N = 2."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10


def _stretched(channel: np.ndarray) -> np.ndarray:
    """Map the least value to 0 and the greatest to 255, as uint8."""
    lowest, highest = channel.min(), channel.max()
    if highest == lowest:
        return np.zeros(channel.shape, np.uint8)
    return np.round((channel - lowest) * (255 / (highest - lowest))).astype(np.uint8)
