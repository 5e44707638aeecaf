"""Orbax checkpoints that are verified before they are used.

    checkpoints/<stage>/<epoch>/              an Orbax step: all trials of the stage, trial by trial
    checkpoints/<stage>/<epoch>/manifest.json SHA-256 of every file of the step, and which run, stage, epoch and trials it belongs to;
                                              written last, so a step without it is unfinished

Orbax notices neither flipped bits nor truncated files, so `restore` recomputes the checksums and falls back to the newest undamaged step.
An undamaged step may still be the wrong one: a step of another run, stage or epoch has the same shapes, restores without an error and gives
other predictions. So `restore` also compares the manifest with this run. A step of another run raises an error, because it was copied
there by mistake and a fallback would silently train or evaluate something else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from avemo_jax import parallel
from avemo_jax.atomic import read_json, write_json
from avemo_jax.runs.ownership import ForeignFile, owner_differences

MANIFEST = "manifest.json"


class DamagedCheckpoint(RuntimeError):
    """Every step of a stage is damaged."""


class ForeignCheckpoint(ForeignFile):
    """A step belongs to another run, stage, epoch or trials."""


class Checkpoints:
    """The checkpoints of one stage of a run.

    Args:
      directory: `checkpoints/<stage>` of the run directory.
      keep: number of newest steps to keep on disk.
      warn: called with a message for every damaged step that is skipped.
      owner: identity of the run that a step must belong to, as JSON values: "run_id" ("" for a run of an earlier version, which has none)
        and any other facts. A step is restored only if all of them are equal; "trials" is compared trial by trial.
    """

    def __init__(self, directory: Path, *, keep: int, warn: Callable[[str], None], owner: Mapping[str, Any]):
        if keep < 1:
            raise ValueError(f"train.keep_checkpoints must be at least 1, got {keep}")
        self._directory = Path(directory).resolve()
        self._keep = keep
        self._warn = warn
        self._owner = json.loads(json.dumps(owner)) | {"stage": self._directory.name}

    def save(self, epoch: int, trials: Sequence[Any]) -> None:
        """Write all trials (trees of numpy arrays) as the step `epoch`, complete on disk on return; then delete the oldest steps."""
        target = self._directory / str(epoch)
        if target.exists():  # an unfinished or damaged step of an earlier attempt
            shutil.rmtree(target)
        self._directory.mkdir(parents=True, exist_ok=True)
        with _checkpointer() as checkpointer:
            checkpointer.save(target, args=ocp.args.PyTreeSave(jax.tree.map(_writable, _as_tree(trials))))
        manifest = {"epoch": epoch, "num_trials": len(trials), "belongs_to": self._owner, "sha256": _sums(target)}
        write_json(target / MANIFEST, manifest)
        newest = [one for one in self.epochs() if one <= epoch][-self._keep :]
        for path in self._directory.iterdir():
            # A step newer than `epoch` was skipped as damaged and must not displace an undamaged one; a killed save leaves the tmp folder.
            if (path.name.isdigit() and int(path.name) not in newest) or ".orbax-checkpoint-tmp" in path.name:
                shutil.rmtree(path)

    def epochs(self) -> list[int]:
        """Return the epochs of the finished steps, oldest first."""
        if not self._directory.is_dir():
            return []
        return sorted(int(path.name) for path in self._directory.iterdir() if path.name.isdigit() and (path / MANIFEST).is_file())

    def restore(self, like: Sequence[Any]) -> tuple[int, list[Any]] | None:
        """Return the newest undamaged step.

        Args:
          like: one tree a trial with the expected shapes and types (arrays or `jax.ShapeDtypeStruct`).

        Returns:
          (epoch, trials as trees of numpy arrays), or None if no step was ever finished.

        Raises:
          DamagedCheckpoint: there are steps, and all of them are damaged.
          ForeignCheckpoint: the newest undamaged step belongs to another run; the message lists every difference.
        """
        epochs = self.epochs()
        for epoch in reversed(epochs):
            step = self._directory / str(epoch)
            damage = _damage(step)
            if damage is None:
                self._refuse_foreign(step)
                return epoch, self._read(step, like)
            self._warn(f"checkpoint {step} is damaged ({damage}); trying the one before it")
        if epochs:
            raise DamagedCheckpoint(
                f"every checkpoint in {self._directory} is damaged (epochs {epochs}); remove that folder to train this stage again"
            )
        return None

    def _refuse_foreign(self, step: Path) -> None:
        """Raise ForeignCheckpoint unless the manifest of an undamaged step names this run, stage and epoch."""
        manifest = read_json(step / MANIFEST)
        differences = owner_differences({"epoch": manifest.get("epoch")}, {"epoch": int(step.name)})
        if "belongs_to" in manifest:
            differences += owner_differences(manifest["belongs_to"], self._owner)
        elif self._owner["run_id"]:
            differences.append(f"run_id: expected {self._owner['run_id']}, found none")
        if differences:
            raise ForeignCheckpoint(
                f"checkpoint {step} does not belong to this run, stage and epoch:\n  "
                + "\n  ".join(differences)
                + "\nPut this run's own checkpoint back, or remove that folder and continue with --mode=train."
            )
        if not self._owner["run_id"]:
            self._warn(
                f"checkpoint {step} has no run id, because an earlier version started this run; cannot verify that it belongs to this run"
            )

    def _read(self, step: Path, like: Sequence[Any]) -> list[Any]:
        as_numpy = jax.tree.map(lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray), _as_tree(like))
        with _checkpointer() as checkpointer:
            restored = checkpointer.restore(step, args=ocp.args.PyTreeRestore(restore_args=as_numpy))
        trials = []
        for i, expected in enumerate(like):
            found = jax.tree.unflatten(jax.tree.structure(expected), [leaf for _, leaf in sorted(restored[_name(i)].items())])
            shapes = [[(leaf.shape, np.dtype(leaf.dtype)) for leaf in jax.tree.leaves(tree)] for tree in (found, expected)]
            if shapes[0] != shapes[1]:
                ours, theirs = next((two, one) for one, two in zip(*shapes, strict=True) if one != two)
                raise ForeignCheckpoint(
                    f"checkpoint {step} belongs to another network: trial {i}: expected an array of shape and type {ours}, found {theirs}"
                )
            trials.append(found)
        return trials


class NullCheckpoints(Checkpoints):
    """Checkpoints that store nothing, for trials that are cheap to train again, such as those of a search round."""

    def __init__(self) -> None:
        pass

    def restore(self, like: Sequence[Any]) -> None:
        return None

    def save(self, epoch: int, trials: Sequence[Any]) -> None:
        return None


def _checkpointer() -> ocp.Checkpointer:
    """Return an Orbax checkpointer for this process alone: each process saves its own trials without waiting for the others."""
    number = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=number, active_processes={number}, barrier_sync_key_prefix=f"process {number}")
    handlers = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, ocp.type_handlers.NumpyHandler()),
        # A process writes its own replica of an array, whatever the replica's number is. No array metadata, which Orbax would compare
        # over all processes; no sharding file, because `restore` returns numpy arrays and needs no devices.
        (
            jax.Array,
            ocp.type_handlers.ArrayHandler(
                primary_host=number,
                replica_id=None,
                use_replica_parallel=False,
                enable_write_sharding_file=False,
                array_metadata_store=None,
            ),
        ),
    )
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=handlers, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _writable(leaf: Any) -> np.ndarray | jax.Array:
    """Return an array in a form that Orbax writes in every process.

    With several processes, Orbax writes numpy arrays in process 0 only and refuses arrays that one process holds alone. It does write
    the part that each process holds of an array over all processes. So each process passes its own values as its replica of such an
    array, which is never gathered. The array is on the CPU if JAX has the CPU as a device.
    """
    array = np.asarray(leaf)
    if jax.process_count() == 1:
        return array
    try:
        devices = jax.devices("cpu")
    except RuntimeError:  # JAX_PLATFORMS excludes cpu
        devices = jax.devices()
    one_each = [next(one for one in devices if one.process_index == number) for number in range(jax.process_count())]
    everywhere = jax.sharding.NamedSharding(parallel.make_mesh(devices=one_each), jax.sharding.PartitionSpec())
    own = jax.device_put(array, one_each[jax.process_index()])
    return jax.make_array_from_single_device_arrays(array.shape, everywhere, [own])


def _as_tree(trials: Sequence[Any]) -> dict[str, Any]:
    # Leaves are numbered: field names in the file would break old checkpoints when a field is renamed, and an optimiser's state is a
    # tuple of tuples without names.
    return {_name(i): {f"{j:05d}": leaf for j, leaf in enumerate(jax.tree.leaves(trial))} for i, trial in enumerate(trials)}


def _name(index: int) -> str:
    return f"trial_{index:06d}"


def _sums(step: Path) -> dict[str, str]:
    files = sorted(path for path in step.rglob("*") if path.is_file() and path != step / MANIFEST)
    return {path.relative_to(step).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _damage(step: Path) -> str | None:
    """Return what is wrong with the files of a step, or None."""
    try:
        expected = read_json(step / MANIFEST)["sha256"]
    except (ValueError, KeyError) as error:
        return f"its manifest cannot be read: {error}"
    found = _sums(step)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is not in its manifest"
        if expected[name] != found[name]:
            return f"{name}: expected SHA-256 {expected[name][:12]}..., found {found[name][:12]}..."
    return None
