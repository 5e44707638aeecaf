"""What is freed stays with the process, until it is told otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from avemo_jax.allocator import give_back_freed_memory, keep_freed_memory

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
assert give_back_freed_memory()
print(kept, in_thread, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has these thresholds")
def test_the_next_allocation_of_that_size_costs_no_page_faults_also_in_threads_that_start_later():
    found = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    kept, in_thread, given_back = map(int, found.stdout.split())
    assert kept < 100 and in_thread < 100 and given_back > 40 * max(kept, 1)
