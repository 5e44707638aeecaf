"""Degradations of test media, the conditions of the robustness panel: noise, codec, occlusion, lost frames, missing streams."""

from __future__ import annotations

import dataclasses
import math

# Kind -> degraded medium, unit of the amount, range of the amount, description.
KINDS: dict[str, tuple[str, str, tuple[float, float], str]] = {
    "noise": ("audio", "dB", (-20.0, 60.0), "white noise is added at this signal-to-noise ratio"),
    "codec": ("audio", "kbit/s", (6.0, 128.0), "the sound is encoded with Opus at this rate and decoded"),
    "occlusion": ("video", "share", (0.0, 0.9), "a grey rectangle hides this share of the picture, at one place a clip"),
    "frame_drop": ("video", "share", (0.0, 0.95), "this share of the frames is replaced by the frame before"),
}
MISSING = "missing"
EACH_STREAM = "*"  # missing:* means each stream of the system in turn


@dataclasses.dataclass(frozen=True)
class Degradation:
    """One condition of the panel.

    Attributes:
      kind: key of KINDS, or "missing".
      amount: in the kind's unit; 0 of "missing".
      stream: the stream that is missing; "" for all other kinds.
    """

    kind: str
    amount: float = 0.0
    stream: str = ""

    @property
    def modality(self) -> str:
        """Return the degraded medium, or the missing stream."""
        return self.stream or KINDS[self.kind][0]

    @property
    def text(self) -> str:
        """Return the condition in the form of the config, e.g. "noise:10"."""
        return f"{self.kind}:{self.stream or f'{self.amount:g}'}"

    def __str__(self) -> str:
        """Return the condition in the form of tables, e.g. "noise 10 dB"."""
        return f"no {self.stream}" if self.kind == MISSING else f"{self.kind.replace('_', ' ')} {self.amount:g} {KINDS[self.kind][1]}"


def parse_degradation(text: str) -> Degradation:
    """Return the condition in a text such as "noise:10", "missing:video" or "missing:*".

    Raises:
      ValueError: the kind is unknown, or the amount is outside its range; the message states what is expected.
    """
    kind, _, value = (part.strip() for part in text.partition(":"))
    if kind == MISSING and value:
        return Degradation(kind, stream=value)
    known = ", ".join(f"{name}:{unit.upper()}" for name, (_, unit, _, _) in KINDS.items())
    if kind not in KINDS:
        raise ValueError(f"robustness.conditions holds {text!r}; expected one of {known} or {MISSING}:STREAM")
    low, high = KINDS[kind][2]
    try:
        amount = float(value)
    except ValueError:
        amount = math.nan
    if not low <= amount <= high:
        raise ValueError(
            f"robustness.conditions holds {text!r}; expected the amount of {kind} in {KINDS[kind][1]}, from {low:g} to {high:g}"
        )
    return Degradation(kind, amount)
