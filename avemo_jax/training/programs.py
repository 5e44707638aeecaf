"""The training program of a network, recipe and feed; no other module distinguishes examples in memory from examples on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from avemo_jax.data.feed import Feed
from avemo_jax.data.resident import ResidentSet
from avemo_jax.data.stream import StreamedSet
from avemo_jax.training import memory, steps
from avemo_jax.training.execution import Execution, TrialProgram
from avemo_jax.training.stage import NO_WARM_START
from avemo_jax.training.state import Recipe, TrialInputs
from avemo_jax.training.stream_program import StreamProgram, fit_stream_scalers, row_shapes

Program = TrialProgram | StreamProgram


def make_program(
    net: nn.Module, recipe: Recipe, feed: Feed, execution: Execution, mesh: Mesh, *, num_steps: int, num_lanes: int = 0
) -> Program:
    """Return the program that trains trials of one network and recipe on a feed, not yet compiled.

    Args:
      feed: examples with exactly the streams of the recipe.
      execution: unused where examples are streamed: trials then run one after another.
      num_steps: number of batches in an epoch.
      num_lanes: number of trials that it is compiled for, where they run side by side; fewer trials are padded to it.

    Raises:
      ValueError: the recipe has length buckets and the examples are streamed.
    """
    if isinstance(feed, ResidentSet):
        return TrialProgram(net, recipe, dict(feed.arrays), execution, mesh, num_steps, num_lanes=num_lanes)
    if isinstance(feed, StreamedSet):
        return StreamProgram(net, recipe, feed, mesh, num_steps)
    raise TypeError(f"expected a ResidentSet or a StreamedSet, got {type(feed).__name__}")


def estimate_memory(net: nn.Module, recipe: Recipe, feed: Feed, inputs: TrialInputs, *, data_shards: int) -> memory.Need:
    """Return an estimate of the memory of a program's trials, without compiling or using a device.

    Args:
      feed: examples with exactly the streams of the recipe.
      data_shards: number of devices over which a batch is split where examples are in memory; streamed batches are split over all.
    """
    rows = row_shapes(feed)
    return memory.estimate(
        net,
        recipe,
        steps.trial_shape(net, recipe, rows, inputs, NO_WARM_START),
        inputs,
        rows,
        shared_bytes=feed.device_bytes,
        data_shards=data_shards if feed.is_resident else jax.local_device_count(),
    )


def spread(feed: Feed, execution: Execution, *, num_trials: int, data_shards: int) -> dict[str, int]:
    """Return how many trials compute a step at the same time (`at_once`), and over how many devices they are spread (`trial_shards`)."""
    if not feed.is_resident:
        return {"at_once": 1, "trial_shards": 1}
    if execution.trials == "loop":
        return {"at_once": os.cpu_count() or 1, "trial_shards": jax.local_device_count() if data_shards == 1 else 1}
    return {"at_once": num_trials, "trial_shards": jax.local_device_count() // data_shards}


def fit_scalers(recipe: Recipe, feed: Feed, arrays: Mapping[str, np.ndarray], num_train: int) -> dict[str, Any]:
    """Return the scalers of the first `num_train` of some examples, by the function that fits them in training on this feed.

    Args:
      arrays: the examples, with the keys of a resident set.
    """
    if feed.is_resident:
        return steps.fit_scalers(recipe, dict(arrays), jnp.arange(num_train), jnp.asarray(num_train))
    return fit_stream_scalers(recipe, lambda rows: {name: values[rows] for name, values in arrays.items()}, np.arange(num_train))
