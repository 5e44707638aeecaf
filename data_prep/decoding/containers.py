"""Containers that FFmpeg reads, through PyAV: opened, probed, sought and decoded, with every sign of damage raised as a MediaError.

Damage is looked for, because FFmpeg conceals errors unless asked to report them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from data_prep.decoding.media import LARGEST_PIXELS, MediaError, num_bytes_of

_PYAV_ERRORS = (av.FFmpegError, LookupError, ValueError, ArithmeticError)  # PyAV itself fails on some damage before FFmpeg
_SEEK_FROM_S = 10.0  # up to here decoding from the beginning is cheap enough to avoid the risks of a seek
_PREROLL_S = 2.0  # decoded before the start after a seek, so that codecs with memory have settled
TOLERANCE_S = 0.5  # by which a stream may end before its header promises: sound and picture of a file rarely end together


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """Contents of the header of a media file; None where it has no entry."""

    duration_s: float | None
    has_audio: bool
    has_video: bool
    audio_rate_hz: int | None
    frame_rate_fps: float | None
    width_px: int | None
    height_px: int | None


@dataclasses.dataclass
class Header:
    """Header of the stream being decoded; filled in once the file is open."""

    duration_s: float | None = None
    num_frames: int = 0
    interval_s: float = 0.0


def probe(path: Path) -> MediaInfo:
    """Return the header of a media file, without decoding.

    Raises:
      MediaError: missing, empty or undecodable.
    """
    with _opened(path) as container:
        audio, video = _first_stream(container, "audio"), _first_stream(container, "video")
        return MediaInfo(
            duration_s=None if container.duration is None else container.duration / av.time_base,
            has_audio=audio is not None,
            has_video=video is not None,
            audio_rate_hz=audio.rate if audio else None,
            frame_rate_fps=_frame_rate_fps(video) if video else None,
            width_px=video.width if video else None,
            height_px=video.height if video else None,
        )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    num_bytes_of(path)
    try:
        # "file:" because a name may contain a colon; the whitelist because a playlist disguised as a clip must not reach the network
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except _PYAV_ERRORS as error:
        raise MediaError("undecodable", f"{path.name} is no media file that FFmpeg knows ({_reason(error)})") from error
    with container:
        if not container.streams:
            raise MediaError("undecodable", f"{path.name} holds no streams: its index is lost")
        yield container


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _first_stream(container: av.container.InputContainer, kind: str):
    """First stream of that kind, passing over the cover pictures of music files."""
    streams = container.streams.video if kind == "video" else container.streams.audio
    return next((stream for stream in streams if not stream.disposition & av.stream.Disposition.attached_pic), None)


def _frame_rate_fps(stream) -> float | None:
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate else None


def _fill_header(header: Header, container: av.container.InputContainer, stream) -> None:
    durations = [container.duration / av.time_base] if container.duration else []
    if stream.duration:
        durations.append(float(stream.duration * stream.time_base))
    elif tag := stream.metadata.get("DURATION"):  # Matroska: "00:01:02.5"
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        durations.append((hours * 60 + minutes) * 60 + seconds)
    header.duration_s = min(durations, default=None)  # an edit list makes the container shorter than its stream
    header.num_frames = stream.frames
    header.interval_s = 1 / (_frame_rate_fps(stream) or 25.0) if stream.type == "video" else 0.0


def decoded_from(path: Path, kind: str, start_s: float, header: Header) -> Iterator[tuple[float, Any]]:
    """Yield (time in s from the start of the file, frame) from some frame that lies before start_s on; and fill the header in."""
    for seeks in (True, False) if start_s > _SEEK_FROM_S else (False,):
        with _opened(path) as container:
            stream = _first_stream(container, kind)
            if stream is None:
                raise MediaError(f"no_{kind}", f"{path.name} has no {kind} stream")
            _fill_header(header, container, stream)
            frames = _timed(_decoded(container, stream, path), container, header.interval_s)
            if seeks:
                try:
                    container.seek(int((start_s - _PREROLL_S) * av.time_base) + (container.start_time or 0))
                    passed = next(frames)
                    while passed[0] < start_s - _PREROLL_S / 2:
                        passed = next(frames)
                    if passed[0] > start_s:
                        continue
                except (MediaError, StopIteration, *_PYAV_ERRORS):
                    continue  # some files cannot be entered in the middle: read from the beginning before reporting damage
                yield passed
            yield from frames
            return


def _decoded(container: av.container.InputContainer, stream, path: Path) -> Iterator[Any]:
    """Yield the stream's frames; any error of the decoder ends it."""
    context = stream.codec_context
    context.options = {"err_detect": "explode"}
    context.thread_count = 1  # workers already share the cores
    if stream.type == "video" and (context.width or 0) * (context.height or 0) > LARGEST_PIXELS:
        raise MediaError("undecodable", f"{path.name}: an implausible picture of {context.width} x {context.height}")
    packets = container.demux()  # of all streams: where a file is truncated, the incomplete packet may be of another stream
    ends_in_packet = False
    try:
        for packet in packets:
            if packet.size:
                ends_in_packet = packet.is_corrupt
            if packet.stream is not stream:
                continue
            frame: Any
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise MediaError("undecodable", f"{path.name}: the decoder reports a corrupt frame at {frame.time} s")
                yield frame
    except _PYAV_ERRORS as error:
        kind = "undecodable" if _has_more(packets, stream) else "truncated"
        raise MediaError(kind, f"{path.name}: decoding the {stream.type} stopped with: {_reason(error)}") from error
    if ends_in_packet:
        raise MediaError("truncated", f"{path.name}: the file ends in the middle of a packet")


def _has_more(packets: Iterator[av.Packet], stream) -> bool:
    """Whether anything of the stream follows; damage in its very last packet is how a truncated file ends."""
    try:
        return any(packet.size for packet in packets if packet.stream is stream)
    except _PYAV_ERRORS:
        return False


def _timed(frames: Iterator[Any], container, interval_s: float) -> Iterator[tuple[float, Any]]:
    """Add each frame's time from the start of the file; where time stamps are absent or run backwards, count on from the last."""
    origin_s = (container.start_time or 0) / av.time_base
    last_s = -math.inf
    for frame in frames:
        time_s = None if frame.time is None else frame.time - origin_s
        if time_s is None or time_s <= last_s:
            time_s = max(last_s, -interval_s) + interval_s
        last_s = time_s
        yield time_s, frame
