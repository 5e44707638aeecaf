"""What formats of timelines need of a recording: the outline of its sound, and the film with what was predicted drawn into it.

Both are made in a worker process with limits of memory and time, as the views of new media are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data_prep.workers.lone_worker import LoneWorker
from data_prep.workers.pool import Crash

if TYPE_CHECKING:
    from data_prep.overlay import Hop, SeenPerson

_RATE_HZ, _PIECE_S = 8000, 10.0
_COLUMN_S = 0.01
_MOST_COLUMNS = 1200
_MEMORY_LIMIT_BYTES = 1 << 30  # an encoder of H.264 holds some forty frames


class SoundOutline(NamedTuple):
    """The outline of a sound: smallest and largest sample (N,) float32 of N columns of equal length, and its duration in s."""

    low: np.ndarray
    high: np.ndarray
    duration_s: float


NO_SOUND = SoundOutline(np.zeros(0, np.float32), np.zeros(0, np.float32), 0.0)


class TimelineMedia:
    """Reads recordings in a worker process; a context manager that ends it.

    Args:
      detector, detector_path: face detector of overlays, as the views of faces have it.
    """

    def __init__(self, detector: str = "haar", detector_path: str | None = None) -> None:
        self._worker = LoneWorker(_MEMORY_LIMIT_BYTES)
        self._detector, self._detector_path = detector, detector_path

    def __enter__(self) -> TimelineMedia:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def outline(self, file: str) -> SoundOutline:
        """Return the outline of the sound of a file, NO_SOUND where it has none that can be read."""
        found = self._worker.call(sound_outline, Path(file))
        return NO_SOUND if isinstance(found, Crash) else found

    def write_overlay(
        self, file: str, path: Path, hops: Sequence[Hop], colours: Mapping[str, str], other: str, people: Sequence[SeenPerson] = ()
    ) -> str:
        """Write the film with faces, labels and bars drawn into it; return why that was not possible, or ""."""
        from data_prep.overlay import OverlayTask, write_overlay  # late: brings OpenCV

        task = OverlayTask(Path(file), Path(path), tuple(hops), dict(colours), other, self._detector, self._detector_path, tuple(people))
        found = self._worker.call(write_overlay, task)
        return f"{Path(file).name}: {found.reason}" if isinstance(found, Crash) else found


def sound_outline(path: Path) -> SoundOutline:
    """Return the outline of the sound of a file in at most 1200 columns; of a damaged file, of what precedes the damage."""
    from data_prep.decoding.media import Findings, MediaError  # late: brings decoders, which only the worker needs
    from data_prep.decoding.sound import stream_audio

    lows: list[np.ndarray] = []
    highs: list[np.ndarray] = []
    column = round(_COLUMN_S * _RATE_HZ)
    num_samples = 0
    try:
        for piece in stream_audio(path, rate_hz=_RATE_HZ, segment_s=_PIECE_S, findings=Findings(keeps=True)):
            num_samples += len(piece)
            columns = np.pad(piece, (0, -len(piece) % column), mode="edge").reshape(-1, column)
            lows.append(columns.min(axis=1))
            highs.append(columns.max(axis=1))
    except MediaError:
        if not lows:
            return NO_SOUND
    if not num_samples:
        return NO_SOUND
    low, high = np.concatenate(lows), np.concatenate(highs)
    joined = -(-len(low) // _MOST_COLUMNS)
    padding = (0, -len(low) % joined)
    low = np.pad(low, padding, mode="edge").reshape(-1, joined).min(axis=1)
    high = np.pad(high, padding, mode="edge").reshape(-1, joined).max(axis=1)
    return SoundOutline(low, high, len(low) * joined * _COLUMN_S if joined > 1 else num_samples / _RATE_HZ)
