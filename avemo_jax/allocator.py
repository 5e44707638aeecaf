"""Settings of glibc's malloc for freed memory.

Needed because glibc (at least up to 2.36) returns large blocks to the system when they are freed. `python -m benchmarks.encoders` with and
without --give_back shows the gain; tests/test_allocator.py counts page faults and fails once glibc keeps such blocks by default.
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
_GLIBC_THRESHOLD = 32 << 20  # the most to which glibc raises its dynamic mmap threshold, after it has freed blocks of this size
_LARGE_ARRAY = 1 << 20
_keeps_freed = False


def keep_freed_memory() -> bool:
    """Let this process reuse freed memory for its next allocation; return whether the C library supports this (glibc).

    A large network on CPU allocates and frees some hundred MiB in every call. glibc returns blocks of that size to the system, and the
    next call pays a page fault for each 4 KiB of them (docs/performance.md). With this setting the process holds its peak memory.

    Call it before JAX starts its backend: each existing thread has an arena of 64 MiB heaps, and glibc returns an empty heap at once.
    """
    global _keeps_freed
    _keeps_freed = _set(_LARGEST, _LARGEST, num_arenas=1)
    return _keeps_freed


def give_back_freed_memory() -> bool:
    """Undo `keep_freed_memory`: return large blocks to the system again, with the thresholds from before."""
    global _keeps_freed
    _keeps_freed = False
    trim_bytes = _started_with("MALLOC_TRIM_THRESHOLD_", 2 * _GLIBC_THRESHOLD)
    has_mapped = map_large_arrays.cache_info().currsize
    return _set(trim_bytes, _LARGE_ARRAY if has_mapped else _started_with("MALLOC_MMAP_THRESHOLD_", _GLIBC_THRESHOLD), num_arenas=0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Call `keep_freed_memory` for a block of code, unless this process has called it already."""
    if _keeps_freed:
        yield
        return
    keep_freed_memory()
    try:
        yield
    finally:
        give_back_freed_memory()


@functools.cache
def map_large_arrays() -> bool:
    """Let glibc map every array of a picture's size separately, for the rest of the process; return whether it supports this.

    By default glibc allocates such arrays on the heap after the first one has been freed. Small arrays that a view holds then fragment the
    heap, which costs several times the memory for key frames of large films.
    """
    return _mallopt((_M_MMAP_THRESHOLD, _LARGE_ARRAY))


def _started_with(variable: str, default: int) -> int:
    """Return the value of one of glibc's environment variables in bytes, or the default."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default


def _set(trim_bytes: int, mmap_bytes: int, *, num_arenas: int) -> bool:
    """Change glibc's settings; with 0 arenas glibc chooses their number."""
    return _mallopt((_M_TRIM_THRESHOLD, trim_bytes), (_M_MMAP_THRESHOLD, mmap_bytes), (_M_ARENA_MAX, num_arenas))


def _mallopt(*settings: tuple[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return change is not None and all(change(*setting) == 1 for setting in settings)
