"""Content hashes of media files, stored on disk so that a second start does not read gigabytes again."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from avemo_jax.atomic import atomic_file, json_sha256
from avemo_jax.locks import locked
from data_prep.decoding.media import content_sha256

ABSENT = "absent"
# A file modified this shortly before it is hashed may change again under the same time stamp: its digest is not stored.
_SETTLED_NS = 2_000_000_000
_Entry = tuple[int, int, str]  # size in bytes, time of the last change in ns, digest

_log = logging.getLogger(__name__)


def media_digests(paths: Iterable[Path], *, memory: Path, num_threads: int = 2) -> dict[Path, str]:
    """Return the SHA-256 of each file's content as 64 hex digits, ABSENT where there is no such file.

    Args:
      paths: the files.
      memory: JSON file of paths with size, time stamp and digest, with their SHA-256; created where absent, made anew where damaged, left
        as it is where its folder is read-only. Several processes may share it.
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
    new: dict[str, _Entry] = {}
    with ThreadPoolExecutor(num_threads) as threads:
        for (path, place, stat), digest in zip(unknown, threads.map(lambda one: content_sha256(one[0]), unknown), strict=True):
            digests[path] = digest
            if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
                new[place] = (stat.st_size, stat.st_mtime_ns, digest)
    if new:
        _add(memory, new)
    return digests


def _add(memory: Path, new: dict[str, _Entry]) -> None:
    """Add entries to those that the file has by now."""
    try:
        with locked(memory.with_name(f".{memory.name}.lock"), "storing the digests of media"):
            files = _read(memory) | new
            with atomic_file(memory) as stream:
                json.dump({"sha256": json_sha256(files), "files": files}, stream, indent=0, sort_keys=True)
    except OSError as error:
        _log.warning("digests of media cannot be stored, so the next start reads the media again: %s", error)


def _read(memory: Path) -> dict[str, _Entry]:
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        if content["sha256"] != json_sha256(content["files"]):
            raise ValueError("its SHA-256 does not fit")
        return {path: (size, mtime_ns, digest) for path, (size, mtime_ns, digest) in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("%s is damaged or of an earlier version (%s); all media are read again", memory, error)
        return {}
