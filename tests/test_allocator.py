"""What is freed stays with the process, until it is told otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource
import numpy as np
from avemo_jax.allocator import give_back_freed_memory, keep_freed_memory

def faults(change):
    assert change()
    counts = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100 << 17)  # 100 MiB
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return counts[-1]

print(faults(keep_freed_memory), faults(give_back_freed_memory))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has these thresholds")
def test_the_next_allocation_of_that_size_costs_no_page_faults():
    found = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    kept, given_back = map(int, found.stdout.split())
    assert kept < 100 and given_back > 40 * max(kept, 1)
