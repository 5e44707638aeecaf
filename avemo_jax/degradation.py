"""Degradations of media: noise, codec, speed, occlusion, lost frames, missing streams.

They are conditions of the robustness panel, where test clips are degraded, and copies of training clips (`config.train.copies`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

# Kind -> degraded medium, unit of the amount, range of the amount, description.
KINDS: dict[str, tuple[str, str, tuple[float, float], str]] = {
    "noise": ("audio", "dB", (-20.0, 60.0), "white noise is added at this signal-to-noise ratio"),
    "codec": ("audio", "kbit/s", (6.0, 128.0), "the sound is encoded with Opus at this rate and decoded"),
    "speed": ("audio", "times", (0.5, 2.0), "the sound is this many times as fast, and its pitch as high"),
    "occlusion": ("video", "share", (0.0, 0.9), "a grey rectangle hides this share of the picture, at one place a clip"),
    "frame_drop": ("video", "share", (0.0, 0.95), "this share of the frames is replaced by the frame before"),
}
MISSING = "missing"
EACH_STREAM = "*"  # missing:* means each stream of the system in turn


@dataclasses.dataclass(frozen=True)
class Degradation:
    """One degradation.

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


def parse_degradation(text: str, field: str = "robustness.conditions") -> Degradation:
    """Return the condition in a text such as "noise:10", "missing:video" or "missing:*".

    Args:
      field: the field of the config that holds the text, for messages.

    Raises:
      ValueError: the kind is unknown, or the amount is outside its range; the message states what is expected.
    """
    kind, _, value = (part.strip() for part in text.partition(":"))
    if kind == MISSING and value:
        return Degradation(kind, stream=value)
    known = ", ".join(f"{name}:{unit.upper()}" for name, (_, unit, _, _) in KINDS.items())
    if kind not in KINDS:
        raise ValueError(f"{field} holds {text!r}; expected one of {known} or {MISSING}:STREAM")
    low, high = KINDS[kind][2]
    try:
        amount = float(value)
    except ValueError:
        amount = math.nan
    if not low <= amount <= high:
        raise ValueError(f"{field} holds {text!r}; expected the amount of {kind} in {KINDS[kind][1]}, from {low:g} to {high:g}")
    return Degradation(kind, amount)


def parse_copies(texts: Sequence[str]) -> tuple[Degradation, ...]:
    """Return the degradations of `config.train.copies`.

    Raises:
      ValueError: one is unknown, out of range, or a missing stream, or one stands twice.
    """
    copies = tuple(parse_degradation(text, "train.copies") for text in texts)
    if missing := [one for one in copies if one.kind == MISSING]:
        raise ValueError(f"train.copies holds {missing[0].text!r}; for training without a stream set --config.train.stream_dropout_rate")
    if len(set(copies)) < len(copies):
        raise ValueError(f"train.copies must name no copy twice, got {', '.join(texts)}")
    return copies
