"""The files of JAX's compilation cache, checked before JAX reads them.

JAX compiles a program anew where its file is damaged, but never replaces that file, so every later start warns and compiles again.
"""

from __future__ import annotations

import functools
import logging
import time
import zlib
from pathlib import Path

_PIECE_BYTES = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"  # JAX uses it where zstandard is installed; its files have no checksum
_SETTLED_S = 60.0  # a younger file may still be written by another process

_log = logging.getLogger(__name__)


@functools.cache  # once a process
def remove_damaged_programs(folder: Path) -> None:
    """Delete the damaged files of a compilation cache, with a warning, so that their programs are compiled and stored again."""
    for path in sorted(folder.glob("*-cache")):
        try:
            if time.time() - path.stat().st_mtime > _SETTLED_S and (reason := _damage(path)):
                path.unlink()
                _log.warning("the compiled program %s is damaged (%s) and is compiled again", path, reason)
        except OSError as error:  # removed by another process, or read-only: JAX compiles what it cannot read
            _log.debug("%s: %s", path, error)


def _damage(path: Path) -> str | None:
    content = zlib.decompressobj()
    with path.open("rb") as stream:
        piece = stream.read(_PIECE_BYTES)
        if piece.startswith(_ZSTD):
            return None
        try:
            while piece:
                content.decompress(piece)
                piece = stream.read(_PIECE_BYTES)
        except zlib.error as error:
            return str(error)
    return None if content.eof else "it is cut short"
