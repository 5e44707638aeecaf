"""What this machine's matrix products reach at best: the yardstick that shares of a peak are measured by."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp


def matrix_product_peak(*, size: int = 2048, seconds: float = 2.0) -> float:
    """Floating-point operations a second of the fastest of repeated float32 products of two `size` x `size` matrices.

    XLA's own product on all cores; `--xla_cpu_multi_thread_eigen=false`, under which trials run one a core, would halve it, so as many
    products run side by side as the host has cores.
    """
    num_lanes = len(os.sched_getaffinity(0)) if jax.default_backend() == "cpu" else 1
    product = jax.jit(jnp.matmul)
    pairs = [tuple(jax.random.normal(jax.random.key(2 * lane + side), (size, size)) for side in range(2)) for lane in range(num_lanes)]
    jax.block_until_ready([product(*pair) for pair in pairs])
    best, end = float("inf"), time.perf_counter() + seconds
    with ThreadPoolExecutor(num_lanes) as threads:
        while time.perf_counter() < end:
            start = time.perf_counter()
            list(threads.map(lambda pair: jax.block_until_ready(product(*pair)), pairs))
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 * num_lanes / best
