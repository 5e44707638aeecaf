"""Which person of a film speaks: the one whose mouth moves with the loudness of the sound.

That sound and picture of a speaker vary together is used as in J. Hershey and J. Movellan, "Audio vision: using audio-visual synchrony to
locate sounds", NIPS 12, 1999, with a correlation in place of their mutual information, and mouths of followed faces in place of pixels.
benchmarks/who_speaks.py measures the answers and shows how the numbers below were chosen.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

WEIGHTS_S = 0.5  # standard deviation of the weights of the steps around the middle of a span
LEAST_CORRELATION = 0.3
LEAST_LEAD = 0.2  # of the largest correlation over the next one
_MOST_WEIGHTED = 3.0  # standard deviations
_SMOOTH_S = 0.06
_MOST_LAG_S = 0.08  # between sound and picture
_LEAST_SEEN = 0.6  # share of the weights
_FLOOR = 0.02  # of the loud steps of the film, below which loudness does not count
_PAUSE_BELOW = 0.05  # of the loud steps of the film


class MouthsAndSound(Protocol):
    """Mouths and sound of a film: `data_prep.mouth_motion.MouthsAndSound`."""

    @property
    def rate_hz(self) -> float: ...
    @property
    def level(self) -> np.ndarray: ...
    @property
    def motion(self) -> np.ndarray: ...


class SpeakerFinder:
    """Says who speaks when in a film.

    Args:
      found: mouths and sound of the film.
      weights_s, least_correlation, least_lead: as the constants of this module.
    """

    def __init__(
        self,
        found: MouthsAndSound,
        *,
        weights_s: float = WEIGHTS_S,
        least_correlation: float = LEAST_CORRELATION,
        least_lead: float = LEAST_LEAD,
    ):
        from scipy.ndimage import gaussian_filter1d  # late: most predictions need none of it

        self._rate_hz, self._level = found.rate_hz, found.level
        self._weights_s, self._least_correlation, self._least_lead = weights_s, least_correlation, least_lead
        self._loud = float(np.percentile(found.level, 95)) if len(found.level) else 0.0
        self._known = np.isfinite(found.motion)
        smooth = _SMOOTH_S * found.rate_hz
        self._loudness = gaussian_filter1d(np.log(found.level + max(_FLOOR * self._loud, 1e-6)).astype(np.float64), smooth)
        steps = np.arange(len(found.level))
        self._motion = np.zeros(found.motion.shape)
        for row, own, known in zip(self._motion, found.motion, self._known, strict=True):
            if known.any():
                row[:] = gaussian_filter1d(np.interp(steps, steps[known], own[known]).astype(np.float64), smooth)
        self._spread = [float(row[known].var()) if known.any() else 0.0 for row, known in zip(self._motion, self._known, strict=True)]

    def speaks(self, start_s: float, end_s: float) -> tuple[bool | None, ...]:
        """Return for each person whether they speak from start_s to end_s; None where that cannot be told.

        In a pause of the sound nobody speaks. Else the person with the largest correlation speaks and the others do not, where it is
        large enough and leads by enough; else it cannot be told of anybody. Nor can it be told of a person who is hardly seen.
        """
        num_people = len(self._motion)
        first, end = (round(time_s * self._rate_hz) for time_s in (start_s, end_s))
        level = self._level[first:end]
        if not len(level):
            return (None,) * num_people
        if level.max() <= _PAUSE_BELOW * self._loud:
            return (False,) * num_people
        correlations = self.correlations(start_s, end_s)
        seen = np.sort(correlations[np.isfinite(correlations)])[::-1]
        if not len(seen) or seen[0] < self._least_correlation or (len(seen) > 1 and seen[0] - seen[1] < self._least_lead):
            return (None,) * num_people
        return tuple(bool(one == seen[0]) if np.isfinite(one) else None for one in correlations)

    def correlations(self, start_s: float, end_s: float) -> np.ndarray:
        """Return the correlation of each mouth with the loudness around the middle of a span, (P,); NaN of people who are hardly seen.

        Steps have weights of a Gaussian. Motion that varies less there than in all of the film is measured by the latter, so that the
        mouth of a listener has a small correlation by whatever chance it moves. It is the largest over lags of up to 80 ms.
        """
        middle, width = (start_s + end_s) / 2 * self._rate_hz, max(self._weights_s, (end_s - start_s) / 2) * self._rate_hz
        most = round(_MOST_LAG_S * self._rate_hz)
        first = max(most, int(middle - _MOST_WEIGHTED * width))
        end = min(len(self._level) - most, int(middle + _MOST_WEIGHTED * width) + 1)
        if end <= first:
            return np.full(len(self._motion), np.nan)
        weights = np.exp(-0.5 * ((np.arange(first, end) - middle) / width) ** 2)
        loudness = self._loudness[first:end]
        found = np.full(len(self._motion), np.nan)
        for person, (motion, known) in enumerate(zip(self._motion, self._known, strict=True)):
            own = weights * known[first:end]
            if own.sum() < _LEAST_SEEN * weights.sum():
                continue
            shifted = (motion[first + lag : end + lag] for lag in range(-most, most + 1))
            found[person] = max(_correlation(one, loudness, own / own.sum(), self._spread[person]) for one in shifted)
        return found


def _correlation(motion: np.ndarray, loudness: np.ndarray, weights: np.ndarray, least_spread: float) -> float:
    motion, loudness = motion - weights @ motion, loudness - weights @ loudness
    spread = float(np.sqrt(max(weights @ motion**2, least_spread) * (weights @ loudness**2)))
    return float(weights @ (motion * loudness)) / spread if spread > 0 else 0.0
