"""Orbax checkpoints that are checked before they are believed.

    checkpoints/<stage>/<epoch>/              an Orbax step: all trials of the stage, trial by trial
    checkpoints/<stage>/<epoch>/manifest.json SHA-256 of every file of the step, and which run, stage, epoch and trials it belongs to;
                                              written last, so a step without it is unfinished

Orbax notices neither flipped bits nor a file cut short, so `restore` recomputes the sums and falls back to the newest step that is whole.
Whole is not enough: a step of another run, stage or epoch has the same shapes, restores without complaint and gives other predictions. So
`restore` compares what the manifest says with what is asked for, and a step that belongs elsewhere is an error: somebody has put it there,
and to fall back would train or evaluate something else without saying so.
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

from avemo_jax.atomic import write_json

MANIFEST = "manifest.json"


class DamagedCheckpoint(RuntimeError):
    """No step of a stage is whole."""


class ForeignCheckpoint(RuntimeError):
    """A step belongs to another run, stage, epoch or trials."""


class Checkpoints:
    """The checkpoints of one stage of a run.

    Args:
      directory: `checkpoints/<stage>` of the run directory.
      keep: number of newest steps that stay on disk.
      warn: called with a sentence for every damaged step that is passed over.
      owner: what a step belongs to, as values of JSON: "run_id" of the run ("" for a run of an earlier version, which has none), and
        whatever else identifies it. A step is read where all of it is equal; "trials" is compared trial by trial.
    """

    def __init__(self, directory: Path, *, keep: int, warn: Callable[[str], None], owner: Mapping[str, Any]):
        if keep < 1:
            raise ValueError(f"train.keep_checkpoints must be at least 1, got {keep}")
        self._directory = Path(directory).resolve()
        self._keep = keep
        self._warn = warn
        self._owner = json.loads(json.dumps(owner)) | {"stage": self._directory.name}

    def save(self, epoch: int, trials: Sequence[Any]) -> None:
        """Write all trials (trees of numpy arrays) as the step `epoch`; on return it is whole on disk, and older ones are thinned."""
        target = self._directory / str(epoch)
        if target.exists():  # an unfinished or damaged step of an earlier attempt
            shutil.rmtree(target)
        self._directory.mkdir(parents=True, exist_ok=True)
        with _checkpointer() as checkpointer:
            checkpointer.save(target, args=ocp.args.PyTreeSave(jax.tree.map(_writable, _as_tree(trials))))
        manifest = {"epoch": epoch, "num_trials": len(trials), "belongs_to": self._owner, "sha256": _sums(target)}
        write_json(target / MANIFEST, manifest)
        kept = [one for one in self.epochs() if one <= epoch][-self._keep :]
        for path in self._directory.iterdir():
            # A newer step was passed over as damaged and must not take a whole one's place; the other name is a killed attempt's.
            if (path.name.isdigit() and int(path.name) not in kept) or ".orbax-checkpoint-tmp" in path.name:
                shutil.rmtree(path)

    def epochs(self) -> list[int]:
        """Epochs of the finished steps, oldest first."""
        if not self._directory.is_dir():
            return []
        return sorted(int(path.name) for path in self._directory.iterdir() if path.name.isdigit() and (path / MANIFEST).is_file())

    def restore(self, like: Sequence[Any]) -> tuple[int, list[Any]] | None:
        """Read the newest step that is whole.

        Args:
          like: one tree a trial with the expected shapes and types (arrays or `jax.ShapeDtypeStruct`).

        Returns:
          (epoch, trials as trees of numpy arrays), or None where no step was ever finished.

        Raises:
          DamagedCheckpoint: there are steps, and none is whole.
          ForeignCheckpoint: the newest step that can be read belongs to something else, with all that differs.
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
                f"every checkpoint in {self._directory} is damaged (epochs {epochs}); remove that folder to train this stage anew"
            )
        return None

    def _refuse_foreign(self, step: Path) -> None:
        """Compare what the manifest of a whole step says with what is asked for."""
        manifest = json.loads((step / MANIFEST).read_text())
        differences = _differences({"epoch": manifest.get("epoch")}, {"epoch": int(step.name)})
        if "belongs_to" in manifest:
            differences += _differences(manifest["belongs_to"], self._owner)
        elif self._owner["run_id"]:
            differences.append(f"run_id: none there, {self._owner['run_id']} expected")
        if differences:
            raise ForeignCheckpoint(
                f"checkpoint {step} does not belong to this run, stage and epoch:\n  "
                + "\n  ".join(differences)
                + "\nPut this run's own checkpoint back, or remove that folder and go on with --mode=train."
            )
        if not self._owner["run_id"]:
            self._warn(
                f"checkpoint {step} has no run id: an earlier version began this run, and nothing shows that the checkpoint is its own"
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
                    f"checkpoint {step} is of another network: trial {i} has an array of shape and type {theirs}, expected {ours}"
                )
            trials.append(found)
        return trials


def _checkpointer() -> ocp.Checkpointer:
    """Orbax's, for this process alone: each of several keeps checkpoints of its own trials, and waits for none of the others."""
    number = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=number, active_processes={number}, barrier_sync_key_prefix=f"process {number}")
    handlers = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, ocp.type_handlers.NumpyHandler()),
        # A process writes its own replica of an array, whatever number the replica has; metadata would be compared over all processes,
        # and the devices that it lay on are nothing to a reader.
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
    """An array as Orbax writes it in each of several processes.

    Orbax writes numpy arrays in process 0 only, and refuses arrays that lie in one of several processes. It does write what each process
    has of an array that is spread over all of them. So a process gives its own values as its replica of such an array, which is never
    put together. It lies on the host where JAX has the host as a device.
    """
    array = np.asarray(leaf)
    if jax.process_count() == 1:
        return array
    try:
        devices = jax.devices("cpu")
    except RuntimeError:  # JAX_PLATFORMS names others alone
        devices = jax.devices()
    one_each = [next(one for one in devices if one.process_index == number) for number in range(jax.process_count())]
    everywhere = jax.sharding.NamedSharding(jax.sharding.Mesh(np.array(one_each), ("process",)), jax.sharding.PartitionSpec())
    own = jax.device_put(array, one_each[jax.process_index()])
    return jax.make_array_from_single_device_arrays(array.shape, everywhere, [own])


def _as_tree(trials: Sequence[Any]) -> dict[str, Any]:
    # Leaves are numbered: a name in the file would tie checkpoints to the Python names of the state's fields, and an optimiser's
    # state is a tuple of tuples without any.
    return {_name(i): {f"{j:05d}": leaf for j, leaf in enumerate(jax.tree.leaves(trial))} for i, trial in enumerate(trials)}


def _name(index: int) -> str:
    return f"trial_{index:06d}"


def _sums(step: Path) -> dict[str, str]:
    files = sorted(path for path in step.rglob("*") if path.is_file() and path != step / MANIFEST)
    return {path.relative_to(step).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _damage(step: Path) -> str | None:
    """What is wrong with a step, or None."""
    try:
        expected = json.loads((step / MANIFEST).read_text())["sha256"]
    except (ValueError, KeyError) as error:
        return f"its manifest cannot be read: {error}"
    found = _sums(step)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} does not belong to it"
        if expected[name] != found[name]:
            return f"{name} has SHA-256 {found[name][:12]}..., expected {expected[name][:12]}..."
    return None


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """A line for everything that differs; of trials for the first one that does."""
    lines = []
    for name in sorted(found.keys() | expected.keys()):
        one, other = found.get(name), expected.get(name)
        if name != "trials":
            lines += [f"{name}: {_shown(one)} there, {_shown(other)} expected"] if one != other else []
        elif len(one or ()) != len(other or ()):
            lines.append(f"{name}: {len(one or ())} there, {len(other or ())} expected")
        else:
            each = [_differences(there, here) for there, here in zip(one or (), other or (), strict=True)]
            lines += [f"trial {i}: {line}" for i, differing in enumerate(each) if differing for line in differing][:1]
    return lines


def _shown(value: Any) -> Any:
    return "none" if value in (None, "", {}) else value
