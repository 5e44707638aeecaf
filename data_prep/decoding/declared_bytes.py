"""What the bytes of a file promise about its length: sizes in the headers of WAV and AIFF, the last page of Ogg, a frame count in MP3."""

from __future__ import annotations

import os
from pathlib import Path

_UNKNOWN_BYTES = 0x7FFFF000  # from here on a size means "unknown", as SoX, FFmpeg and recorders write to a pipe
_PAGE_BYTES = 65_307  # largest page of Ogg


def missing_share(path: Path) -> float:
    """Return the share of its sound that a WAV or AIFF file lacks by its own header; 0 where it is whole, or declares nothing."""
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
    """Where the samples of a WAV or AIFF file begin, and their number of bytes by its header; None where it declares none."""
    with path.open("rb") as stream:
        order = {b"RIFF": "little", b"FORM": "big"}.get(stream.read(12)[:4])
        while order is not None and len(head := stream.read(8)) == 8:
            size = int.from_bytes(head[4:], order)  # type: ignore[arg-type]
            if head[:4] in (b"data", b"SSND"):
                return stream.tell(), size if 0 < size < _UNKNOWN_BYTES else None
            stream.seek(size + size % 2, os.SEEK_CUR)
    return 0, None


def last_ogg_page(path: Path) -> str:
    """Return what the last page of an Ogg file is: "whole", "cut" (it goes on behind the end of the file) or "open" (it ends no stream)."""
    num_bytes = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, num_bytes - 2 * _PAGE_BYTES))
        tail = stream.read()
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0:
        return "cut"
    if len(page) < 27 or len(page) < 27 + page[26] or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "cut"
    return "whole" if page[5] & 4 else "open"


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
