"""Staging: one file a clip, complete when it has its name, so that an interrupted preparation resumes at the clip where it stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from avemo_jax.atomic import atomic_binary_file
from avemo_jax.clips import Clip
from avemo_jax.data.prepared import Damage, Example
from avemo_jax.degradation import Degradation
from avemo_jax.placeholders import placeholder
from data_prep.decoding.degrading import degraded
from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, Frame, MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.decoding.stills import ROW_OFFSET, is_still, stream_row, stream_still
from data_prep.views.segments import ViewSegment, media_of
from data_prep.workers.pool import report_progress

_log = logging.getLogger(__name__)
_ARRAYS = ("values", "mask", "times_s")
_REPORT = "report.json"
_LONGEST_NAME = 200  # file systems have 255 bytes, and a temporary name is longer
SILENT_BELOW = 1e-3  # -60 dB of full scale: under the room noise of any recording of speech
OUT_OF_MEMORY = Damage("undecodable", "decoding it and making its view takes more memory than a worker may have")


@dataclasses.dataclass(frozen=True)
class StagedClip:
    """The staged segments of one clip.

    Attributes:
      path: its .zip file: a member a segment with the bytes of its arrays one after another, and report.json with their types and shapes;
        np.savez takes longer, as it writes and parses a header for each array.
      clip_id: the clip.
      num_segments: number of segments, 0 where the clip is lost.
      num_bytes: of their values, uncompressed.
      damage: of the clip, or None.
    """

    path: Path
    clip_id: str
    num_segments: int
    num_bytes: int
    damage: Damage | None

    def examples(self, segments: Iterable[int] | None = None) -> Iterator[Example]:
        """Yield its segments, or those with the given numbers, one in memory at a time."""
        with zipfile.ZipFile(self.path) as archive:
            arrays = json.loads(archive.read(_REPORT))["arrays"]
            for segment in range(self.num_segments) if segments is None else segments:
                yield Example(self.clip_id, segment, *_from_bytes(archive.read(str(segment)), arrays[segment]))


def staged_path(directory: Path, clip_id: str) -> Path:
    """Return the file that a clip is staged in: its id, with characters that a file name cannot have as %XX, cut where it is too long."""
    name = quote(clip_id, safe=" ")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}-{hashlib.sha256(clip_id.encode()).hexdigest()}"
    return directory / f"{name}.zip"


def stage(path: Path, clip_id: str, segments: Iterable[ViewSegment], damage: Callable[[], Damage | None] = lambda: None) -> StagedClip:
    """Write a clip's segments as they come, and rename the file to its path when it is complete.

    The segments of a clip are never in memory together.

    Args:
      path: as `staged_path` gives it.
      clip_id: the clip.
      segments: of the clip; none where it is lost.
      damage: called after the last segment; returns the damage of the clip, or None.

    Raises:
      OSError: the file cannot be written (a full disk); nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: list[list[tuple[str, tuple[int, ...]]]] = []
    num_bytes = 0
    with atomic_binary_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for segment in segments:
            with archive.open(str(len(arrays)), "w", force_zip64=True) as member:
                arrays.append([_append(member, getattr(segment, name)) for name in _ARRAYS])
            num_bytes += segment.values.nbytes
            del segment  # before the next one is made
        found = damage()
        if found is None and not arrays:
            found = Damage("empty", "the view finds nothing in it")
        staged = StagedClip(path, clip_id, len(arrays), num_bytes, found)
        report = {"clip_id": clip_id, "num_segments": len(arrays), "num_bytes": num_bytes, "arrays": arrays}
        archive.writestr(_REPORT, json.dumps(report | {"damage": found and dataclasses.asdict(found)}))
    return staged


def _append(member: IO[bytes], values: np.ndarray) -> tuple[str, tuple[int, ...]]:
    """Write the bytes of an array; return its type and shape."""
    values = np.ascontiguousarray(values)
    member.write(values.data.cast("B") if values.size else b"")
    return values.dtype.str, values.shape


def _from_bytes(content: bytes, arrays: Iterable[tuple[str, Sequence[int]]]) -> Iterator[np.ndarray]:
    """Yield the arrays of those types and shapes that lie one after another in `content`."""
    start = 0
    for dtype, shape in arrays:
        values = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
        start += values.nbytes
        yield values


def stage_lost(path: Path, clip_id: str, damage: Damage) -> StagedClip:
    """Stage a clip without segments, with its damage."""
    return stage(path, clip_id, (), lambda: damage)


def read_staged(path: Path) -> StagedClip | None:
    """Return the staged clip of a file, or None where the file is absent or, with a warning, damaged: the clip is then staged again."""
    try:
        with zipfile.ZipFile(path) as archive:
            report = json.loads(archive.read(_REPORT))
            names = {_REPORT, *map(str, range(report["num_segments"]))}
            if damaged := archive.testzip() or names ^ set(archive.namelist()):
                raise ValueError(f"damaged: {damaged}")
        damage = report.pop("damage")
        if len(report.pop("arrays")) != report["num_segments"]:
            raise ValueError("its report does not fit")
        return StagedClip(path=path, damage=damage and Damage(**damage), **report)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except Exception as error:  # zipfile has a dozen types for damage
        _log.warning("%s is damaged or incomplete (%s); the clip is prepared again", path, error or type(error).__name__)
        return None


@dataclasses.dataclass(frozen=True)
class StageTask:
    """One clip for a worker process.

    Attributes:
      clip: its media are named relative to root.
      view: made of the clip.
      root: folder of the corpus.
      path: file to stage the view in.
      degradation: applied to the media first, or None.
    """

    clip: Clip
    view: Any
    root: Path
    path: Path
    degradation: Degradation | None = None


def stage_media(task: StageTask) -> StagedClip:
    """Decode a clip and stage its view; damage of its media is reported with it, every other error is raised."""
    clip_id = task.clip.clip_id
    monitor = QualityMonitor()
    try:
        return stage(task.path, clip_id, _reported(view_segments(task, monitor)), monitor.damage)
    except MediaError as error:
        return stage_lost(task.path, clip_id, _in_place_of_media(task) or Damage(error.kind, error.detail))
    except MemoryError:
        return stage_lost(task.path, clip_id, OUT_OF_MEMORY)


def _reported(segments: Iterable[ViewSegment]) -> Iterator[ViewSegment]:
    """Pass segments on and report each to the process that waits: its time limit is for one segment, not for a film of hours."""
    for segment in segments:
        report_progress()
        yield segment
        del segment  # before the next one is made


def _in_place_of_media(task: StageTask) -> Damage | None:
    """The damage of a clip with a pointer or a web page in place of a medium, which explains more than what a decoder says of it."""
    for name in dict.fromkeys(media_name(task.clip, medium) for medium in media_of(task.view)):
        if name is not None and (what := placeholder(task.root / name)):
            return Damage("missing", f"{Path(name).name} is {what}")
    return None


def media_name(clip: Clip, medium: str) -> str | None:
    """Return the name of a clip's file of "audio" or "video", or None where it has none."""
    name: str | None = getattr(clip, medium)
    return name


def view_segments(task: StageTask, monitor: QualityMonitor) -> Iterator[ViewSegment]:
    """Decode a clip's media and yield the segments of its view; `monitor` sees sound and segments pass by.

    Raises:
      MediaError: the clip lacks a medium or it cannot be decoded; some of it only where the damage is reached.
    """
    return monitor.segments(task.view.segments(*(_degraded(task, medium, _read(task, medium, monitor)) for medium in media_of(task.view))))


def _degraded(task: StageTask, medium: str, content: Iterator[Any]) -> Iterator[Any]:
    if task.degradation is None:
        return content
    rate_hz, segment_s = getattr(task.view, "sample_rate_hz", 0), getattr(task.view, "segment_s", 0.0)
    return degraded(task.degradation, medium, content, clip_id=task.clip.clip_id, rate_hz=rate_hz, segment_s=segment_s)


def _read(task: StageTask, medium: str, monitor: QualityMonitor) -> Iterator[Any]:
    """The clip's sound in pieces or its frames."""
    clip, view = task.clip, task.view
    name = media_name(clip, medium)
    if name is None:
        raise MediaError(f"no_{medium}", f"the corpus has no {medium} of this clip")
    if medium == "video":
        return clip_frames(task.root / name, clip, monitor.findings(medium))
    start_s, end_s = clip.audio_span_s
    span = {"start_s": start_s, "end_s": end_s, "segment_s": view.segment_s, "findings": monitor.findings(medium)}
    return monitor.audio(stream_audio(task.root / name, rate_hz=view.sample_rate_hz, **span))


def clip_frames(path: Path, clip: Clip, findings: Findings | None = None) -> Iterator[Frame]:
    """Yield the frames of a clip from a film, a picture file or a row of pixels; the content of a file decides which it is."""
    if (offset := clip.attributes.get(ROW_OFFSET)) is not None:
        return stream_row(path, int(offset))
    if is_still(path):
        return stream_still(path, region=clip.video_region)
    start_s, end_s = clip.video_span_s
    return stream_frames(path, start_s=start_s, end_s=end_s, region=clip.video_region, findings=findings)


class QualityMonitor:
    """Measures a clip while it streams by: whether it is silent, has no face or no speech.

    Wrap the sound in `audio` and the view's segments in `segments`, read them to the end, then ask for the `damage`.

    Args:
      keeps: let the decoders return what precedes damage, which `damage` returns then, in place of raising it.
    """

    def __init__(self, *, keeps: bool = False):
        self._keeps = keeps
        self._findings: dict[str, Findings] = {}
        self._peak: float | None = None  # None where no sound was decoded
        self._num_seen = 0
        self._num_with_face: int | None = None  # None where the view detects no faces
        self._has_speech: bool | None = None  # None where the view detects no speech

    def findings(self, medium: str) -> Findings:
        """Return what the decoder of a medium writes its findings to."""
        return self._findings.setdefault(medium, Findings(keeps=self._keeps))

    def audio(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Pass pieces of sound (S,) on and record their peak."""
        for samples in pieces:
            self._peak = max(self._peak or 0.0, float(np.abs(samples).max(initial=0.0)))
            yield samples

    def segments(self, segments: Iterable[ViewSegment]) -> Iterator[ViewSegment]:
        """Pass segments on and count their faces and speech."""
        for segment in segments:
            self._num_seen += segment.num_seen
            if segment.num_with_face is not None:
                self._num_with_face = (self._num_with_face or 0) + segment.num_with_face
            if segment.has_speech is not None:
                self._has_speech = bool(self._has_speech) or segment.has_speech
            yield segment
            del segment  # before the next one is made

    def damage(self) -> Damage | None:
        """Return the damage found, or None; the notes of the decoders stand behind it."""
        found = self._doubt()
        lost = next((one.damage for one in self._findings.values() if one.damage), None)
        if lost is not None:
            found = Damage(lost.kind, f"{lost.detail}; what precedes is used")
        notes = [note for one in self._findings.values() for note in one.notes]
        if not notes:
            return found
        kind, sentences = ("note", notes) if found is None else (found.kind, [found.detail, *notes])
        return Damage(kind, "; ".join(sentences))

    def _doubt(self) -> Damage | None:
        if self._num_with_face == 0:
            return Damage("no_face", f"no face in any of the {self._num_seen} frames searched")
        if self._peak is not None and self._peak < SILENT_BELOW:
            return Damage("silent", f"its loudest sample is {self._peak:g}, expected at least {SILENT_BELOW:g} of full scale")
        if self._has_speech is False:
            return Damage("no_speech", "no window of its sound holds speech, so all of it is used")
        return None
