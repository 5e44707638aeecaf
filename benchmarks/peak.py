"""The rate of large matrix products on this device, the reference for shares of the peak."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Products(NamedTuple):
    """Large matrix products as a side of a comparison: a function that computes them, and its number of operations."""

    run: Callable[[], float]
    flops: float


def matrix_products(*, num_turns: int = 16) -> Products:
    """Return float32 products of two square matrices of size 2048 on a CPU or 8192 on an accelerator, `num_turns` one after another.

    Trials run one a core with `--xla_cpu_multi_thread_eigen=false`, under which a single product would reach only half the rate, so as many
    products run side by side as the host has cores.
    """
    on_cpu = jax.default_backend() == "cpu"
    num_lanes, size = (len(os.sched_getaffinity(0)), 2048) if on_cpu else (1, 8192)
    product = jax.jit(jnp.matmul)
    pairs = [tuple(jax.random.normal(jax.random.key(2 * lane + side), (size, size)) for side in range(2)) for lane in range(num_lanes)]

    def lane(pair: tuple[jax.Array, ...]) -> jax.Array:
        made = [product(*pair) for _ in range(num_turns)]
        return jax.block_until_ready(made)[-1]

    def run() -> float:
        with ThreadPoolExecutor(num_lanes) as threads:
            return float(sum(one[0, 0] for one in threads.map(lane, pairs)))

    return Products(run, 2.0 * size**3 * num_lanes * num_turns)
