"""Write files atomically: a reader sees the complete new file or none."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any


def atomic_file(path: Path) -> AbstractContextManager[IO[str]]:
    """Open a temporary text file in the folder of `path`; it replaces `path` when the block ends without an error."""
    # a file name that is no UTF-8 (a Latin-1 name out of an archive) is written with its bytes escaped, and costs no results
    return _replace_when_complete(path, mode="w", newline="", encoding="utf-8", errors="backslashreplace")


def atomic_binary_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a temporary binary file in the folder of `path`; it replaces `path` when the block ends without an error."""
    return _replace_when_complete(path, mode="wb")


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON (no NaN) atomically, indented by two spaces."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic_file(path) as stream:
        stream.write(text + "\n")


@contextlib.contextmanager
def _replace_when_complete(path: Path, **options: Any) -> Iterator[IO[Any]]:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open(**options) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
