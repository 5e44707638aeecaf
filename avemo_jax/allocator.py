"""Settings of the C library for memory that was freed.

Needed because of glibc, to 2.36 at least, which hands large blocks back to the system when they are freed. `python -m benchmarks.encoders`
with and without --give_back shows the gain; tests/test_allocator.py counts page faults and fails once glibc keeps such blocks by itself.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_LARGEST = 2**31 - 1
_OF_ITSELF = 32 << 20  # what glibc's own thresholds have grown to once blocks of this size were freed
_LARGE_ARRAY = 1 << 20
_is_kept = False


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for its next allocation; returns whether the C library can (glibc).

    A large network on CPU takes and gives back some hundred MiB at every call. glibc hands blocks of that size back to the system, and the
    next call pays a page fault for each 4 KiB of them (docs/performance.md). The process then holds what it needed at its peak.

    Call it before JAX starts its backend: threads that are there already have an arena each, made of pieces of 64 MiB, and glibc gives a
    piece back as soon as it is empty.
    """
    global _is_kept
    _is_kept = _set(_LARGEST, _LARGEST, num_arenas=1)
    return _is_kept


def give_back_freed_memory() -> bool:
    """Undo `keep_freed_memory`: large blocks go back to the system again, from the sizes on that held before."""
    global _is_kept
    _is_kept = False
    trim_bytes = _started_with("MALLOC_TRIM_THRESHOLD_", 2 * _OF_ITSELF)
    has_mapped = map_large_arrays.cache_info().currsize
    return _set(trim_bytes, _LARGE_ARRAY if has_mapped else _started_with("MALLOC_MMAP_THRESHOLD_", _OF_ITSELF), num_arenas=0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """`keep_freed_memory` for a while; nothing changes in a process that keeps it anyway."""
    if _is_kept:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        give_back_freed_memory()


@functools.cache
def map_large_arrays() -> bool:
    """Have glibc map every array of a picture's size by itself, for the rest of the process; returns whether it can.

    Left alone it moves such arrays into the heap after the first has been freed, where the small ones that a view keeps tear it: 600 MB
    more for key frames of 1280 x 720.
    """
    return _mallopt((_M_MMAP_THRESHOLD, _LARGE_ARRAY))


def _started_with(variable: str, default: int) -> int:
    """glibc's own variable of the environment, in bytes."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default


def _set(trim_bytes: int, mmap_bytes: int, *, num_arenas: int) -> bool:
    """Change glibc's settings; 0 arenas leave their number to it."""
    return _mallopt((_M_TRIM_THRESHOLD, trim_bytes), (_M_MMAP_THRESHOLD, mmap_bytes), (_M_ARENA_MAX, num_arenas))


def _mallopt(*settings: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return change is not None and all(change(*setting) == 1 for setting in settings)
