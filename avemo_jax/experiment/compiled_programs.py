"""The files of JAX's compilation cache, checked before JAX reads them.

JAX compiles a program anew where its file is damaged, but never replaces that file, so every later start warns and compiles again.
To check a file is to decompress it, which takes a second for a thousand programs; so a whole one is checked again only after a day, or
where its size or time has changed.
"""

from __future__ import annotations

import functools
import logging
import time
import zlib
from pathlib import Path
from typing import Any

from avemo_jax.atomic import read_json, write_json
from avemo_jax.cache_folders import can_write

_PIECE_BYTES = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"  # JAX uses it where zstandard is installed; its files have no checksum
_SETTLED_S = 60.0  # a younger file may still be written by another process
_TRUSTED_S = 24 * 3600.0
CHECKED = "checked.json"  # name of a file -> its size in bytes, the time of its last change in ns, and the time of its check in s

_log = logging.getLogger(__name__)


@functools.cache  # once a process
def remove_damaged_programs(folder: Path) -> None:
    """Delete the damaged files of a compilation cache, with a warning, so that their programs are compiled and stored again."""
    known, whole = _checked(folder), {}
    for path in sorted(folder.glob("*-cache")):
        try:
            file, now_s = path.stat(), time.time()
            size, changed_ns, checked_s = known.get(path.name, (None, None, 0.0))
            if (size, changed_ns) == (file.st_size, file.st_mtime_ns) and 0 <= now_s - checked_s < _TRUSTED_S:
                whole[path.name] = [size, changed_ns, checked_s]
            elif now_s - file.st_mtime <= _SETTLED_S:
                continue
            elif reason := _damage(path):
                path.unlink()
                _log.warning("the compiled program %s is damaged (%s) and is compiled again", path, reason)
            else:
                whole[path.name] = [file.st_size, file.st_mtime_ns, now_s]
        except OSError as error:  # removed by another process, or read-only: JAX compiles what it cannot read
            _log.debug("%s: %s", path, error)
    if whole != known and can_write(folder):
        write_json(folder / CHECKED, whole)


def _checked(folder: Path) -> dict[str, Any]:
    """Return what `CHECKED` holds; nothing where it is absent or damaged."""
    try:
        known = read_json(folder / CHECKED)
        return {str(name): [int(size), int(changed_ns), float(checked_s)] for name, (size, changed_ns, checked_s) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


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
