"""Orbax checkpoints that are checked before they are believed.

    checkpoints/<stage>/<epoch>/              an Orbax step: all trials of the stage, trial by trial
    checkpoints/<stage>/<epoch>/manifest.json SHA-256 of every file of the step; written last, so a step without it is unfinished

Orbax notices neither flipped bits nor a file cut short, so `restore` recomputes the sums and falls back to the newest step that is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint as ocp

from avemo_jax.atomic import write_json

MANIFEST = "manifest.json"


class DamagedCheckpoint(RuntimeError):
    """No step of a stage is whole."""


class Checkpoints:
    """The checkpoints of one stage of a run.

    Args:
      directory: `checkpoints/<stage>` of the run directory.
      keep: number of newest steps that stay on disk.
      warn: called with a sentence for every damaged step that is passed over.
    """

    def __init__(self, directory: Path, *, keep: int, warn: Callable[[str], None]):
        if keep < 1:
            raise ValueError(f"train.keep_checkpoints must be at least 1, got {keep}")
        self._directory = Path(directory).resolve()
        self._keep = keep
        self._warn = warn

    def save(self, epoch: int, trials: Sequence[Any]) -> None:
        """Write all trials (trees of numpy arrays) as the step `epoch`; on return it is whole on disk, and older ones are thinned."""
        target = self._directory / str(epoch)
        if target.exists():  # an unfinished or damaged step of an earlier attempt
            shutil.rmtree(target)
        self._directory.mkdir(parents=True, exist_ok=True)
        with _checkpointer() as checkpointer:
            checkpointer.save(target, _as_tree(trials))
            checkpointer.wait_until_finished()
        manifest = {"epoch": epoch, "num_trials": len(trials), "sha256": _sums(target)}
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
        """
        epochs = self.epochs()
        for epoch in reversed(epochs):
            step = self._directory / str(epoch)
            damage = _damage(step)
            if damage is None:
                return epoch, self._read(step, like)
            self._warn(f"checkpoint {step} is damaged ({damage}); trying the one before it")
        if epochs:
            raise DamagedCheckpoint(
                f"every checkpoint in {self._directory} is damaged (epochs {epochs}); remove that folder to train this stage anew"
            )
        return None

    def _read(self, step: Path, like: Sequence[Any]) -> list[Any]:
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), _as_tree(like))
        with _checkpointer() as checkpointer:
            restored = checkpointer.restore(step, target)
        leaves = jax.tree.map(np.asarray, restored)
        structure = [jax.tree.structure(trial) for trial in like]
        return [jax.tree.unflatten(structure[i], jax.tree.leaves(leaves[_name(i)])) for i in range(len(like))]


@contextmanager
def _checkpointer() -> Iterator[ocp.StandardCheckpointer]:
    """Orbax's, for this process alone: each of several keeps checkpoints of its own trials.

    Orbax means all processes to save one tree together: numpy arrays are written by process 0 only, arrays on one process's devices are
    refused, and its options for a part of the processes change neither. So it is told, while it works, that there is one process, and none
    to exchange signals with: processes that save different trees would take each other's, and wait for ever.
    """
    alone = mock.patch.multiple(jax, process_index=lambda: 0, process_count=lambda: 1)
    silent = mock.patch.object(ocp.multihost, "is_jax_distributed_client_initialized", lambda: False)
    with alone, silent, ocp.StandardCheckpointer() as checkpointer:
        yield checkpointer


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
