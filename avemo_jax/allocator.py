"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_LARGEST = 2**31 - 1
_OF_ITSELF = 32 << 20  # what glibc's own thresholds have grown to once blocks of this size were freed


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for its next allocation; returns whether the C library can (glibc).

    A large network on CPU takes and gives back some hundred MiB at every call. glibc hands blocks of that size back to the system, and the
    next call pays a page fault for each 4 KiB of them (docs/performance.md). The process then holds what it needed at its peak.

    Call it before JAX starts its backend: threads that are there already have an arena each, made of pieces of 64 MiB, and glibc gives a
    piece back as soon as it is empty.
    """
    return _set(_LARGEST, _LARGEST, num_arenas=1)


def give_back_freed_memory() -> bool:
    """Undo `keep_freed_memory`: large blocks go back to the system again."""
    return _set(2 * _OF_ITSELF, _OF_ITSELF, num_arenas=0)


def _set(trim_bytes: int, mmap_bytes: int, *, num_arenas: int) -> bool:
    """Change glibc's settings; 0 arenas leave their number to it."""
    if not sys.platform.startswith("linux"):
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    settings = ((_M_TRIM_THRESHOLD, trim_bytes), (_M_MMAP_THRESHOLD, mmap_bytes), (_M_ARENA_MAX, num_arenas))
    return change is not None and all(change(*setting) == 1 for setting in settings)
