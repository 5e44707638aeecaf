"""The device memory of a trial group, estimated before anything is compiled, and the largest group that fits.

Bytes of a group of n trials on one device = shared + n x trial + (trials in a step at the same time) x step, where

    shared   the resident set, once
    trial    a trial's state: weights, optimiser, best weights, scaler
    step     the peak of all further values in one training step, and the state that it starts from

The peak of a step is found on its trace: every value is live from the operation that computes it to the last one that reads it. XLA
allocates more, mainly for transposed copies. The estimate multiplies the peak by `_XLA_OVER_TRACE`, and tests/training/test_memory.py
compares it with the compiler's report on a CPU. On a GPU it is not measured.
"""

from __future__ import annotations

import dataclasses
import os
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from avemo_jax.training import steps
from avemo_jax.training.dimensions import RATING
from avemo_jax.training.state import Recipe, TrialInputs, TrialState

# Share of the device's memory that trials may use; the rest is for the compiler's workspace, validation and fragmentation.
_SHARE = 0.85
_XLA_OVER_TRACE = 1.75
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclasses.dataclass(frozen=True)
class Need:
    """Memory of a trial group in bytes; see the docstring of this module."""

    shared_bytes: int
    trial_bytes: int
    step_bytes: int

    def of_batch(self, num_trials: int, *, at_once: int, trial_shards: int = 1) -> int:
        """Return the bytes on one device.

        Args:
          num_trials: number of trials in the group.
          at_once: largest number of trials that are in a step at the same time.
          trial_shards: number of devices that the trials are spread over.
        """
        on_device = -(-num_trials // trial_shards)
        return self.shared_bytes + on_device * self.trial_bytes + min(on_device, at_once) * self.step_bytes

    def largest_batch(self, limit_bytes: int, num_trials: int, *, at_once: int, trial_shards: int = 1) -> int:
        """Return the largest number of trials, up to `num_trials`, that fit into `limit_bytes` of each device; at least one a device."""
        low, high = min(trial_shards, num_trials), num_trials
        while low < high:
            middle = (low + high + 1) // 2
            if self.of_batch(middle, at_once=at_once, trial_shards=trial_shards) <= limit_bytes:
                low = middle
            else:
                high = middle - 1
        return low


def estimate(
    net: nn.Module, recipe: Recipe, state: TrialState, inputs: TrialInputs, examples: Any, *, shared_bytes: int, data_shards: int = 1
) -> Need:
    """Return an estimate of the memory of a program's trials.

    Args:
      state: shapes and types of a trial's state.
      examples: stream, and `<stream>_mask`, -> shape and type of one example, as in a batch without the leading axis.
      shared_bytes: bytes on each device that all trials share.
      data_shards: number of devices over which the batch of one trial is split.
    """
    size = -(-recipe.batch_size // data_shards)
    batch = _batch_shapes(recipe, examples, size)
    trace = step_trace(net, recipe, state, inputs, examples, size)
    return Need(
        shared_bytes=shared_bytes,
        trial_bytes=tree_bytes(state),
        step_bytes=int(_XLA_OVER_TRACE * peak_bytes(trace.jaxpr)) + tree_bytes(batch) + tree_bytes(state.learner),
    )


def _batch_shapes(recipe: Recipe, examples: Any, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes and types of a batch of `size` examples, as `steps.train_step` takes it."""
    batch = {name: jax.ShapeDtypeStruct((size, *one.shape), one.dtype) for name, one in examples.items()}
    batch |= {name: jax.ShapeDtypeStruct((size,), np.int32) for name in ("label", "clip")}
    batch["mask"] = jax.ShapeDtypeStruct((size,), np.bool_)
    if recipe.num_dimensions:
        batch[RATING] = jax.ShapeDtypeStruct((size, recipe.num_dimensions), np.float32)
    return batch


def step_trace(net: nn.Module, recipe: Recipe, state: TrialState, inputs: TrialInputs, examples: Any, size: int) -> Any:
    """Return the trace (closed jaxpr) of one training step on a batch of `size` examples, without compiling or computing it.

    Args:
      state, inputs, examples: as `estimate` takes them.
    """
    batch = _batch_shapes(recipe, examples, size)
    return jax.make_jaxpr(partial(steps.train_step, net, recipe))(state.learner, state.scaler, batch, inputs.hyper, jnp.float32(0))


def device_bytes(memory_gib: float) -> int:
    """Return the bytes that trials may use on one local device.

    Args:
      memory_gib: `config.devices.memory_gib`; 0 asks the device, or on a CPU the operating system and the limit of its container.
    """
    if memory_gib < 0:
        raise ValueError(f"config.devices.memory_gib must be 0 (ask the device) or more, got {memory_gib}")
    if memory_gib:
        return int(memory_gib * 2**30)
    device = jax.local_devices()[0]
    stated = (device.memory_stats() or {}).get("bytes_limit")
    # Virtual devices of a CPU share one memory.
    return int(_SHARE * (stated or _host_bytes() // jax.local_device_count()))


def tree_bytes(tree: Any) -> int:
    """Return the bytes of all arrays of a tree."""
    return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))


def _host_bytes() -> int:
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _CGROUP_LIMITS):
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def peak_bytes(jaxpr: Any) -> int:
    """Return the peak of live bytes among the values that a trace computes, without its arguments."""
    last_use = {id(var): index for index, eqn in enumerate(jaxpr.eqns) for var in eqn.invars}
    last_use |= {id(var): len(jaxpr.eqns) for var in jaxpr.outvars}
    live = peak = 0
    made: dict[int, int] = {}
    for index, eqn in enumerate(jaxpr.eqns):
        inner = max((peak_bytes(one) for one in traces_inside(eqn)), default=0)
        own = {id(var): _var_bytes(var) for var in eqn.outvars}
        peak = max(peak, live + sum(own.values()), live + inner)
        for name, size in own.items():
            if last_use.get(name, -1) > index:
                made[name] = size
                live += size
        for name in {id(var) for var in eqn.invars}:
            if name in made and last_use[name] == index:
                live -= made.pop(name)
    return peak


def traces_inside(eqn: Any) -> list[Any]:
    """Return the traces inside an operation, such as the body of a loop or of a called function."""
    found = []
    for value in eqn.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            if hasattr(one, "eqns"):
                found.append(one)
    return found


def _var_bytes(var: Any) -> int:
    shape, dtype = getattr(var.aval, "shape", ()), getattr(var.aval, "dtype", None)
    if dtype is None:
        return 0
    size = 16 if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) else np.dtype(dtype).itemsize
    return int(np.prod(shape)) * size
