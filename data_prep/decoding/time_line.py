"""The presentation time line of a file: one for its sound and its picture, from the time stamps of its packets.

It begins where the first stream begins. What was decoded is held against what the packets say, and the packets against what the header
says. A header may promise nothing: cuts without decoding, streams of unequal length, recorders that were killed. A file is cut where the
packets of all its streams end before the header says, by more than `tolerance_s`; a smaller difference is a note, and so is an estimate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from avemo_jax.text import count_of
from data_prep.decoding.containers import chosen_stream, frame_rate_fps, is_out_of_memory, opened, reason
from data_prep.decoding.declared_bytes import counts_mp3_frames, ends_in_ts_packet, missing_share, ogg_problem, undeclared_bytes
from data_prep.decoding.media import LARGEST_PIXELS, REMEDY, WORDS, Findings, MediaError

LONGEST_GAP_S = 3600.0  # a longer one is a damaged time stamp; and what would fill it takes time and memory
SPAN_TOLERANCE_S = 0.5  # by which a stream may end before the span of a clip does: sound and picture rarely end together
_SEEK_FROM_S = 10.0  # up to here decoding from the beginning is cheap enough to avoid the risks of a seek
_PREROLL_S = 2.0  # decoded before the start after a seek, so that codecs with memory have settled
_NOTED_S = 0.02  # a frame of sound
# Their length is an estimate by FFmpeg, from the bit rate; that of ASF counts a late start twice.
_ESTIMATED = ("asf", "aac", "ac3", "eac3", "dts", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "loas", "amr", "amrnb", "amrwb", "gsm")
_SIZED = ("wav", "aiff")  # the sizes in their headers promise more than FFmpeg passes on
_LENGTH_IS_END = ("matroska,webm", "nut")  # counted from 0, also where all streams start later
_COUNTED_FRAMES = ("avi",)  # no time stamps, so that a doubled frame is seen by their number alone


def tolerance_s(duration_s: float) -> float:
    """Return by how much a stream of that length may miss a promise: a tenth, between 0.1 s and 0.5 s."""
    return min(0.5, max(0.1, 0.1 * duration_s))


@dataclasses.dataclass
class TimeLine:
    """What the header and the packets of a file say, in s from the start of its time line; filled in while the file is read.

    Attributes:
      interval_s: between two frames of the video by its frame rate; 0 for sound.
      promised_s: end of the file by its header; None where it says nothing.
      own_promised_s: end of the decoded stream by its own header, or None.
      is_estimate: the promises are estimates.
      num_frames: by the header of the decoded stream; 0 where it does not count.
      packets_s: end of the packets of all streams.
      last_packet_s: start of the last packet of the decoded stream.
      num_corrupt: packets of the decoded stream that the container marks as damaged.
    """

    interval_s: float = 0.0
    promised_s: float | None = None
    own_promised_s: float | None = None
    is_estimate: bool = False
    num_frames: int = 0
    packets_s: float = 0.0
    last_packet_s: float = 0.0
    num_corrupt: int = 0

    def check_end(self, path: Path, kind: str, reached_s: float, findings: Findings) -> None:
        """Hold the end of what was decoded against the packets and the header.

        Args:
          path: the file.
          kind: "audio" or "video".
          reached_s: end of what was decoded.
          findings: takes the notes.

        Raises:
          MediaError: truncated, undecodable (packets that gave nothing).
        """
        name, word = path.name, WORDS[kind]
        if reached_s < self.last_packet_s - self._allowed_s(self.last_packet_s):
            raise MediaError(
                "undecodable", f"{name}: the {word} was decoded to {reached_s:.2f} s, its packets go on to {self.last_packet_s:.2f} s"
            )
        own_end_s = max(reached_s, self.last_packet_s)
        for promised_s, end_s in ((self.promised_s, max(self.packets_s, own_end_s)), (self.own_promised_s, own_end_s)):
            if promised_s is None:
                continue
            missing_s = promised_s - end_s
            if missing_s > self._allowed_s(promised_s) and not self.is_estimate:
                raise MediaError("truncated", f"{name}: the {word} ends at {end_s:.2f} s, expected {promised_s:.2f} s")
            if missing_s > max(_NOTED_S, 0.6 * self.interval_s):
                what = "estimate" if self.is_estimate else "header"
                findings.note(f"the {word} ends at {end_s:.2f} s, {missing_s:.2f} s before the {what} says")
        if own_end_s < self.packets_s - self._allowed_s(self.packets_s):
            findings.note(f"the {word} ends at {own_end_s:.2f} s, the file at {self.packets_s:.2f} s")
        if self.num_corrupt:
            findings.note(f"{self.num_corrupt} packets of the {word} are marked as damaged by the container")

    def _allowed_s(self, length_s: float) -> float:
        """By how much the decoded stream may miss a promise of that length; pictures by two and a half intervals at least."""
        return max(tolerance_s(length_s), 2.5 * self.interval_s)


def decoded_from(path: Path, kind: str, start_s: float, line: TimeLine, findings: Findings) -> Iterator[tuple[float | None, Any]]:
    """Yield (time in s on the time line, frame) from some frame that lies before start_s on; and fill the time line in.

    The times of pictures rise: where time stamps are absent or run backwards, they count on from the last. Those of sound are as they are
    in the file, None where it has none.

    Raises:
      MediaError: missing, empty, no_audio, no_video, undecodable, truncated.
    """
    for seeks in (True, False) if start_s > _SEEK_FROM_S else (False,):
        with opened(path) as container:
            stream, choice = chosen_stream(container, kind, path)
            _read_header(line, container, stream, path)
            if choice:
                findings.note(choice)
            frames = _stamped(_decoded(container, stream, path, line, findings), container)
            if kind == "video":
                frames = _rising(frames, line.interval_s, findings)
            if seeks:
                try:
                    container.seek(int((start_s - _PREROLL_S) * av.time_base) + (container.start_time or 0))
                    passed = next(frames)
                    while passed[0] is not None and passed[0] < start_s - _PREROLL_S / 2:
                        passed = next(frames)
                    if passed[0] is None or passed[0] > start_s:
                        continue
                except Exception as error:
                    if is_out_of_memory(error):
                        raise
                    continue  # some files cannot be entered in the middle: read from the beginning before reporting damage
                yield passed
            yield from frames
            return


def _read_header(line: TimeLine, container: av.container.InputContainer, stream: Any, path: Path) -> None:
    name = container.format.name
    origin_s = _origin_s(container)
    line.interval_s = 1 / (frame_rate_fps(stream) or 25.0) if stream.type == "video" else 0.0
    line.num_frames = stream.frames if stream.type == "video" and name in _COUNTED_FRAMES else 0
    line.num_corrupt = 0
    # FFmpeg shortens its promise for _SIZED to what is there; `_check_bytes` has the header's.
    line.is_estimate = name in (*_ESTIMATED, *_SIZED) or (name == "mp3" and not counts_mp3_frames(path))
    line.promised_s = container.duration / av.time_base if container.duration else None
    if line.promised_s is not None and name in _LENGTH_IS_END:
        line.promised_s = max(line.promised_s - origin_s, 0.0)
    own_s = _own_end_s(stream, origin_s)
    line.own_promised_s = own_s if own_s is None or line.promised_s is None else min(own_s, line.promised_s)


def _origin_s(container: av.container.InputContainer) -> float:
    """Start of the time line in the time stamps of the file."""
    return (container.start_time or 0) / av.time_base


def _own_end_s(stream: Any, origin_s: float) -> float | None:
    """End of a stream by its own entry in the header."""
    if stream.duration:
        start_s = origin_s if stream.start_time is None else float(stream.start_time * stream.time_base)
        return start_s - origin_s + float(stream.duration * stream.time_base)
    try:  # Matroska: "00:01:02.5", from the start of the file
        hours, minutes, seconds = (float(part) for part in stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return None
    return (hours * 60 + minutes) * 60 + seconds - origin_s


def _decoded(container: av.container.InputContainer, stream: Any, path: Path, line: TimeLine, findings: Findings) -> Iterator[Any]:
    """Yield the stream's frames; any error of the decoder ends it."""
    context = stream.codec_context
    # The size of a picture may grow on the way, and a decoder takes the memory before its picture can be looked at.
    context.options = {"err_detect": "explode", "max_pixels": str(LARGEST_PIXELS)}
    context.thread_count = 1  # workers already share the cores
    if stream.type == "video" and (context.width or 0) * (context.height or 0) > LARGEST_PIXELS:
        raise MediaError("undecodable", f"{path.name}: an implausible picture of {context.width} x {context.height}")
    packets = container.demux()  # of all streams: where a file is truncated, the incomplete packet may be of another stream
    origin_s = _origin_s(container)
    is_pcm = context.name.startswith("pcm_")
    ends_in_packet, num_last = False, 0
    num_frames, size = 0, ""
    try:
        for packet in packets:
            if packet.size:
                num_before = line.num_corrupt
                _count(packet, stream, line, origin_s)
                ends_in_packet, num_last = packet.is_corrupt, line.num_corrupt - num_before
            is_dropped = not packet.size and packet.dts is not None  # a frame that AVI repeats; not the last, which empties the decoder
            if packet.stream is not stream or is_dropped:
                continue
            frame: Any
            for frame in packet.decode():
                if frame.is_corrupt and not is_pcm:
                    raise MediaError("undecodable", f"{path.name}: the decoder reports a corrupt frame at {frame.time} s")
                num_frames += 1
                if stream.type == "video" and num_frames == 1:
                    size = f" of {frame.width} x {frame.height} px"
                yield frame
    except MediaError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        has_more = _has_more(packets, stream)
        if has_more or container.format.name not in _SIZED:  # an incomplete block at the end: the sizes in the header decide
            kind = "undecodable" if has_more else "truncated"
            found = f"{reason(error)} behind {count_of(num_frames, 'frame')}{size}"
            if isinstance(error, av.error.ArgumentError) and stream.type == "video":
                found += f", such as a picture of more than {LARGEST_PIXELS} pixels"
            about = f"expected its {WORDS[stream.type]} to be decoded to the end, found {found}"
            raise MediaError(kind, f"{path.name}: {about}; {REMEDY}") from error
    line.num_corrupt -= num_last  # the end of a cut file, which is told in other words
    _check_bytes(path, container.format.name, line, findings)
    if ends_in_packet and not is_pcm and container.format.name not in _SIZED:
        raise MediaError("truncated", f"{path.name}: the file ends in the middle of a packet")


def _count(packet: av.Packet, stream: Any, line: TimeLine, origin_s: float) -> None:
    """Put a packet on the time line."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if packet.is_discard or stamp is None or packet.time_base is None or packet.stream.type not in ("audio", "video"):
        return
    time_s = float(stamp * packet.time_base) - origin_s
    line.packets_s = max(line.packets_s, time_s + float((packet.duration or 0) * packet.time_base))
    if packet.stream is stream:
        line.last_packet_s = max(line.last_packet_s, time_s)
        line.num_corrupt += packet.is_corrupt


def _check_bytes(path: Path, container_name: str, line: TimeLine, findings: Findings) -> None:
    """Hold the size of the file against what its own bytes promise.

    Raises:
      MediaError: truncated.
    """
    if container_name in (*_SIZED, "caf", "asf"):
        share = missing_share(path)
        if 0 < share < 1:
            line.promised_s, line.is_estimate = line.packets_s / (1 - share), False
            findings.note(f"{100 * share:.3g} % of the bytes that the header declares are not in the file")
        if container_name == "wav" and (num_bytes := undeclared_bytes(path)):
            findings.note(f"{num_bytes} bytes follow the sound that the header declares; they are not read")
    elif container_name == "ogg" and (problem := ogg_problem(path)):
        if problem[0] == "truncated":
            raise MediaError("truncated", f"{path.name}: {problem[1]}")
        findings.note(problem[1])
    elif container_name == "ogg" and line.promised_s is None:
        findings.note("its last page cannot be read")
    elif container_name == "mpegts" and ends_in_ts_packet(path):
        findings.note("the file ends in the middle of a packet: it may have been cut")


def _has_more(packets: Iterator[av.Packet], stream: Any) -> bool:
    """Whether anything of the stream follows; damage in its very last packet is how a truncated file ends."""
    try:
        return any(packet.size for packet in packets if packet.stream is stream)
    except Exception:
        return False


def _stamped(frames: Iterator[Any], container: av.container.InputContainer) -> Iterator[tuple[float | None, Any]]:
    """Add each frame's time on the time line, None where it has no time stamp."""
    origin_s = _origin_s(container)
    return ((None if frame.time is None else frame.time - origin_s, frame) for frame in frames)


def _rising(frames: Iterator[tuple[float | None, Any]], interval_s: float, findings: Findings) -> Iterator[tuple[float, Any]]:
    """Count on from the last time where there is none or it runs backwards.

    Raises:
      MediaError: undecodable (nothing for longer than any film shows one picture).
    """
    last_s = -math.inf
    num_backwards = 0
    for stamp_s, frame in frames:
        time_s = max(last_s, -interval_s) + interval_s if stamp_s is None or stamp_s <= last_s else stamp_s
        num_backwards += stamp_s is not None and stamp_s < last_s
        check_gap(time_s - max(last_s, 0.0), time_s, "video")
        last_s = time_s
        yield time_s, frame
    if num_backwards:
        findings.note(f"the time stamps of {num_backwards} pictures run backwards")


def check_gap(gap_s: float, time_s: float, kind: str) -> None:
    """Raise where nothing comes for longer than a recording can be silent or show one picture.

    Raises:
      MediaError: undecodable.
    """
    if gap_s > LONGEST_GAP_S:
        raise MediaError(
            "undecodable",
            f"no {WORDS[kind]} for {gap_s:.0f} s before {time_s:.0f} s, expected {LONGEST_GAP_S:.0f} s at most between time stamps",
        )
