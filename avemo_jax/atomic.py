"""Write files that several processes share: a reader sees a complete file or none, also after a power cut."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)  # file systems that cannot sync folders
_LEFTOVER_S = 24 * 3600.0


def atomic_file(path: Path) -> AbstractContextManager[IO[str]]:
    """Open a temporary text file in the folder of `path`; it replaces `path` when the block ends without an error."""
    # a file name that is no UTF-8 (a Latin-1 name out of an archive) is written with its bytes escaped, and costs no results
    return _replace_when_complete(path, mode="w", newline="", encoding="utf-8", errors="backslashreplace")


def atomic_binary_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a temporary binary file in the folder of `path`; it replaces `path` when the block ends without an error."""
    return _replace_when_complete(path, mode="wb")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file in UTF-8; an error's traceback has the path, from which `failures` names the file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (no NaN) atomically, indented by two spaces."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic_file(path) as stream:
        stream.write(text + "\n")


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of a JSON value as 64 hex digits; it does not depend on the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk, so that after a power cut a finished name never has unfinished content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that killed processes left in a folder, a day after they were last written."""
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):  # another process deletes them too, or the folder is read-only
            if time.time() - partial.stat().st_mtime > _LEFTOVER_S:
                partial.unlink()


@contextlib.contextmanager
def _replace_when_complete(path: Path, **options: Any) -> Iterator[IO[Any]]:
    # A name of its own: processes on several hosts may write the same file at the same time, and the last one's is complete too.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with partial.open(**options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)
