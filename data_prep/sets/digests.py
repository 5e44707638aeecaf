"""Content hashes of media files, stored on disk so that a second start does not read gigabytes again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data_prep.decoding.media import content_sha256

ABSENT = "absent"
# A file modified this shortly before it is hashed may change again under the same time stamp: its digest is not stored.
_SETTLED_NS = 2_000_000_000


def media_digests(paths: Iterable[Path], *, memory: Path, num_threads: int = 2) -> dict[Path, str]:
    """Return the SHA-256 of each file's content as 64 hex digits, ABSENT where there is no such file.

    Args:
      paths: the files.
      memory: JSON file of paths with size, time stamp and digest; created where absent, replaced where unreadable.
      num_threads: files hashed at the same time.
    """
    known = _read(memory)
    digests: dict[Path, str] = {}
    unknown: list[tuple[Path, str, os.stat_result]] = []
    for path in dict.fromkeys(paths):
        if not path.is_file():
            digests[path] = ABSENT
            continue
        stat, place = path.stat(), str(path.resolve())
        size, mtime_ns, digest = known.get(place, (None, None, ""))
        if (size, mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            digests[path] = digest
        else:
            unknown.append((path, place, stat))
    with ThreadPoolExecutor(num_threads) as threads:
        for (path, place, stat), digest in zip(unknown, threads.map(lambda one: content_sha256(one[0]), unknown), strict=True):
            digests[path] = digest
            if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
                known[place] = (stat.st_size, stat.st_mtime_ns, digest)
    if unknown:
        partial = memory.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(known, indent=0, sort_keys=True), encoding="utf-8")
        os.replace(partial, memory)
    return digests


def _read(memory: Path) -> dict[str, tuple[int, int, str]]:
    try:
        return {path: tuple(entry) for path, entry in json.loads(memory.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError):
        return {}
