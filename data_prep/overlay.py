"""A film with what was predicted drawn into it: boxes around faces, the label, and a bar for each class; H.264 and AAC in MP4."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np

from data_prep.decoding.films import stream_frames
from data_prep.decoding.media import Findings, Frame, MediaError
from data_prep.decoding.sound import stream_audio
from data_prep.views.face_boxes import Box
from data_prep.views.face_detection import make_detector
from data_prep.views.face_tracks import LOOKS_PER_S, FaceTrack, FaceTracker
from data_prep.workers.pool import report_progress

_CLOCK = Fraction(1, 90_000)
_RATE_HZ, _SOUND_PIECE_S = 48_000, 1.0
_MOST_PX = 1280  # longer side of the film; larger ones are reduced
_LEAST_PX = 480  # smaller ones are enlarged, so that the words can be read
_LINE_SHARE = 0.045  # height of a line of text, as a share of the shorter side

_LEAST_LOOKS = 3  # that found a face until it is numbered, since a single one is often none

Hop = tuple[float, float, str, list[float]]  # start in s, end in s, label, probabilities or none
# Name, times of the looks that found the face, its boxes as shares of the picture, hops, hops of which the label is whether they speak.
SeenPerson = tuple[str, Sequence[float], Sequence[tuple[float, float, float, float]], Sequence[Hop], Sequence[Hop]]
_SPEAKS = "speaks"


@dataclasses.dataclass(frozen=True)
class OverlayTask:
    """One film to write.

    Attributes:
      file: the recording.
      path: of the MP4.
      hops: in order of time.
      colours: class name -> #rrggbb.
      other: colour of a label that is no class.
      detector, detector_path: face detector, as the views of faces have it.
      people: people whose faces were followed, each with own hops; none: faces are looked for five times a second and numbered.
    """

    file: Path
    path: Path
    hops: tuple[Hop, ...]
    colours: Mapping[str, str]
    other: str
    detector: str = "haar"
    detector_path: str | None = None
    people: tuple[SeenPerson, ...] = ()


def write_overlay(task: OverlayTask) -> str:
    """Write the film; return "" or, as a sentence, why it cannot be written. What precedes damage is written.

    The sound is mixed to one channel and lies on the time line of the picture.
    """
    frames = stream_frames(task.file, findings=Findings(keeps=True))
    try:
        first = next(frames, None)
    except MediaError as error:
        return error.detail
    if first is None:
        return f"{task.file.name} has no picture"
    sound = stream_audio(task.file, rate_hz=_RATE_HZ, segment_s=_SOUND_PIECE_S, findings=Findings(keeps=True))
    try:
        piece = next(sound, None)
    except MediaError:
        piece = None
    pieces = iter(()) if piece is None else itertools.chain([piece], sound)
    with av.open(str(task.path), "w", format="mp4") as container:
        picture = _Picture(container, task, first)
        track = None if piece is None else _Sound(container)
        sound_s = 0.0
        for frame in itertools.chain([first], _until_damage(frames)):
            while track is not None and sound_s <= frame.time_s and (piece := next(pieces, None)) is not None:
                track.write(piece)
                sound_s += _SOUND_PIECE_S
            picture.write(frame)
            report_progress()
        if track is not None:
            for piece in _until_damage(pieces):
                track.write(piece)
            track.close()
        picture.close()
    return ""


def _until_damage(content: Iterable[Any]) -> Iterator[Any]:
    try:
        yield from content
    except MediaError:
        return


class _Sound:
    """The sound of the film, (S,) float32 a piece."""

    def __init__(self, container: Any):
        self._container = container
        self._stream = container.add_stream("aac", rate=_RATE_HZ, layout="mono")
        self._written = 0

    def write(self, samples: np.ndarray) -> None:
        frame = av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE_HZ, self._written, Fraction(1, _RATE_HZ)
        self._written += len(samples)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))


class _Picture:
    """The pictures of the film."""

    def __init__(self, container: Any, task: OverlayTask, first: Frame):
        height, width = first.image.shape[:2]
        scale = min(_MOST_PX / max(height, width), max(1.0, _LEAST_PX / min(height, width)))
        self._size_px = (max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2))
        self._container, self._task = container, task
        self._faces = _FollowedFaces(task) if task.people else _FoundFaces(task)
        self._stream = container.add_stream(_film_codec(), rate=30)
        self._stream.width, self._stream.height = self._size_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _CLOCK
        self._stream.codec_context.thread_count = 1
        self._last = -1
        self._hops = _HopAt(task.hops)

    def write(self, frame: Frame) -> None:
        image = np.asarray(cv2.resize(frame.image, self._size_px, interpolation=cv2.INTER_AREA), np.uint8)
        hop = self._hops.at(frame.time_s)
        if hop is not None:
            draw(image, self._faces.at(frame.time_s, image), hop, self._task.colours, self._task.other)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        self._last = max(self._last + 1, round(frame.time_s / _CLOCK))
        picture.pts, picture.time_base = self._last, _CLOCK
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))


def _film_codec() -> str:
    """Return the encoder of H.264, or of MPEG-4 where the build of FFmpeg has none."""
    return next(name for name in ("libx264", "h264", "libopenh264", "mpeg4") if name in av.codecs_available)


class _HopAt:
    """The hop of a time, for times that only grow."""

    def __init__(self, hops: Sequence[Hop]):
        self._hops, self._place = hops, 0

    def at(self, time_s: float) -> Hop | None:
        """Return the last hop that has begun, or the first one; None where there is none."""
        while self._place + 1 < len(self._hops) and self._hops[self._place + 1][0] <= time_s:
            self._place += 1
        return self._hops[self._place] if self._hops else None


class ShownFace(NamedTuple):
    """A face with what is written above it: a number or name, and its own hop where the person was predicted by itself."""

    box: Box
    name: str = ""
    hop: Hop | None = None


class _FoundFaces:
    """Faces looked for in the film, and numbered in the order in which they appear."""

    def __init__(self, task: OverlayTask):
        self._detector = make_detector(task.detector, task.detector_path)
        self._tracker, self._searched_s = FaceTracker(), -1.0
        self._names: dict[int, str] = {}
        self._shown: list[ShownFace] = []

    def at(self, time_s: float, image: np.ndarray) -> list[ShownFace]:
        """Return the faces of the last look."""
        if time_s - self._searched_s >= 1 / LOOKS_PER_S:
            boxes, self._searched_s = list(self._detector.detect(image)), time_s
            numbers = self._tracker.update(time_s, boxes, image.shape[1], image.shape[0])
            for number in numbers:
                if len(self._tracker.tracks[number].times_s) >= _LEAST_LOOKS:
                    self._names.setdefault(number, f"{len(self._names) + 1}")
            self._shown = [ShownFace(box, self._names.get(number, "")) for box, number in zip(boxes, numbers, strict=True)]
        return self._shown


class _FollowedFaces:
    """Faces that were followed before, each person with own hops."""

    def __init__(self, task: OverlayTask):
        self._people = [
            (name, FaceTrack(list(times_s), list(boxes)), _HopAt(hops), _HopAt(speech))
            for name, times_s, boxes, hops, speech in task.people
        ]

    def at(self, time_s: float, image: np.ndarray) -> list[ShownFace]:
        """Return the faces at a time."""
        height, width = image.shape[:2]
        return [
            ShownFace(
                Box(box[0] * width, box[1] * height, box[2] * width, box[3] * height), _name(name, speech.at(time_s)), hops.at(time_s)
            )
            for name, track, hops, speech in self._people
            if (box := track.box_at(time_s)) is not None
        ]


def _name(name: str, speech: Hop | None) -> str:
    return f"{name} {_SPEAKS}" if speech is not None and speech[2] == _SPEAKS else name


def draw(image: np.ndarray, faces: Sequence[ShownFace], hop: Hop, colours: Mapping[str, str], other: str) -> None:
    """Draw boxes around faces, names and labels, and a bar a class at the lower left, into an image (H, W, 3) uint8.

    A face with a hop of its own has its label above it. Else the label of the picture stands above the only face, or in the corner, since
    it is not known whose it is.
    """
    _, _, label, probabilities = hop
    line_px = max(12, round(_LINE_SHARE * min(image.shape[:2])))
    thick_px = max(2, line_px // 10)
    have_own = any(face.hop is not None for face in faces)
    for box, name, own in faces:
        colour = _rgb(colours.get((own or hop)[2], other))
        left, top = round(box.x), round(box.y)
        cv2.rectangle(image, (left, top), (round(box.x + box.width), round(box.y + box.height)), colour, thick_px)
        above = (left, max(0, top - round(1.4 * line_px)))
        if own is not None:
            _put(image, f"{name}: {_label_text(own)}", above, line_px, colour)
        elif len(faces) > 1 and name:
            _put(image, name, above, line_px, colour)
    if not have_own:
        only = faces[0].box if len(faces) == 1 else None
        corner = (line_px // 2, line_px // 2) if only is None else (round(only.x), max(0, round(only.y) - round(1.4 * line_px)))
        _put(image, _label_text(hop), corner, line_px, _rgb(colours.get(label, other)))
    if not probabilities:
        return
    height_px = len(colours) * line_px + line_px // 2
    first_px = max(0, image.shape[0] - height_px - line_px // 2)
    width_px = min(image.shape[1], 11 * line_px)
    panel = image[first_px:, :width_px]
    panel[:] = panel // 3  # darker, so that words can be read on any picture
    for row, (name, value) in enumerate(zip(colours, probabilities, strict=True)):
        y = first_px + line_px // 3 + row * line_px
        _text(image, name, (line_px // 3, y + round(0.75 * line_px)), line_px, (255, 255, 255))
        start, end = round(5.5 * line_px), round(5.5 * line_px + value * (width_px - 6 * line_px))
        cv2.rectangle(image, (start, y + line_px // 6), (max(end, start + 1), y + round(0.8 * line_px)), _rgb(colours[name]), -1)


def _label_text(hop: Hop) -> str:
    return hop[2] if not hop[3] else f"{hop[2]} {max(hop[3]):.2f}"


def _put(image: np.ndarray, text: str, top_left: tuple[int, int], line_px: int, colour: tuple[int, int, int]) -> None:
    """Write text on a ground of its colour."""
    x, y = top_left
    width_px = round(0.5 * line_px * len(text)) + line_px // 2
    x = max(0, min(x, image.shape[1] - width_px))
    cv2.rectangle(image, (x, y), (x + width_px, y + round(1.3 * line_px)), colour, -1)
    _text(image, text, (x + line_px // 4, y + round(0.95 * line_px)), line_px, (255, 255, 255))


def _text(image: np.ndarray, text: str, origin: tuple[int, int], line_px: int, colour: tuple[int, int, int]) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV has no other letters
    cv2.putText(image, plain, origin, cv2.FONT_HERSHEY_SIMPLEX, line_px / 36, colour, max(1, line_px // 16), cv2.LINE_AA)


def _rgb(colour: str) -> tuple[int, int, int]:
    """Return "#rrggbb" as numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
