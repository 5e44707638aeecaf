"""Sound: the samples of any media file, streamed, mono and resampled.

WAV, FLAC and AIFF are read with libsndfile, everything else with FFmpeg through PyAV. Memory is bounded however long the file is. Damage is
looked for, because libsndfile shortens a truncated WAV without an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from data_prep.decoding.containers import TOLERANCE_S, Header, decoded_from
from data_prep.decoding.media import MediaError, num_bytes_of

_SOUNDFILE_SUFFIXES = (".wav", ".flac", ".aif", ".aiff")
_BLOCK_SAMPLES = 1 << 16
_RATE_RANGE_HZ = (4_000, 384_000)  # anything else is a damaged header
_LARGEST_SAMPLE = 8.0  # float files may pass 1 a little; integers stored as floats pass it by far
_Blocks = Iterator[tuple[int, np.ndarray]]  # (rate in Hz, (S,) float32 mono)


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


def _soundfile_blocks(path: Path, start_s: float | None, end_s: float | None) -> _Blocks:
    num_bytes = num_bytes_of(path)
    with path.open("rb") as raw:
        try:
            with soundfile.SoundFile(raw.fileno(), closefd=False) as sound:
                declared_bytes = _declared_bytes(path)
                if declared_bytes is not None and declared_bytes > num_bytes:
                    raise MediaError("truncated", f"{path.name}: the header says {declared_bytes} bytes, the file has {num_bytes}")
                rate_hz = _plausible_rate_hz(sound.samplerate, path)
                start, end = round((start_s or 0.0) * rate_hz), sound.frames if end_s is None else round(end_s * rate_hz)
                if max(start, end - TOLERANCE_S * rate_hz) > sound.frames:
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
    """End of the samples by the header of a WAV or AIFF file, in bytes from the start of the file; None where it is not declared."""
    with path.open("rb") as stream:
        order = {b"RIFF": "little", b"FORM": "big"}.get(stream.read(12)[:4])
        while order is not None and len(head := stream.read(8)) == 8:
            num_bytes = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
            if head[:4] in (b"data", b"SSND"):
                return None if num_bytes >= 0x7FFFFF00 else stream.tell() + num_bytes  # unknown, as a recorder writes to a pipe
            stream.seek(num_bytes + num_bytes % 2, 1)
    return None


def _pyav_blocks(path: Path, start_s: float | None, end_s: float | None) -> _Blocks:
    header = Header()
    to_float = av.AudioResampler(format="fltp")
    rate_hz, num_channels, position = 0, 0, 0
    held = av.AudioFifo()  # a frame is about 20 ms of sound: too short for NumPy calls of its own
    for time_s, frame in decoded_from(path, "audio", start_s or 0.0, header):
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
    if expected_s is not None and reached_s < expected_s - TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the sound ends at {reached_s:.2f} s, expected {expected_s:.2f} s")


def _ending_at(end: int, held: av.AudioFifo, rate_hz: int, start_s: float | None, end_s: float | None) -> _Blocks:
    """Yield the part of the held float32 sound inside the span as one block; sample `end` of the file would be the next one."""
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
    """Pass blocks on; raise for values that cannot be sound."""
    num_samples = 0
    for rate_hz, block in blocks:
        peak = float(np.abs(block).max())
        if not peak <= _LARGEST_SAMPLE:  # written so that NaN fails too
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
    """Join blocks of any lengths and cut them into pieces of segment_samples; the last one may be shorter."""
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
