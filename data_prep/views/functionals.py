"""The view `functionals`: statistics over time of descriptors of speech, the features of the classical baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from data_prep.views.descriptors import SPECTRAL_DESCRIPTORS, Descriptors, describe
from data_prep.views.mel import as_float32
from data_prep.views.parameters import SegmentS
from data_prep.views.pitch import PITCH_DESCRIPTORS, spans_of
from data_prep.views.segments import ViewSegment, usable_pieces
from data_prep.views.sound_frames import RATE_HZ

_SPEECH_RANGE_DB = 30.0  # below the 95th percentile of the level
_LEAST_VOICED_FRAMES = 3
_DELTA_FRAMES = 4  # on either side
_LAGS_FRAMES = (5, 12)
_FRAMES_A_S = 100

STATISTICS = (
    *("mean", "std", "skewness", "log_kurtosis", "percentile_5", "percentile_50", "percentile_95"),
    *("slope", "curvature", "residual"),
    *("delta_std", "delta_mean"),
    *(f"autocorrelation_{10 * lag}_ms" for lag in _LAGS_FRAMES),
)
_SPANS = ("voiced", "unvoiced", "sounding", "pause")
_RHYTHM = (
    *(f"{span}_{statistic}" for span in _SPANS for statistic in ("spans_a_s", "mean_s", "std_s", "longest_s")),
    *("voiced_share", "sounding_share", "speech_s", "equivalent_level_db", "highest_level_db"),
)
_DESCRIPTORS = (*SPECTRAL_DESCRIPTORS, *PITCH_DESCRIPTORS)
# The names of the features, in their order.
FEATURE_NAMES = (
    *(f"{region}_{name}_{statistic}" for region in ("speech", "voiced") for statistic in STATISTICS for name in _DESCRIPTORS),
    *_RHYTHM,
)

# Parts of the features, for an ablation: name -> what begins the names of its descriptors, or ends those of its statistics.
_PARTS_OF_DESCRIPTORS = {
    "mel bands": ("mel_db_",),
    "cepstra": ("mfcc_",),
    "level and zero crossings": ("level_db", "zero_crossing_share"),
    "shape and tilt of the spectrum": (
        *("centroid_hz", "rolloff_", "spread_hz", "skewness", "log_kurtosis", "entropy", "flatness_db"),
        *("slope_", "alpha_ratio_db", "hammarberg_db", "band_"),
    ),
    "pitch and voice quality": PITCH_DESCRIPTORS,
}
_PARTS_OF_STATISTICS = {
    "mean": ("mean",),
    "deviation, skewness, kurtosis": ("std", "skewness", "log_kurtosis"),
    "percentiles": ("percentile_5", "percentile_50", "percentile_95"),
    "fitted parabola": ("slope", "curvature", "residual"),
    "changes": ("delta_std", "delta_mean"),
    "autocorrelation": tuple(f"autocorrelation_{10 * lag}_ms" for lag in _LAGS_FRAMES),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Functionals:
    """A classical baseline's features: statistics over time of 65 descriptors of speech, one step of (1841,).

    The descriptors, every 10 ms, are log-mel bands and cepstra, level, shape and tilt of the spectrum, pitch and voice quality
    (`descriptors.describe`, `pitch.track_pitch`). Of each of them there are 14 statistics over the speech (from the first to the last frame
    that is at most 30 dB below the 95th percentile of the level), and the same 14 over its voiced frames: mean, standard deviation,
    skewness, log(1 + kurtosis), percentiles 5, 50 and 95, slope and curvature of a fitted parabola and the deviation from it, deviation and
    mean absolute value of the change over 90 ms, and the autocorrelation at 50 and 120 ms. Number and length of voiced and unvoiced spans
    and of pauses, and the level of the whole, follow. `FEATURE_NAMES` names them all.

    Attributes:
      segment_s: length of a segment in s; longer clips are cut into several segments.
    """

    name: ClassVar[str] = "functionals"
    modality: ClassVar[str] = "audio"
    dtype: ClassVar[str] = "float32"
    step_shape: ClassVar[tuple[int, ...]] = (len(FEATURE_NAMES),)
    sample_rate_hz: ClassVar[int] = RATE_HZ
    VERSION: ClassVar[int] = 2

    segment_s: SegmentS = 30.0

    @staticmethod
    def parts() -> dict[str, np.ndarray]:
        """Return the parts of the features by name, each as (D,) bool; they overlap."""
        grid = [(region, name, statistic) for region in ("speech", "voiced") for statistic in STATISTICS for name in _DESCRIPTORS]
        wanted = {"statistics over voiced frames": [region == "voiced" for region, *_ in grid]}
        wanted |= {part: [name.startswith(starts) for _, name, _ in grid] for part, starts in _PARTS_OF_DESCRIPTORS.items()}
        wanted |= {part: [statistic in names for *_, statistic in grid] for part, names in _PARTS_OF_STATISTICS.items()}
        found = {part: np.array([*chosen, *[False] * len(_RHYTHM)]) for part, chosen in wanted.items()}
        return found | {"rhythm and level of the whole": np.arange(len(FEATURE_NAMES)) >= len(grid)}

    def segments(self, audio: Iterator[np.ndarray]) -> Iterator[ViewSegment]:
        """Yield one segment a piece: values (1, D) float32, finite for every sound."""
        for index, samples in usable_pieces(audio, self.sample_rate_hz, self.segment_s):
            middle_s = index * self.segment_s + len(samples) / self.sample_rate_hz / 2
            yield ViewSegment(as_float32(functionals_of(describe(samples))[None]), np.ones(1, bool), as_float32([middle_s]), 1)


def functionals_of(descriptors: Descriptors) -> np.ndarray:
    """Return the statistics of descriptors, (len(FEATURE_NAMES),) float64."""
    level_db = descriptors.level_db
    is_loud = level_db >= np.percentile(level_db, 95) - _SPEECH_RANGE_DB
    loud = np.flatnonzero(is_loud)
    speech = slice(loud[0], loud[-1] + 1)
    values = np.hstack([descriptors.spectral, descriptors.pitch])[speech]
    is_voiced = descriptors.is_voiced[speech]
    # Without a voice, the statistics of all speech stand in: zeros would be far from those of every other clip.
    voiced = values[is_voiced] if is_voiced.sum() >= _LEAST_VOICED_FRAMES else values
    return np.concatenate([_statistics(values), _statistics(voiced), _rhythm(level_db, is_voiced, is_loud[speech])])


def _statistics(values: np.ndarray) -> np.ndarray:
    """Return the statistics of D descriptors over T frames, statistic after statistic, (len(STATISTICS) * D,)."""
    mean, std = values.mean(axis=0), values.std(axis=0)
    # A descriptor that does not change has neither skewness nor autocorrelation; rounding must not give it one.
    standardised = (values - mean) * np.where(std > 1e-6 * (1 + np.abs(mean)), 1 / np.maximum(std, 1e-12), 0.0)
    squared = np.square(standardised)
    percentiles = np.percentile(values, (5, 50, 95), axis=0)
    delta = _delta(values)
    return np.concatenate(
        [
            *(mean, std, (squared * standardised).mean(axis=0), np.log1p(np.square(squared).mean(axis=0)), *percentiles),
            *_parabola(values),
            *(delta.std(axis=0), np.abs(delta).mean(axis=0)),
            *((standardised[lag:] * standardised[:-lag]).sum(axis=0) / len(values) for lag in _LAGS_FRAMES),
        ]
    )


def _parabola(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return slope, curvature and deviation of a parabola fitted over the frames, as times from -1 to 1."""
    times = np.linspace(-1, 1, len(values))
    bow = np.square(times) - np.square(times).mean()
    slope, curvature = (base @ values / max(base @ base, 1e-12) for base in (times, bow))
    rest = values - values.mean(axis=0) - np.outer(times, slope) - np.outer(bow, curvature)
    return slope, curvature, np.sqrt(np.square(rest).mean(axis=0))


def _delta(values: np.ndarray) -> np.ndarray:
    """Return the slope of a line fitted to 9 frames around each frame, a frame; the first and last frame are repeated."""
    padded = np.pad(values, ((_DELTA_FRAMES, _DELTA_FRAMES), (0, 0)), mode="edge")
    steps = np.arange(-_DELTA_FRAMES, _DELTA_FRAMES + 1)
    return np.sum([step * padded[_DELTA_FRAMES + step :][: len(values)] for step in steps], axis=0) / (steps @ steps)


def _rhythm(level_db: np.ndarray, is_voiced: np.ndarray, is_loud: np.ndarray) -> np.ndarray:
    """Return number and lengths of spans, shares, duration of the speech in s, and the levels of the whole sound."""
    speech_s = len(is_voiced) / _FRAMES_A_S
    columns: list[float] = []
    for mask in (is_voiced, ~is_voiced, is_loud, ~is_loud):
        lengths_s = np.diff(spans_of(mask), axis=1) / _FRAMES_A_S
        lengths_s = lengths_s if len(lengths_s) else np.zeros(1)
        columns += [np.count_nonzero(lengths_s) / speech_s, lengths_s.mean(), lengths_s.std(), lengths_s.max()]
    equivalent_db = 10 * np.log10(np.mean(10 ** (level_db / 10)))
    return np.array([*columns, is_voiced.mean(), is_loud.mean(), speech_s, equivalent_db, level_db.max()])
