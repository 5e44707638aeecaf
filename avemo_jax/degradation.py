"""What can happen to a recording between the studio and the use of a system: the vocabulary of the robustness panel."""

from __future__ import annotations

import dataclasses
import math

# Kind -> the medium that it concerns, the unit of its amount, the range of the amount, and what it does.
KINDS: dict[str, tuple[str, str, tuple[float, float], str]] = {
    "noise": ("audio", "dB", (-20.0, 60.0), "white noise is added at this signal-to-noise ratio"),
    "codec": ("audio", "kbit/s", (6.0, 128.0), "the sound goes through Opus at this rate and back"),
    "occlusion": ("video", "share", (0.0, 0.9), "a grey rectangle hides this share of the picture, at one place a clip"),
    "frame_drop": ("video", "share", (0.0, 0.95), "this share of the frames is lost, and the frame before stays"),
}
MISSING = "missing"
EACH_STREAM = "*"  # missing:* stands for each stream of the system in turn


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
        """The medium, or the stream, that it concerns."""
        return self.stream or KINDS[self.kind][0]

    @property
    def text(self) -> str:
        """As configs write it."""
        return f"{self.kind}:{self.stream or f'{self.amount:g}'}"

    def __str__(self) -> str:
        """As tables show it."""
        return f"no {self.stream}" if self.kind == MISSING else f"{self.kind.replace('_', ' ')} {self.amount:g} {KINDS[self.kind][1]}"


def parse_degradation(text: str) -> Degradation:
    """Parse "noise:10", "missing:video" or "missing:*".

    Raises:
      ValueError: no such kind, or an amount outside its range; the message lists what there is.
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
        raise ValueError(f"robustness.conditions holds {text!r}; the amount of {kind} is in {KINDS[kind][1]}, from {low:g} to {high:g}")
    return Degradation(kind, amount)
