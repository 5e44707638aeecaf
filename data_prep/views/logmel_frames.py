"""The view `logmel_frames`: a mel spectrum in dB frame by frame."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from data_prep.views.mel_frames import MelFrames
from data_prep.views.parameters import Hz, LevelDb, NumBands


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogmelFrames(MelFrames):
    """Mel spectrum in dB of overlapping frames; steps of (num_mels * (1 + num_deltas),).

    The input of networks that compute the cepstra of `mfcc` themselves: augmentation then changes voice and tempo where these are axes of
    the array.
    """

    name: ClassVar[str] = "logmel_frames"
    VERSION: ClassVar[int] = 1

    num_mels: NumBands = 64
    min_hz: Hz = 50.0
    max_hz: Hz = 8000.0
    range_db: LevelDb = 0.0
    trim_db: LevelDb = 30.0
