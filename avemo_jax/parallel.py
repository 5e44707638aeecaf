"""Devices as a (`trial`, `data`) mesh; the only module that names mesh axes.

Trials are independent, so they are spread first; devices left over share the batch of one trial. Axes are Auto: XLA propagates the
shardings, and batch norm sees the whole batch of a trial however many devices hold it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

TRIAL = "trial"
DATA = "data"


def make_mesh(*, data_shards: int = 1, devices: list[Any] | None = None) -> Mesh:
    """Lay the devices out as (trial, data), with `data_shards` of them sharing the batch of one trial.

    Args:
      devices: those of this process if None. A mesh over the devices of several processes works too, where all of them run the same trials.

    Raises:
      ValueError: the number of devices is no multiple of `data_shards`.
    """
    devices = jax.local_devices() if devices is None else devices
    if data_shards < 1 or len(devices) % data_shards:
        raise ValueError(
            f"config.devices.data_shards={data_shards} does not divide the {len(devices)} devices at hand; "
            f"set it to a divisor of {len(devices)}"
        )
    shape = (len(devices) // data_shards, data_shards)
    return jax.make_mesh(shape, (TRIAL, DATA), axis_types=(AxisType.Auto, AxisType.Auto), devices=devices)


def trial_meshes(mesh: Mesh) -> list[Mesh]:
    """Where trials that run one after another are spread: a mesh for each device of this process.

    Where several devices share a trial's batch, or several processes the mesh, it is the mesh itself, and all devices work on each trial.
    """
    if mesh.shape[DATA] > 1 or any(device.process_index != jax.process_index() for device in mesh.devices.flat):
        return [mesh]
    return [make_mesh(devices=[device]) for device in mesh.devices.flat]


def pad_trials(num_trials: int, mesh: Mesh) -> int:
    """Return the number of lanes that holds `num_trials` and divides evenly over the mesh."""
    shards = mesh.shape[TRIAL]
    return -(-num_trials // shards) * shards


def place_trials(tree: Any, mesh: Mesh) -> Any:
    """Put a tree of arrays with a leading trial axis (R, ...) on the mesh, trials spread out."""
    return _place(tree, NamedSharding(mesh, PartitionSpec(TRIAL)))


def place_everywhere(tree: Any, mesh: Mesh) -> Any:
    """Put a whole copy of a tree of arrays on every device of the mesh."""
    return _place(tree, NamedSharding(mesh, PartitionSpec()))


def place_batch(tree: Any, mesh: Mesh) -> Any:
    """Put one trial's batch on the mesh, its leading axis (B, ...) spread over all devices where it divides, else a copy on each."""
    size = jax.tree.leaves(tree)[0].shape[0]
    return _place(tree, NamedSharding(mesh, PartitionSpec((TRIAL, DATA)) if size % mesh.size == 0 else PartitionSpec()))


def _place(tree: Any, sharding: NamedSharding) -> Any:
    def put(leaf):
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        host = np.asarray(leaf)  # every process holds the whole value and hands over its own part
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def over_trials(function: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
    """`vmap` over the trial axis, in a way that keeps shardings stated inside `function` valid."""
    return jax.vmap(function, in_axes=in_axes, spmd_axis_name=TRIAL)


def split_batch(tree: Any, mesh: Mesh | None) -> Any:
    """State, inside a compiled step, that the leading axis of one trial's batch (B, ...) is spread over the data axis."""
    if mesh is None or mesh.shape[DATA] == 1:
        return tree
    constrain = functools.partial(_constrain, mesh=mesh)
    return jax.tree.map(constrain, tree)


def _constrain(leaf: jax.Array, *, mesh: Mesh) -> jax.Array:
    return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, PartitionSpec(DATA)))


def to_host(tree: Any) -> Any:
    """Fetch a tree of device arrays as numpy arrays, from all processes that hold a part."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)
