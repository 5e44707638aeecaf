"""What formats need of a recording itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

Hop = tuple[float, float, str, list[float]]
# Name, times in s of the looks that found the face, its boxes (x, y, width, height as shares of the picture), hops, and hops of which
# the label is whether they speak.
SeenPerson = tuple[str, Sequence[float], Sequence[tuple[float, float, float, float]], Sequence[Hop], Sequence[Hop]]


class Outline(Protocol):
    """The outline of a sound in N columns of equal length."""

    @property
    def low(self) -> np.ndarray:
        """Smallest sample of each column, (N,) float32 in [-1, 1]; N is 0 where there is no sound."""

    @property
    def high(self) -> np.ndarray:
        """Largest sample of each column, (N,)."""

    @property
    def duration_s(self) -> float:
        """Duration of the sound."""


class CannotShow(Exception):
    """A format cannot show a recording, for the reason of its message."""


class Media(Protocol):
    """Reads recordings: `data_prep.timeline_media.TimelineMedia`."""

    def outline(self, file: str) -> Outline:
        """Return the outline of the sound of a file, without columns where it has none that can be read."""

    def write_overlay(
        self, file: str, path: Path, hops: Sequence[Hop], colours: Mapping[str, str], other: str, people: Sequence[SeenPerson] = ()
    ) -> str:
        """Write the film of a recording with faces, labels and bars drawn into it; return why that was not possible, or "".

        Args:
          hops: (start in s, end in s, label, K probabilities or none).
          colours: K class names -> #rrggbb.
          other: colour of a label that is no class.
          people: people whose faces were followed, each with own hops; none: faces are looked for and numbered.
        """
