"""Mouths and sound on one time line: how much the mouth of each followed face moves, and how loud the sound is.

`avemo_jax.inference.speaking` compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, Frame, MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.views.face_tracks import FaceTrack
from data_prep.views.mouths import Mouths
from data_prep.workers.pool import report_progress

RATE_HZ = 25.0
_SAMPLE_RATE_HZ = 16000
_PIECE_S = 10.0
_FACE_PX = 64
_UPPER = (slice(8, 35), slice(8, 56))  # eyes and nose of a face of 64 px: what moves with the head, and not with the mouth
_MOUTH = (slice(round(Mouths.top * _FACE_PX), _FACE_PX), slice(round(Mouths.left * _FACE_PX), round(Mouths.right * _FACE_PX)))
_LEAST_STEP_S = 0.03  # pictures that follow faster are left out: too little moves between them
_MOST_STEP_S = 0.1  # motion over a longer gap is unknown


class MouthsAndSound(NamedTuple):
    """What is seen of the mouths and heard in a film, in N steps of 1 / `rate_hz`.

    Attributes:
      rate_hz: steps a second.
      level: (N,) float32, root mean square of the sound.
      motion: (P, N) float32, motion of the mouth of each of P people less that of the upper face, in grey levels; NaN where not seen.
    """

    rate_hz: float
    level: np.ndarray
    motion: np.ndarray


def mouths_and_sound(path: Path, tracks: Sequence[FaceTrack]) -> MouthsAndSound | None:
    """Return mouths and sound of a film; None where it has no sound. What precedes damage counts.

    Args:
      path: of the film.
      tracks: faces of P people.
    """
    level = _level(path)
    if not len(level):
        return None
    times_s, values = _motion(stream_frames(path, findings=Findings(keeps=True)), tracks)
    steps_s = np.arange(len(level)) / RATE_HZ
    motion = np.full((len(tracks), len(level)), np.nan, np.float32)
    for row, own in zip(motion, values.T, strict=True):
        known = np.flatnonzero(np.isfinite(own))
        if len(known):
            row[:] = np.interp(steps_s, times_s[known], own[known])
            after = np.clip(np.searchsorted(times_s[known], steps_s), 1, len(known) - 1) if len(known) > 1 else np.zeros(len(level), int)
            near_s = np.minimum(abs(times_s[known][after] - steps_s), abs(times_s[known][after - 1] - steps_s))
            row[near_s > _MOST_STEP_S] = np.nan
    return MouthsAndSound(RATE_HZ, level, motion)


def _level(path: Path) -> np.ndarray:
    """Return the level (N,) of the sound of a film; of no steps where it has none."""
    size = round(_SAMPLE_RATE_HZ / RATE_HZ)
    levels: list[np.ndarray] = [np.zeros(0, np.float32)]
    try:
        for piece in stream_audio(path, rate_hz=_SAMPLE_RATE_HZ, segment_s=_PIECE_S, findings=Findings(keeps=True)):
            levels.append(np.sqrt((np.pad(piece, (0, -len(piece) % size)).reshape(-1, size) ** 2).mean(axis=1)))
            report_progress()
    except MediaError:
        pass
    return np.concatenate(levels)


def _motion(frames: Iterable[Frame], tracks: Sequence[FaceTrack]) -> tuple[np.ndarray, np.ndarray]:
    """Return times (M,) of pictures in s, and the motion (M, P) of mouths up to them."""
    times_s: list[float] = []
    values: list[list[float]] = []
    before: list[np.ndarray | None] = [None] * len(tracks)
    for frame in _until_damage(frames):
        step_s = frame.time_s - times_s[-1] if times_s else np.inf
        if step_s < _LEAST_STEP_S:
            continue
        report_progress()
        boxes = [track.box_at(frame.time_s) for track in tracks]
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) if any(boxes) else None
        faces = [None if box is None or grey is None else _face(grey, box) for box in boxes]
        pairs = zip(before, faces, strict=True)
        values.append([np.nan if a is None or b is None or step_s > _MOST_STEP_S else _moved(a, b) for a, b in pairs])
        times_s.append(frame.time_s)
        before = faces
    return np.array(times_s), np.array(values).reshape(len(times_s), len(tracks))


def _until_damage(frames: Iterable[Frame]) -> Iterator[Frame]:
    try:
        yield from frames
    except MediaError:
        return


def _face(grey: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Return the box of a face, in shares of a picture, as (64, 64) float32."""
    height, width = grey.shape
    x, y, box_width, box_height = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    to_picture = np.array([[box_width / _FACE_PX, 0, x], [0, box_height / _FACE_PX, y]])
    found = cv2.warpAffine(grey, to_picture, (_FACE_PX, _FACE_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return found.astype(np.float32)


def _moved(before: np.ndarray, after: np.ndarray) -> float:
    change = np.abs(after - before)
    return float(change[_MOUTH].mean() - change[_UPPER].mean())
