"""The view `mfcc`: mel-frequency cepstral coefficients frame by frame."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import Bounds
from data_prep.views.librosa_loading import load_librosa
from data_prep.views.mel import as_float32
from data_prep.views.mel_frames import MelFrames
from data_prep.views.parameters import Hz, LevelDb, NumBands
from data_prep.views.spectra import cepstra, stft

WINDOWS = ("hann", "hamming")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mfcc(MelFrames):
    """Mel-frequency cepstral coefficients of overlapping frames; steps of (num_coefficients * (1 + num_deltas),).

    The defaults are librosa's (128 bands up to half the sample rate, 80 dB) with windows and hops of 4096 and 2048 samples at 48 kHz.

    Attributes:
      num_coefficients: number of coefficients of the cosine transform, the zeroth included; with num_mels of them nothing is lost.
      pre_emphasis: share of the previous sample that is subtracted from each sample before the analysis, usually 0.97; 0 subtracts nothing.
      window: shape of the analysis windows: "hann" or "hamming".
    """

    name: ClassVar[str] = "mfcc"
    VERSION: ClassVar[int] = 1

    num_coefficients: NumBands = 13
    num_mels: NumBands = 128
    min_hz: Hz = 0.0
    max_hz: Hz = 0.0
    range_db: LevelDb = 80.0
    trim_db: LevelDb = 0.0
    pre_emphasis: Annotated[float, Bounds(least=0, below=1)] = 0.0
    window: str = "hann"

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.num_coefficients <= self.num_mels:
            raise ValueError(f"num_coefficients must be 1 to {self.num_mels}, the number of mel bands, got {self.num_coefficients}")
        if self.window not in WINDOWS:
            raise ValueError(f"config.views.mfcc.window must be one of {', '.join(WINDOWS)}, got {self.window!r}")

    @property
    def num_features(self) -> int:
        return self.num_coefficients

    @property
    def _window_name(self) -> str:
        return self.window

    @property
    def _pre_emphasis(self) -> float:
        return self.pre_emphasis

    @property
    def _cosines(self) -> np.ndarray:
        return as_float32(cepstra(np.eye(self.num_mels), self.num_coefficients).T)

    def _power_spectrum(self, samples: np.ndarray, window: int, hop: int) -> np.ndarray:
        if self.pre_emphasis:
            samples = load_librosa().effects.preemphasis(samples, coef=self.pre_emphasis)
        return np.abs(stft(samples, window, hop, window=self.window)) ** 2.0

    def _features(self, mel_db: np.ndarray) -> np.ndarray:
        return cepstra(mel_db, self.num_coefficients)
