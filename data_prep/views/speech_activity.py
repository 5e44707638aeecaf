"""Speech activity: the part of a recording with speech, by the share of energy in the speech band."""

from __future__ import annotations

import dataclasses

import numpy as np

_LEAST_POWER = 1e-10  # mean square of full scale: about what rounding to 16 bits leaves of silence, which has no bands to compare


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechActivity:
    """The detector of system B.

    The sound is cut into overlapping windows. The speech ratio of a window is its energy between min_hz and max_hz over its energy at
    all frequencies; where that is at least the threshold the window is active. The span of speech reaches from before_s ahead of the first
    active window to after_s behind the last one, pauses included.

    Choices where the paper is silent: all numbers; a Hamming window; the mean of each window is subtracted first, because an offset of
    the recorder is no sound; a window of no more than the noise of 16 bits is inactive whatever its ratio.

    Attributes:
      window_ms: length of the windows.
      hop_ms: distance of the windows.
      min_hz: lower edge of the speech band.
      max_hz: upper edge of the speech band.
      threshold: least speech ratio of an active window.
      before_s: margin ahead of the first active window, where faces form.
      after_s: margin behind the last active window, where faces relax.

    Source: B, section 3.1, equation 1.
    """

    window_ms: float = 25.0
    hop_ms: float = 10.0
    min_hz: float = 300.0
    max_hz: float = 3000.0
    threshold: float = 0.6
    before_s: float = 0.2
    after_s: float = 0.2

    def __post_init__(self):
        if not 0 <= self.min_hz < self.max_hz:
            raise ValueError(f"expected a speech band of 0 <= min_hz < max_hz, got {self.min_hz:g} and {self.max_hz:g}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is a share of energy: expected above 0 and at most 1, got {self.threshold:g}")
        if not (self.window_ms > 0 and self.hop_ms > 0 and self.before_s >= 0 and self.after_s >= 0):
            raise ValueError(f"expected windows and hops above 0 and no negative margins, got {self}")

    def ratios(self, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Return the speech ratio of each window that lies wholly inside.

        Args:
          samples: (S,) mono; fewer than a window are padded with zeros.

        Returns:
          (W,) float64 in [0, 1]; window i begins at i * hop_ms.
        """
        window, hop = self._window_and_hop(sample_rate_hz)
        samples = np.pad(samples, (0, max(0, window - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop].astype(np.float64)
        frames -= frames.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(frames * np.hamming(window))) ** 2
        frequencies_hz = np.fft.rfftfreq(window, 1 / sample_rate_hz)
        speech = power[:, (frequencies_hz >= self.min_hz) & (frequencies_hz <= self.max_hz)].sum(axis=1)
        is_audible = (frames**2).mean(axis=1) > _LEAST_POWER
        return np.divide(speech, power.sum(axis=1), out=np.zeros(len(frames)), where=is_audible)

    def span(self, samples: np.ndarray, sample_rate_hz: int) -> tuple[int, int] | None:
        """Return the first sample of the speech-active span and the one after its last, or None where no window is active."""
        active = np.flatnonzero(self.ratios(samples, sample_rate_hz) >= self.threshold)
        if len(active) == 0:
            return None
        window, hop = self._window_and_hop(sample_rate_hz)
        first = active[0] * hop - round(self.before_s * sample_rate_hz)
        end = active[-1] * hop + window + round(self.after_s * sample_rate_hz)
        return max(0, int(first)), min(len(samples), int(end))

    def _window_and_hop(self, sample_rate_hz: int) -> tuple[int, int]:
        return round(self.window_ms * sample_rate_hz / 1000), round(self.hop_ms * sample_rate_hz / 1000)
