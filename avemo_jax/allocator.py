"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 2**31 - 1
_OF_ITSELF = 32 << 20  # what glibc's own thresholds have grown to once blocks of this size were freed


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for its next allocation; returns whether the C library can (glibc).

    A large network on CPU takes and gives back some hundred MiB at every call. glibc hands blocks of that size back to the system, and the
    next call pays a page fault for each 4 KiB of them (docs/performance.md). The process then holds what it needed at its peak.
    """
    return _set_thresholds(_LARGEST, _LARGEST)


def give_back_freed_memory() -> bool:
    """Undo `keep_freed_memory`: large blocks go back to the system again."""
    return _set_thresholds(2 * _OF_ITSELF, _OF_ITSELF)


def _set_thresholds(trim_bytes: int, mmap_bytes: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return change is not None and change(_M_TRIM_THRESHOLD, trim_bytes) == 1 and change(_M_MMAP_THRESHOLD, mmap_bytes) == 1
