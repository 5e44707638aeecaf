"""Channels by their roles: the downmix to mono by the layout, and stereo in opposite phase."""

from __future__ import annotations

import functools

import av
import numpy as np

from data_prep.decoding.media import Findings

# Level of each role beside a centre channel, which carries the speech of films: ITU-R BS.775, as in FFmpeg. LFE is no part of a downmix.
_BESIDE_CENTRE = {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "DL": 0.5**0.5, "DR": 0.5**0.5}
_SURROUND = 0.5
_OPPOSITE = 0.05  # power of the mean below this share of the channels': 0.5 for unrelated channels, 1 for equal ones
_LEAST_POWER = 1e-8  # -80 dB


@functools.cache
def mono_weights(layout: str) -> tuple[np.ndarray, str | None]:
    """Return the weights (C,) float32 of a layout's channels in the downmix to mono, and a note where roles are guessed.

    Mono and stereo are averaged. With a centre channel, the centre keeps its level. Channels without roles are averaged, but six are read
    as 5.1, which is how such files are written.

    Args:
      layout: FFmpeg's name of it: "stereo", "5.1(side)", "6 channels" where the file does not say.
    """
    note = None
    roles = [channel.name for channel in av.AudioLayout(layout).channels]
    if layout == "6 channels":
        roles = [channel.name for channel in av.AudioLayout("5.1").channels]
        note = "six channels without roles are read as 5.1"
    elif layout.endswith(" channels") and len(roles) > 2:
        return np.full(len(roles), 1 / len(roles), np.float32), f"{len(roles)} channels without roles are averaged"
    if "FC" in roles and len(roles) > 1:
        weights = [_BESIDE_CENTRE.get(role, _SURROUND) for role in roles]
        return np.array(weights, np.float32), note or f"{layout} sound is mixed by its layout: the centre keeps its level"
    if len(roles) > 2:  # no centre: front at the level of stereo
        weights = [_BESIDE_CENTRE.get(role, _SURROUND) * 0.5**0.5 for role in roles]
        return np.array(weights, np.float32), note
    return np.full(len(roles), 1 / max(len(roles), 1), np.float32), note


class Downmix:
    """Mixes blocks of one file to mono, and finds stereo in opposite phase."""

    def __init__(self) -> None:
        self._power_of_mean = self._power = 0.0
        self._num_samples = 0

    def mono(self, block: np.ndarray, layout: str, findings: Findings) -> np.ndarray:
        """Return a block (C, S) float32 of that layout as (S,) float32."""
        weights, note = mono_weights(layout)
        if note:
            findings.note(note)
        if len(weights) != 2 or len(block) != 2 or weights[0] != weights[1]:
            return block[0] if len(block) == 1 else weights @ block
        mean = block.mean(axis=0)
        self._power_of_mean += float(np.square(mean, dtype=np.float64).sum())
        self._power += float(np.square(block, dtype=np.float64).sum()) / 2
        self._num_samples += len(mean)
        return mean

    def report(self, findings: Findings) -> None:
        """Add a note where the two channels cancel out."""
        if self._power > _LEAST_POWER * self._num_samples and self._power_of_mean < _OPPOSITE * self._power:
            loss_db = -10 * np.log10(max(self._power_of_mean / self._power, 1e-12))
            findings.note(
                f"the channels of its stereo sound are in opposite phase and cancel out: their mean is {loss_db:.0f} dB below them"
            )
