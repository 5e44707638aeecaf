"""The process keeps freed memory, until the setting is undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ROUNDS = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from avemo_jax.allocator import freed_memory_kept, give_back_freed_memory, keep_freed_memory

def faults():
    counts = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        [np.ones(40 << 17) for _ in range(3)]  # of 40 MiB
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return counts[-1]

assert keep_freed_memory()
with ThreadPoolExecutor(1) as thread:
    in_thread = thread.submit(faults).result()
kept = faults()
with freed_memory_kept():
    pass
still_kept = faults()
assert give_back_freed_memory()
given_back = faults()
with freed_memory_kept():
    for_a_while = faults()
print(kept, in_thread, still_kept, given_back, for_a_while, faults())
"""
BEFORE = """
import ctypes
from avemo_jax.allocator import freed_memory_kept, map_large_arrays

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
libc.malloc.restype = ctypes.c_void_p

def is_mapped(num_bytes):
    before = libc.mallinfo2().hblks
    assert libc.malloc(num_bytes)
    return libc.mallinfo2().hblks > before

found = []
for change in (lambda: None, map_large_arrays):
    change()
    found.append(is_mapped(5 << 20))
    with freed_memory_kept():
        found.append(is_mapped(5 << 20))
    found.append(is_mapped(5 << 20))
print(*map(int, found))
"""


def run(script: str, **environment: str) -> list[int]:
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return [int(part) for part in found.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has these thresholds")
def test_the_next_allocation_costs_no_page_faults_also_in_threads_that_start_later():
    kept, in_thread, still_kept, given_back, for_a_while, given_back_again = run(ROUNDS)
    assert max(kept, in_thread, still_kept, for_a_while) < 100
    assert min(given_back, given_back_again) > 40 * max(kept, for_a_while, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has these thresholds")
def test_the_earlier_mmap_threshold_applies_afterwards():
    small = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    large = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20)}
    assert run(BEFORE, **small) == [1, 0, 1] * 2
    assert run(BEFORE, **large) == [0, 0, 0, 1, 0, 1]
