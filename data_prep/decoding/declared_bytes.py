"""What the bytes of a file promise about its length: sizes in headers of WAV, AIFF, CAF and ASF, pages of Ogg, a frame count in MP3."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_BYTES = 0x7FFFF000  # from here on a size means "unknown", as SoX, FFmpeg and recorders write to a pipe
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_TS_PACKET_BYTES = 188


def missing_share(path: Path) -> float:
    """Return the share of itself that a WAV, AIFF, CAF or ASF file lacks by its own header; 0 where it is whole, or declares nothing."""
    num_bytes = path.stat().st_size
    start, size = _samples_in(path)
    if size is None or start + size <= num_bytes:
        return 0.0
    return (start + size - num_bytes) / size


def undeclared_bytes(path: Path) -> int:
    """Return how many bytes follow the samples of a WAV file that are no chunk: samples that its header does not count."""
    num_bytes = path.stat().st_size
    start, size = _samples_in(path)
    if size is None or start + size + size % 2 + 8 > num_bytes:
        return 0
    with path.open("rb") as stream:
        stream.seek(start + size + size % 2)
        head = stream.read(8)
        stream.seek(start + size)
        is_odd = stream.read(1) != b"\0"  # some writers do not pad
    names = (head[:4], head[1:5]) if is_odd else (head[:4],)
    if head[:3] in (b"ID3", b"TAG") or any(name.isascii() and name.decode("latin-1").isprintable() for name in names):
        return 0
    return num_bytes - start - size


def _samples_in(path: Path) -> tuple[int, int | None]:
    """Where the content of a file begins, and its number of bytes by the header; None where it declares none."""
    with path.open("rb") as stream:
        mark = stream.read(12)[:4]
        if mark == b"caff":
            return _caf_samples_in(stream)
        if mark == b"\x30\x26\xb2\x75":
            stream.seek(0)
            head = stream.read(1 << 16)
            place = head.find(_ASF_PROPERTIES) + 40
            return 0, (int.from_bytes(head[place : place + 8], "little") or None) if place >= 40 else None
        order = {b"RIFF": "little", b"FORM": "big"}.get(mark)
        while order is not None and len(head := stream.read(8)) == 8:
            size = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
            if head[:4] in (b"data", b"SSND"):
                return stream.tell(), size if 0 < size < _UNKNOWN_BYTES else None
            stream.seek(size + size % 2, os.SEEK_CUR)
    return 0, None


def _caf_samples_in(stream: BinaryIO) -> tuple[int, int | None]:
    stream.seek(8)
    while len(head := stream.read(12)) == 12:
        size = int.from_bytes(head[4:], "big", signed=True)
        if head[:4] == b"data":
            return stream.tell(), size if size > 0 else None
        if size < 0:
            break
        stream.seek(size, os.SEEK_CUR)
    return 0, None


def ends_in_ts_packet(path: Path) -> bool:
    """Return whether a transport stream of packets of 188 bytes ends in the middle of one."""
    with path.open("rb") as stream:
        is_plain = all(stream.read(_TS_PACKET_BYTES)[:1] == b"G" for _ in range(3))
    return is_plain and path.stat().st_size % _TS_PACKET_BYTES != 0


def ogg_problem(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with the pages of an Ogg file, "truncated" or "note" and a sentence; None where every page is there."""
    num_bytes = path.stat().st_size
    numbers: dict[bytes, int] = {}
    is_ended = False
    with path.open("rb") as stream:
        while len(head := stream.read(27)) == 27 and head[:4] == b"OggS":
            serial, number = head[14:18], int.from_bytes(head[18:22], "little")
            if number != numbers.get(serial, number - 1) + 1 or (serial not in numbers and number):
                return "note", f"pages are missing before page {number}"
            numbers[serial] = number
            is_ended = bool(head[5] & 4)
            stream.seek(sum(stream.read(head[26])), os.SEEK_CUR)
        if stream.tell() > num_bytes or (head and b"OggS".startswith(head[:4])):
            return "truncated", "the file ends in the middle of a page"
        if head:
            return "note", f"no page begins where one should, at byte {stream.tell() - len(head)}"
    return None if is_ended else ("note", "its last page does not end the stream: the recorder was stopped, or the file was cut")


def counts_mp3_frames(path: Path) -> bool:
    """Return whether an MP3 file says how many frames it has (a Xing, Info or VBRI header); without it, its length is an estimate."""
    with path.open("rb") as stream:
        head = stream.read(10)
        if head[:3] == b"ID3":
            stream.seek(10 + sum((value & 0x7F) << shift for value, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
        else:
            stream.seek(0)
        first = stream.read(4096)
    return any(mark in first for mark in (b"Xing", b"Info", b"VBRI"))
