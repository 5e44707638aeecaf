"""Measures of clips for `--mode=explore`: length, level, noise, clipping, faces, small pictures; decoded in limited processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avemo_jax.clip_measures import ClipMeasures
from avemo_jax.clips import Clip
from data_prep.decoding.containers import probe
from data_prep.decoding.frame_times import duration_s
from data_prep.decoding.media import Findings, MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.sets.staging import clip_frames
from data_prep.views.face_crops import crop_face
from data_prep.views.face_detection import make_detector
from data_prep.workers.pool import Crash, run_tasks

_PIECE_S = 30.0  # of sound in memory
_FRAME_S = 0.025
_FLOOR_DB = -100.0  # of digital silence
_FULL = 0.999  # of full scale; a clipped sample is at it
_SEARCH_EVERY_S, _MOST_SEARCHED = 1.0, 10
_PICTURE_PX = 96
_SHOWN_S, _ROWS, _TOP_HZ = 6.0, 96, 8000.0  # of a spectrogram
_RANGE_DB = 70.0


@dataclasses.dataclass(frozen=True)
class MeasureTask:
    """A clip for a worker process; with pictures where `shows`."""

    clip: Clip
    root: Path
    shows: bool


def measure_clips(clips: Sequence[Clip], root: Path, *, num_workers: int, shown: Collection[str] = ()) -> dict[str, ClipMeasures]:
    """Return clip id -> measures. A clip that ends its worker has its damage, and the others are measured.

    Args:
      clips: unique ids.
      root: folder that the clips' media paths are relative to.
      num_workers: processes.
      shown: ids of the clips of which pictures are made.
    """
    tasks = {clip.clip_id: MeasureTask(clip, Path(root), clip.clip_id in shown) for clip in clips}
    outcomes = run_tasks(measure, tasks, num_workers=num_workers, description="explore")
    return {name: ClipMeasures(damage=one.reason) if isinstance(one, Crash) else one for name, one in outcomes}


def measure(task: MeasureTask) -> ClipMeasures:
    """Decode a clip and measure it; damage of one medium leaves the measures of the other."""
    found: dict[str, Any] = {}
    damage: list[str] = []
    for name, measured in ((task.clip.audio, _sound), (task.clip.video, _film)):
        if name is None:
            continue
        findings = Findings(keeps=True)
        try:
            found |= measured(task, task.root / name, findings)
        except MediaError as error:
            damage.append(str(error))
        except MemoryError:
            damage.append(f"{name} takes more memory to decode than a worker may have")
        if findings.damage is not None:
            damage.append(f"{findings.damage}; what precedes is measured")
    return ClipMeasures(**found, damage="; ".join(dict.fromkeys(damage)))


def _sound(task: MeasureTask, path: Path, findings: Findings) -> Mapping[str, Any]:
    rate_hz = probe(path).audio_rate_hz or 16_000  # its own: clipping shows before resampling alone
    start_s, end_s = task.clip.audio_span_s
    pieces = stream_audio(path, rate_hz=rate_hz, start_s=start_s, end_s=end_s, segment_s=_PIECE_S, findings=findings)
    frame = max(round(_FRAME_S * rate_hz), 1)
    num_samples, energy, peak, num_clipped = 0, 0.0, 0.0, 0
    powers: list[np.ndarray] = []
    first: np.ndarray | None = None
    for samples in pieces:
        first = samples if first is None else first
        num_samples += len(samples)
        energy += float(np.square(samples, dtype=np.float64).sum())
        peak = max(peak, float(np.abs(samples).max(initial=0.0)))
        num_clipped += int((np.abs(samples) >= _FULL).sum())
        whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
        powers.append(np.square(whole, dtype=np.float64).mean(axis=1))
    levels_db = _db(np.concatenate(powers)) if powers else np.empty(0)
    low_db, high_db = np.percentile(levels_db, [10, 95]) if len(levels_db) else (0.0, 0.0)
    return {
        "sound_s": num_samples / rate_hz,
        "peak_db": float(_db(np.array(peak**2))),
        "level_db": float(_db(np.array(energy / max(num_samples, 1)))),
        "snr_db": float(high_db - low_db),
        "clipped_share": num_clipped / max(num_samples, 1),
        "spectrogram": _spectrogram(first, rate_hz) if task.shows and first is not None else b"",
    }


def _film(task: MeasureTask, path: Path, findings: Findings) -> Mapping[str, Any]:
    detector = make_detector("haar")
    times_s: list[float] = []
    widths: list[float] = []
    num_searched = 0
    size: tuple[int, ...] = ()
    picture: np.ndarray | None = None
    for frame in clip_frames(path, task.clip, findings):
        times_s.append(frame.time_s)
        if num_searched == _MOST_SEARCHED or frame.time_s < num_searched * _SEARCH_EVERY_S:
            continue
        num_searched += 1
        image = frame.image
        size = image.shape
        boxes = detector.detect(image)
        if boxes:
            widths.append(boxes[0].width)
        if task.shows and (picture is None or (boxes and len(widths) == 1)):  # the first frame, until the first face
            picture = crop_face(image, boxes[0], margin=0.3) if boxes else image
    times = np.array(times_s)
    length_s = duration_s(times) if len(times) > 1 else 0.0
    return {
        "film_s": length_s,
        "rate_fps": len(times) / length_s if length_s > 0 else None,
        "width_px": size[1] if size else None,
        "height_px": size[0] if size else None,
        "num_searched": num_searched,
        "num_with_face": len(widths),
        "face_px": float(np.median(widths)) if widths else None,
        "picture": b"" if picture is None else _jpeg(picture),
    }


def _db(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10)))


def _jpeg(image: np.ndarray) -> bytes:
    height, width = image.shape[:2]
    scale = min(1.0, _PICTURE_PX / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def _spectrogram(samples: np.ndarray, rate_hz: int) -> bytes:
    """Draw the first seconds of a sound as a PNG, a column each 10 ms, dark where there is power."""
    samples = samples[: round(_SHOWN_S * rate_hz)]
    window, hop = round(0.032 * rate_hz), round(0.01 * rate_hz)
    if len(samples) < window:
        return b""
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window)
    power_db = _db(np.square(np.abs(np.fft.rfft(frames))))
    top = max(round(_TOP_HZ * window / rate_hz), 1)
    shown = power_db[:, :top].T[::-1]  # high frequencies above; a lower rate has none up there
    missing = top - len(shown)
    shown = np.vstack([np.full((missing, shown.shape[1]), shown.min()), shown]) if missing > 0 else shown
    gray = 255 * np.clip((shown.max() - shown) / _RANGE_DB, 0, 1)
    image = cv2.resize(gray.astype(np.uint8), (shown.shape[1], _ROWS), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".png", image)[1])
