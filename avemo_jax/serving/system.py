"""What the page needs of a trained system."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from avemo_jax.inference.recording import RecordingPrediction
from avemo_jax.inference.stream import PredictionStream


class System(Protocol):
    """A trained system that several threads use: `avemo_jax.model.Model`."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def rule(self) -> str:
        """How the probabilities of segments are combined, see `clip_probabilities`."""

    @property
    def trained_on(self) -> str: ...
    @property
    def media(self) -> frozenset[str]:
        """What it is made from: "audio", "video"."""

    @property
    def attended(self) -> tuple[str, ...]:
        """Streams over which it has attention over time."""

    @property
    def window_s(self) -> float | None:
        """Length of windows; None where it predicts segments as in training, and so cannot follow a recording."""

    @property
    def hop_s(self) -> float: ...

    def reader(self) -> AbstractContextManager[Any]:
        """Return a decoding process for one thread."""

    def predict_file(self, file: str, reader: Any, report: Callable[[float], None]) -> RecordingPrediction:
        """Predict a file; `report` gets the end of each segment in s, and ends the prediction with what it raises."""

    def stream(self, rate_hz: int | None = None, *, pictures: bool = False) -> PredictionStream: ...
