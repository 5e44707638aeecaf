"""Devices as a (`trial`, `data`) mesh; the only module that names mesh axes.

Trials are independent, so they are sharded first; with `data_shards` above 1, several devices share the batch of one trial. Axes are Auto:
XLA propagates the shardings, and batch norm uses the whole batch of a trial on any number of devices.
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
    """Return a mesh (trial, data) over the devices, in which `data_shards` devices share the batch of one trial.

    Args:
      devices: those of this process if None. A mesh may include the devices of several processes if all of them run the same trials.

    Raises:
      ValueError: `data_shards` does not divide the number of devices.
    """
    devices = jax.local_devices() if devices is None else devices
    if data_shards < 1 or len(devices) % data_shards:
        raise ValueError(
            f"config.devices.data_shards={data_shards} does not divide the number of devices, {len(devices)}; "
            f"set it to a divisor of {len(devices)}"
        )
    shape = (len(devices) // data_shards, data_shards)
    return jax.make_mesh(shape, (TRIAL, DATA), axis_types=(AxisType.Auto, AxisType.Auto), devices=devices)


def trial_meshes(mesh: Mesh) -> list[Mesh]:
    """Return the meshes over which trials that run one after another are distributed: one for each device of this process.

    If several devices share the batch of a trial, or several processes share the mesh, return the mesh itself: all devices work on each
    trial.
    """
    if mesh.shape[DATA] > 1 or any(device.process_index != jax.process_index() for device in mesh.devices.flat):
        return [mesh]
    return [make_mesh(devices=[device]) for device in mesh.devices.flat]


def pad_trials(num_trials: int, mesh: Mesh) -> int:
    """Return the smallest multiple of the mesh's trial axis that is at least `num_trials`."""
    shards = mesh.shape[TRIAL]
    return -(-num_trials // shards) * shards


def place_trials(tree: Any, mesh: Mesh) -> Any:
    """Put a tree of arrays with a leading trial axis (R, ...) on the mesh, sharded over trials."""
    return _place(tree, NamedSharding(mesh, PartitionSpec(TRIAL)))


class Sharing(dict[tuple[int, Mesh], Any]):
    """Arrays that were placed on a mesh, for trees that have arrays in common; only for arrays that no program donates."""


def place_everywhere(tree: Any, mesh: Mesh, sharing: Sharing | None = None) -> Any:
    """Put a copy of a tree of arrays on every device of the mesh.

    Args:
      sharing: an array that an earlier call with it has placed is not placed again; the host's arrays must live as long as it does.
    """
    if sharing is None:
        return _place(tree, NamedSharding(mesh, PartitionSpec()))

    def once(leaf: Any) -> Any:
        if (id(leaf), mesh) not in sharing:
            sharing[id(leaf), mesh] = _place(leaf, NamedSharding(mesh, PartitionSpec()))
        return sharing[id(leaf), mesh]

    return jax.tree.map(once, tree)


def place_batch(tree: Any, mesh: Mesh) -> Any:
    """Put one trial's batch (B, ...) on the mesh, sharded over all devices if B is divisible by their number, else copied to each."""
    size = jax.tree.leaves(tree)[0].shape[0]
    return _place(tree, NamedSharding(mesh, PartitionSpec((TRIAL, DATA)) if size % mesh.size == 0 else PartitionSpec()))


def _place(tree: Any, sharding: NamedSharding) -> Any:
    def put(leaf):
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        host = np.asarray(leaf)  # every process has the whole value and passes its own shards
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def over_trials(function: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
    """Return `function` vmapped over the trial axis; sharding constraints inside `function` stay valid."""
    return jax.vmap(function, in_axes=in_axes, spmd_axis_name=TRIAL)


def split_batch(tree: Any, mesh: Mesh | None) -> Any:
    """Constrain, inside a compiled step, one trial's batch (B, ...) to be sharded over the data axis."""
    if mesh is None or mesh.shape[DATA] == 1:
        return tree
    constrain = functools.partial(_constrain, mesh=mesh)
    return jax.tree.map(constrain, tree)


def _constrain(leaf: jax.Array, *, mesh: Mesh) -> jax.Array:
    return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, PartitionSpec(DATA)))


def to_host(tree: Any) -> Any:
    """Return a tree of device arrays as numpy arrays, gathered from all processes that hold shards."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree)):
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)
