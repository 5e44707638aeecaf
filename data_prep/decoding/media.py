"""Decoding: media files to samples and frames, streamed, with every doubt about the file raised as a MediaError.

Sound in WAV, FLAC and AIFF is read with libsndfile, everything else with FFmpeg through PyAV. Memory stays bounded however long
the file is. Damage is looked for, because decoders pass over it in silence: FFmpeg conceals errors unless told to explode, and
libsndfile shortens a truncated WAV without a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr
from av.video.reformatter import VideoReformatter

from avemo_jax.allocator import map_large_arrays
from avemo_jax.clips import REGIONS
from avemo_jax.data.prepared import LOST_KINDS

_PYAV_ERRORS = (av.FFmpegError, LookupError, ValueError, ArithmeticError)  # PyAV trips over some damage before FFmpeg sees it
_SOUNDFILE_SUFFIXES = (".wav", ".flac", ".aif", ".aiff")
_BLOCK_SAMPLES = 1 << 16
_RATE_RANGE_HZ = (4_000, 384_000)  # anything else is a damaged header
_LARGEST_SAMPLE = 8.0  # float files may pass 1 a little; integers stored as floats pass it by far
LARGEST_PIXELS = 7680 * 4320
_TOLERANCE_S = 0.5  # by which a stream may end before the header says: sound and picture of a file rarely end together
_FEWEST_FRAMES = 0.9  # of the header's count; AVI counts dropped frames too
_SEEK_FROM_S = 10.0  # up to here decoding from the beginning costs less than a seek can go wrong
_PREROLL_S = 2.0  # decoded before the start after a seek, so that codecs with memory have settled


class MediaError(Exception):
    """A media file that gives no example.

    Attributes:
      kind: one of LOST_KINDS.
      detail: a sentence for people.
    """

    def __init__(self, kind: str, detail: str):
        assert kind in LOST_KINDS, kind
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What the header of a media file says; None where it says nothing."""

    duration_s: float | None
    has_audio: bool
    has_video: bool
    audio_rate_hz: int | None
    frame_rate_fps: float | None
    width_px: int | None
    height_px: int | None


class Frame:
    """One picture.

    Attributes:
      time_s: from the start of the clip.
      image: (H, W, 3) uint8 RGB; one given as a function is made when it is first looked at, since views pass over most frames of a film.
    """

    def __init__(self, time_s: float, image: np.ndarray | Callable[[], np.ndarray]):
        self.time_s = time_s
        self._image = image

    @functools.cached_property
    def image(self) -> np.ndarray:
        image = self._image() if callable(self._image) else self._image
        del self._image  # the decoder's own picture takes half as much again, and some views hold many frames
        return image


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes as 64 hex digits.

    Raises:
      MediaError: missing.
    """
    _check_there(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def probe(path: Path) -> MediaInfo:
    """Read what the header says, without decoding.

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


def stream_audio(
    path: Path, *, rate_hz: int, start_s: float | None = None, end_s: float | None = None, segment_s: float | None = None
) -> Iterator[np.ndarray]:
    """Yield the sound from start_s to end_s as consecutive pieces of segment_s; joined, they are what segment_s=None gives.

    Args:
      path: any media file with sound.
      rate_hz: to resample to, with the band limits of soxr's HQ setting.
      start_s, end_s: span within the file; None: from the beginning, to the end.
      segment_s: length of the pieces; the last one may be shorter. None: all in one piece.

    Yields:
      (S,) float32, mono (channels averaged), nominally in [-1, 1].

    Raises:
      MediaError: missing, empty, no_audio; undecodable (also: NaN, values far outside [-1, 1], an implausible rate); truncated
        (less sound than the header says, or than the span needs).
    """
    read = _soundfile_blocks if path.suffix.lower() in _SOUNDFILE_SUFFIXES else _pyav_blocks
    blocks = _resampled(_checked(read(path, start_s, end_s), path), rate_hz)
    yield from _cut(blocks, None if segment_s is None else round(segment_s * rate_hz))


def stream_frames(path: Path, *, start_s: float | None = None, end_s: float | None = None, region: str = "full") -> Iterator[Frame]:
    """Yield the pictures with start_s <= time < end_s in order of time.

    Args:
      path: any media file with a picture.
      start_s, end_s: span within the file; None: from the beginning, to the end. A start deep inside is reached by seeking.
      region: "full", or the "left" or "right" half of the picture.

    Yields:
      Frame with its time from start_s.

    Raises:
      MediaError: missing, empty, no_video, undecodable; truncated (fewer frames or less time than the header says, or than the span
        needs).
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {REGIONS}, got {region!r}")
    map_large_arrays()
    origin_s, header = start_s or 0.0, _Header()
    num_frames, reached_s = 0, 0.0
    to_rgb = VideoReformatter()  # one a film: each frame's own would be set up anew, which takes longer than the conversion
    for time_s, frame in _decoded_from(path, "video", origin_s, header):
        if end_s is not None and time_s >= end_s - 1e-6:
            return
        reached_s = time_s + header.interval_s
        if time_s >= origin_s - 1e-6:
            num_frames += 1
            yield Frame(max(time_s - origin_s, 0.0), functools.partial(_picture, frame, region, to_rgb))
    expected_s = header.duration_s if end_s is None else end_s
    if expected_s is not None and reached_s < expected_s - _TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the picture ends at {reached_s:.2f} s, expected {expected_s:.2f} s")
    if num_frames == 0:
        raise MediaError("empty", f"{path.name} holds no picture")
    if start_s is None and end_s is None and num_frames < _FEWEST_FRAMES * header.num_frames:
        raise MediaError("truncated", f"{path.name}: the header says {header.num_frames} frames, {num_frames} were decoded")


@dataclasses.dataclass
class _Header:
    """What the header promises of the stream being decoded; filled in once the file is open."""

    duration_s: float | None = None
    num_frames: int = 0
    interval_s: float = 0.0


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise MediaError("missing", f"there is no file {path}")


def _num_bytes(path: Path) -> int:
    """Size of the file; raise where there is none or nothing in it."""
    _check_there(path)
    if (num_bytes := path.stat().st_size) == 0:
        raise MediaError("empty", f"{path.name} has no bytes")
    return num_bytes


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    _num_bytes(path)
    try:
        # "file:" because a name may hold a colon; the whitelist because a playlist posing as a clip must not reach the network
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


def _fill_header(header: _Header, container: av.container.InputContainer, stream) -> None:
    durations = [container.duration / av.time_base] if container.duration else []
    if stream.duration:
        durations.append(float(stream.duration * stream.time_base))
    elif tag := stream.metadata.get("DURATION"):  # Matroska: "00:01:02.5"
        hours, minutes, seconds = (float(part) for part in tag.split(":"))
        durations.append((hours * 60 + minutes) * 60 + seconds)
    header.duration_s = min(durations, default=None)  # an edit list makes the container shorter than its stream
    header.num_frames = stream.frames
    header.interval_s = 1 / (_frame_rate_fps(stream) or 25.0) if stream.type == "video" else 0.0


def _decoded_from(path: Path, kind: str, start_s: float, header: _Header) -> Iterator[tuple[float, Any]]:
    """Yield (time in s from the start of the file, frame) from some frame that lies before start_s on; fills the header in."""
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
                    continue  # some files can't be entered in the middle; read from the beginning before calling them damaged
                yield passed
            yield from frames
            return


def _decoded(container: av.container.InputContainer, stream, path: Path) -> Iterator[Any]:
    """Yield the stream's frames; any error that the decoder notices ends it."""
    context = stream.codec_context
    context.options = {"err_detect": "explode"}
    context.thread_count = 1  # workers share the cores already
    if stream.type == "video" and (context.width or 0) * (context.height or 0) > LARGEST_PIXELS:
        raise MediaError("undecodable", f"{path.name}: an implausible picture of {context.width} x {context.height}")
    packets = container.demux()  # of all streams: where a file is cut, the torn packet may be another stream's
    ends_torn = False
    try:
        for packet in packets:
            if packet.size:
                ends_torn = packet.is_corrupt
            if packet.stream is not stream:
                continue
            frame: Any
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise MediaError("undecodable", f"{path.name}: the decoder calls the frame at {frame.time} s corrupt")
                yield frame
    except _PYAV_ERRORS as error:
        kind = "undecodable" if _has_more(packets, stream) else "truncated"
        raise MediaError(kind, f"{path.name}: decoding the {stream.type} stopped with: {_reason(error)}") from error
    if ends_torn:
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


def _picture(frame: av.VideoFrame, region: str, to_rgb: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright, of the region."""
    image = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()  # workers share the cores already
    if frame.rotation:
        image = np.rot90(image, frame.rotation // 90)
    return region_of(image, region)


def region_of(image: np.ndarray, region: str) -> np.ndarray:
    """Cut the region, one of REGIONS, out of an image (H, W, C)."""
    half = image.shape[1] // 2
    return np.ascontiguousarray({"full": image, "left": image[:, :half], "right": image[:, half:]}[region])


_Blocks = Iterator[tuple[int, np.ndarray]]  # (rate in Hz, (S,) float32 mono)


def _soundfile_blocks(path: Path, start_s: float | None, end_s: float | None) -> _Blocks:
    num_bytes = _num_bytes(path)
    with path.open("rb") as raw:
        try:
            with soundfile.SoundFile(raw.fileno(), closefd=False) as sound:
                declared_bytes = _declared_bytes(path)
                if declared_bytes is not None and declared_bytes > num_bytes:
                    raise MediaError("truncated", f"{path.name}: the header says {declared_bytes} bytes, the file has {num_bytes}")
                rate_hz = _plausible_rate_hz(sound.samplerate, path)
                start, end = round((start_s or 0.0) * rate_hz), sound.frames if end_s is None else round(end_s * rate_hz)
                if max(start, end - _TOLERANCE_S * rate_hz) > sound.frames:
                    raise MediaError(
                        "truncated", f"{path.name}: the span ends at {end / rate_hz:.2f} s, the file at {sound.frames / rate_hz:.2f} s"
                    )
                sound.seek(start)
                left = min(end, sound.frames) - start
                while left > 0:
                    block = sound.read(min(left, _BLOCK_SAMPLES), dtype="float32", always_2d=True)
                    if len(block) == 0:
                        raise MediaError("truncated", f"{path.name}: the sound ends {left / rate_hz:.2f} s before the header says")
                    left -= len(block)
                    yield rate_hz, block.mean(axis=1)
        except soundfile.LibsndfileError as error:
            kind = "truncated" if os.lseek(raw.fileno(), 0, os.SEEK_CUR) >= num_bytes else "undecodable"
            raise MediaError(kind, f"{path.name}: {error.error_string}") from error


def _declared_bytes(path: Path) -> int | None:
    """Where a WAV's or AIFF's header says that the samples end, in bytes from the start of the file; None where it does not say."""
    with path.open("rb") as stream:
        order = {b"RIFF": "little", b"FORM": "big"}.get(stream.read(12)[:4])
        while order is not None and len(head := stream.read(8)) == 8:
            num_bytes = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
            if head[:4] in (b"data", b"SSND"):
                return None if num_bytes >= 0x7FFFFF00 else stream.tell() + num_bytes  # what a recorder to a pipe writes: unknown
            stream.seek(num_bytes + num_bytes % 2, 1)
    return None


def _pyav_blocks(path: Path, start_s: float | None, end_s: float | None) -> _Blocks:
    header = _Header()
    to_float = av.AudioResampler(format="fltp")
    rate_hz, num_channels, position = 0, 0, 0
    held = av.AudioFifo()  # a frame is 20 ms of sound or so: too short to be worth a call of NumPy's each
    for time_s, frame in _decoded_from(path, "audio", start_s or 0.0, header):
        if rate_hz == 0:
            rate_hz = _plausible_rate_hz(frame.sample_rate, path)
            position = round(time_s * rate_hz)  # from here on samples are counted, because some containers round time stamps to ms
        if frame.sample_rate != rate_hz:
            raise MediaError("undecodable", f"{path.name}: the rate changes from {rate_hz} to {frame.sample_rate} Hz")
        for part in to_float.resample(frame):
            if held.samples >= _BLOCK_SAMPLES or part.layout.nb_channels != num_channels:  # a broadcast may change its channels
                position += held.samples
                yield from _ending_at(position, held, rate_hz, start_s, end_s)
                held, num_channels = av.AudioFifo(), part.layout.nb_channels
            part.pts = None
            held.write(part)
        if end_s is not None and position + held.samples >= round(end_s * rate_hz):
            yield from _ending_at(position + held.samples, held, rate_hz, start_s, end_s)
            return
    position += held.samples
    yield from _ending_at(position, held, rate_hz, start_s, end_s)
    reached_s, expected_s = position / max(rate_hz, 1), header.duration_s if end_s is None else end_s
    if expected_s is not None and reached_s < expected_s - _TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the sound ends at {reached_s:.2f} s, expected {expected_s:.2f} s")


def _ending_at(end: int, held: av.AudioFifo, rate_hz: int, start_s: float | None, end_s: float | None) -> _Blocks:
    """Yield as one block what lies in the span of the float32 sound that is held; sample `end` of the file would be the next one."""
    if held.samples and (frame := held.read()) is not None:
        block = frame.to_ndarray().mean(axis=0)
        position = end - len(block)
        first = 0 if start_s is None else round(start_s * rate_hz) - position
        last = len(block) if end_s is None else round(end_s * rate_hz) - position
        block = block[max(first, 0) : max(last, 0)]
        if len(block):
            yield rate_hz, block


def _plausible_rate_hz(rate_hz: int, path: Path) -> int:
    if not _RATE_RANGE_HZ[0] <= rate_hz <= _RATE_RANGE_HZ[1]:
        raise MediaError("undecodable", f"{path.name}: an implausible rate of {rate_hz} Hz, expected one in {_RATE_RANGE_HZ}")
    return rate_hz


def _checked(blocks: _Blocks, path: Path) -> _Blocks:
    """Pass the blocks on, or raise at what can be no sound."""
    num_samples = 0
    for rate_hz, block in blocks:
        peak = float(np.abs(block).max())
        if not peak <= _LARGEST_SAMPLE:  # so written that NaN fails too
            raise MediaError("undecodable", f"{path.name}: a sample of {peak:g} near {num_samples / rate_hz:.2f} s, expected [-1, 1]")
        num_samples += len(block)
        yield rate_hz, block
    if num_samples == 0:
        raise MediaError("empty", f"{path.name} holds no sound")


def _resampled(blocks: _Blocks, rate_hz: int) -> Iterator[np.ndarray]:
    """Resample a stream; soxr's output does not depend on how its input is blocked."""
    resample: Callable | None = None
    for index, (from_hz, block) in enumerate(blocks):
        if from_hz == rate_hz:
            yield block
            continue
        if index == 0:
            resample = soxr.ResampleStream(from_hz, rate_hz, 1, dtype="float32", quality="HQ").resample_chunk
        yield resample(block)  # type: ignore[misc]
    if resample is not None:
        yield resample(np.zeros(0, np.float32), last=True)


def _cut(blocks: Iterator[np.ndarray], segment_samples: int | None) -> Iterator[np.ndarray]:
    """Join blocks of any lengths and cut them anew into pieces of segment_samples, the last one as it comes."""
    if segment_samples is None:
        yield np.concatenate(list(blocks))
        return
    held: list[np.ndarray] = []
    num_held = 0
    for block in blocks:
        while num_held + len(block) >= segment_samples:
            split = segment_samples - num_held
            yield np.concatenate([*held, block[:split]])
            held, num_held, block = [], 0, block[split:]
        held.append(block)
        num_held += len(block)
    if num_held:
        yield np.concatenate(held)
