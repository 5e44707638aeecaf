"""Sound: the samples of any media file, streamed, mono and resampled.

FFmpeg reads it, by its content. Every sample lies at its place on the time line of the file: silence is where nothing was sent. Memory is
bounded however long the file is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import soxr

from data_prep.decoding.channels import Downmix
from data_prep.decoding.media import Findings, MediaError, guarded
from data_prep.decoding.time_line import SPAN_TOLERANCE_S, TimeLine, check_gap, decoded_from

_BLOCK_SAMPLES = 1 << 16
_RATE_RANGE_HZ = (4_000, 384_000)  # anything else is a damaged header
_LARGEST_SAMPLE = 8.0  # float files may pass 1 a little; integers stored as floats pass it by far
# A lost packet is a gap: the shortest usual one, of Opus, lasts 20 ms. Time stamps of sound without gaps are off by some ms, as containers
# round them, and by more where a slow clock stamped them, so an overlap is believed later.
_GAP_S = 0.015
_OVERLAP_S = 0.1
_RESTART_S = 0.5
_Blocks = Iterator[tuple[int, np.ndarray]]  # (rate in Hz, (S,) float32 mono)


def stream_audio(
    path: Path,
    *,
    rate_hz: int,
    start_s: float | None = None,
    end_s: float | None = None,
    segment_s: float | None = None,
    findings: Findings | None = None,
) -> Iterator[np.ndarray]:
    """Yield the sound from start_s to end_s as consecutive pieces of segment_s; joined, they are what segment_s=None gives.

    Args:
      path: any media file with sound.
      rate_hz: to resample to, with the band limits of soxr's HQ setting.
      start_s, end_s: span within the file; None: from the beginning, to the end.
      segment_s: length of the pieces; the last one may be shorter. None: all in one piece.
      findings: takes notes, and damage behind sound that is kept.

    Yields:
      (S,) float32, mono (mixed by the roles of the channels), nominally in [-1, 1].

    Raises:
      MediaError: missing, empty, no_audio; undecodable (also: NaN, values far outside [-1, 1], an implausible rate); truncated
        (less sound than the header and the packets say, or than the span needs).
    """
    findings = Findings() if findings is None else findings
    yield from resampled_pieces(guarded(_checked(_blocks(path, start_s, end_s, findings), path), path, findings), rate_hz, segment_s)


def resampled_pieces(blocks: _Blocks, rate_hz: int, segment_s: float | None) -> Iterator[np.ndarray]:
    """Yield blocks (rate in Hz, (S,) float32 mono) as consecutive pieces of segment_s at another rate; see `stream_audio`."""
    yield from _cut(_resampled(blocks, rate_hz), None if segment_s is None else round(segment_s * rate_hz))


def _blocks(path: Path, start_s: float | None, end_s: float | None, findings: Findings) -> _Blocks:
    """Yield the sound of a span at its places on the time line of the file, with silence where nothing was sent."""
    line = TimeLine()
    sound: _Placed | None = None
    to_float: dict[tuple[str, str], av.AudioResampler] = {}  # a broadcast may change its channels
    try:
        for time_s, frame in decoded_from(path, "audio", start_s or 0.0, line, findings):
            if sound is None:
                sound = _Placed(_plausible_rate_hz(frame.sample_rate, path), start_s or 0.0, end_s, findings)
            if frame.sample_rate != sound.rate_hz:
                raise MediaError("undecodable", f"{path.name}: the rate changes from {sound.rate_hz} to {frame.sample_rate} Hz")
            kind = (frame.format.name, frame.layout.name)
            if kind not in to_float:
                to_float[kind] = av.AudioResampler(format="flt")  # packed: PyAV reads beyond the planes of eight channels
            for part in to_float[kind].resample(frame):
                yield from sound.add(part, time_s)
            if sound.is_past_end:
                break
    except Exception:
        if sound is not None:
            yield from sound.flush()  # what precedes damage may be kept
        raise
    if sound is None:
        return
    yield from sound.flush()
    sound.report()
    if end_s is None:
        line.check_end(path, "audio", sound.reached_s, findings)
    elif sound.reached_s < end_s - SPAN_TOLERANCE_S:
        raise MediaError("truncated", f"{path.name}: the sound ends at {sound.reached_s:.2f} s, expected {end_s:.2f} s")


class _Placed:
    """Decoded sound, put at its place on the time line: samples are counted from the first, and time stamps correct the count.

    A time stamp that lies ahead of the count by `_GAP_S` is a gap, which is filled with silence. One that lies behind it is an overlap: of
    sound sent twice, which is left out, or of a clock that starts anew, from where the count goes on.
    """

    def __init__(self, rate_hz: int, start_s: float, end_s: float | None, findings: Findings):
        self.rate_hz = rate_hz
        self._first = round(start_s * rate_hz)
        self._last = None if end_s is None else round(end_s * rate_hz)
        self._findings = findings
        self._downmix = Downmix()
        self._held = av.AudioFifo()  # a frame is about 20 ms of sound: too short for NumPy calls of its own
        self._layout = ""
        self._position = 0  # of the first held sample
        self._shift = 0  # of time stamps, after a clock that started anew
        self._is_begun = False
        self._gaps: list[tuple[float, float]] = []  # start, length
        self._num_left_out = 0

    @property
    def _end(self) -> int:
        return self._position + self._held.samples

    @property
    def reached_s(self) -> float:
        """End of the sound so far."""
        return self._end / self.rate_hz

    @property
    def is_past_end(self) -> bool:
        """Whether the span is complete."""
        return self._last is not None and self._end >= self._last

    def add(self, part: av.AudioFrame, time_s: float | None) -> _Blocks:
        """Take a frame of float32 sound; yield blocks that are complete."""
        if self._held.samples >= _BLOCK_SAMPLES or part.layout.name != self._layout:
            yield from self.flush()
            self._layout = part.layout.name
        ahead = 0 if time_s is None else round(time_s * self.rate_hz) + self._shift - self._end
        if not self._is_begun or ahead > _GAP_S * self.rate_hz:
            yield from self._skip(ahead)
        elif ahead < -_RESTART_S * self.rate_hz:
            self._shift -= ahead
            self._findings.note(f"the time stamps of the sound jump back by {-ahead / self.rate_hz:.2f} s at {self.reached_s:.2f} s")
        elif ahead < -_OVERLAP_S * self.rate_hz:
            self._num_left_out += part.samples
            return
        self._is_begun = True
        part.pts = None
        self._held.write(part)

    def _skip(self, num_samples: int) -> _Blocks:
        """Yield silence; before the first sample also set the place of the first sample, which may lie before the start."""
        yield from self.flush()
        check_gap(num_samples / self.rate_hz, self.reached_s + num_samples / self.rate_hz, "audio")
        if self._is_begun:
            self._gaps.append((self.reached_s, num_samples / self.rate_hz))
        start, self._position = self._position, self._position + num_samples
        end = self._position if self._last is None else min(self._position, self._last)
        for place in range(max(start, self._first), end, _BLOCK_SAMPLES):
            yield self.rate_hz, np.zeros(min(_BLOCK_SAMPLES, end - place), np.float32)

    def flush(self) -> _Blocks:
        """Yield the held sound inside the span as one block."""
        if self._held.samples and (frame := self._held.read()) is not None:
            channels = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
            block = self._downmix.mono(channels, self._layout, self._findings)
            start, self._position = self._position, self._position + len(block)
            block = block[max(self._first - start, 0) : None if self._last is None else max(self._last - start, 0)]
            self._held = av.AudioFifo()
            if len(block):
                yield self.rate_hz, block

    def report(self) -> None:
        """Note gaps, overlaps and channels that cancel out."""
        if self._gaps:
            longest_at_s, longest_s = max(self._gaps, key=lambda gap: gap[1])
            self._findings.note(
                f"no sound was sent for {sum(length_s for _, length_s in self._gaps):.2f} s in {len(self._gaps)} gaps, the longest of "
                f"{longest_s:.2f} s at {longest_at_s:.2f} s; silence is in its place"
            )
        if self._num_left_out:
            self._findings.note(f"{self._num_left_out / self.rate_hz:.2f} s of sound that overlaps by its time stamps was left out")
        self._downmix.report(self._findings)


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
