"""The views `egemaps` and `compare_2016`: functionals of openSMILE, an extra with a licence for research only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from data_prep.views.mel import as_float32
from data_prep.views.parameters import SampleRateHz, SegmentS
from data_prep.views.segments import ViewSegment, usable_pieces

LICENCE = "audEERING Research License: openSMILE is free for research and private use; commercial use needs a licence of audEERING GmbH"
_REQUIREMENT = "opensmile>=2.5,<3"
# openSMILE's longest window is 60 ms, and its statistics need a few of them; a shorter sound gives no row.
_LEAST_S = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class _OpenSmile:
    """Functionals of one feature set over a segment, one step of (D,).

    Attributes:
      sample_rate_hz: of the sound that openSMILE gets.
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    feature_set: ClassVar[str]
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    licence: ClassVar[str] = LICENCE
    VERSION: ClassVar[int] = 1

    sample_rate_hz: SampleRateHz = 16000
    segment_s: SegmentS = 30.0

    def check_installed(self) -> None:
        """Raise ImportError, with the command that installs it, where openSMILE is missing."""
        extractor_of(self.feature_set)

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, D) float32; what openSMILE leaves undefined is 0.

        Raises:
          ImportError: openSMILE is not installed.
        """
        smile = extractor_of(self.feature_set)
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            middle_s = index * self.segment_s + len(samples) / self.sample_rate_hz / 2
            shortest = round(_LEAST_S * self.sample_rate_hz)
            padded = np.pad(samples, (0, max(0, shortest - len(samples))))
            values = np.nan_to_num(smile.process_signal(padded, self.sample_rate_hz).to_numpy(), nan=0.0, posinf=0.0, neginf=0.0)
            yield ViewSegment(as_float32(values), np.ones(1, bool), as_float32([middle_s]), 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Egemaps(_OpenSmile):
    """openSMILE's eGeMAPSv02, 88 functionals of a segment, one step of (88,); for research only.

    Source: Eyben et al. 2016, The Geneva minimalistic acoustic parameter set (GeMAPS) for voice research and affective computing.

    Attributes:
      sample_rate_hz: of the sound that openSMILE gets.
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    name: ClassVar[str] = "egemaps"
    feature_set: ClassVar[str] = "eGeMAPSv02"
    step_shape: ClassVar[tuple[int, ...]] = (88,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare2016(_OpenSmile):
    """openSMILE's ComParE_2016, 6,373 functionals of a segment, one step of (6373,); for research only.

    Source: Schuller et al. 2016, The INTERSPEECH 2016 computational paralinguistics challenge.

    Attributes:
      sample_rate_hz: of the sound that openSMILE gets.
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    name: ClassVar[str] = "compare_2016"
    feature_set: ClassVar[str] = "ComParE_2016"
    step_shape: ClassVar[tuple[int, ...]] = (6373,)


@functools.cache
def extractor_of(feature_set: str) -> Any:
    """Return openSMILE's extractor of a feature set's functionals; making one takes longer than using it."""
    try:
        import opensmile
    except ImportError as error:
        raise ImportError(
            f'the views egemaps and compare_2016 need openSMILE ({error}): pip install "{_REQUIREMENT}". {LICENCE}. '
            "--config.streams.audio.view=functionals needs neither"
        ) from error
    return opensmile.Smile(feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel.Functionals)
