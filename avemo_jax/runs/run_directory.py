"""The run directory: what a grid leaves behind, locked while it is written, refused to another config."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from avemo_jax.atomic import atomic_file, write_json
from avemo_jax.config import Experiment, to_plain
from avemo_jax.json_lines import read_rows
from avemo_jax.redaction import redacted_tree

# Fields that say where and how fast, not what: a run may be resumed with other values.
# Files that views read count by their content, which is in the keys of the prepared sets (`RunDirectory.bind`); those of a view's
# detector are named `detector_path` in each.
UNCOMPARED = (
    "workdir",
    "prepared_dir",
    "weights_dir",
    "num_workers",
    "beam_runner",
    "beam_options",
    "corpus.root",
    "protocol.allow_leaks",
    "protocol.near_duplicates",
    "robustness.conditions",
    "search.storage",
    "search.name",
    "search.lease_s",
    "devices.compilation_cache",
    "devices.memory_gib",
    "devices.distributed",
    "devices.coordinator",
    "devices.process",
    "devices.num_processes",
    "devices.heartbeat_s",
    "train.tensorboard",
    "train.checkpoint_every_epochs",
    "train.keep_checkpoints",
    "views.table.path",
    "views.table.allow_columns",
)
# Packages whose version may change a number.
VERSIONED = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn"),
    *("av", "soundfile", "soxr", "librosa", "opencv-python-headless", "scikit-image"),
)


class ConfigMismatch(ValueError):
    """The directory holds a run of another config."""


class ChangedPredictions(ValueError):
    """A file of predictions is not the one that the run wrote."""


class RunDirectory:
    """A run's files. Open it with `open_run`."""

    def __init__(self, path: Path):
        self.path = path
        self._seconds: dict[str, float] = {}

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file in one piece."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def keep_rows(self, stage: str, trials: Collection[int], num_epochs: int, name: str | Path = "metrics.jsonl") -> None:
        """Cut the rows of these trials of a stage in a file of rows back to their first `num_epochs` epochs: where a resumed run goes on.

        Rows of other stages stay, those of later ones too: a run that is started again passes through every stage that it has finished.
        """
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        rows = read_rows(path) if path.exists() else []
        kept = [row for row in rows if row["stage"] != stage or row["trial"] not in trials or row["epoch"] < num_epochs]
        with atomic_file(path) as stream:
            stream.writelines(json.dumps(row) + "\n" for row in kept)

    def append_rows(self, rows: list[Mapping[str, Any]], name: str | Path = "metrics.jsonl") -> None:
        """Add rows to a file of rows."""
        with (self.path / name).open("a") as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows))

    def bind(self, **facts: Any) -> None:
        """Tie the run to its data: write these facts into run.json the first time, compare them ever after.

        Weights belong to the folds that they were trained on: tested on other folds they would meet clips that they have seen.

        Raises:
          ConfigMismatch: the run was begun with other facts; the message shows every difference.
        """
        self.check(**facts)
        self.write_run_json(**facts)

    def check(self, **facts: Any) -> None:
        """As `bind`, for a process that does not own the directory: writes nothing."""
        earlier = self.read_json("run.json") if self.has("run.json") else {}
        changed = [f"{name}: {earlier[name]} there, {value} now" for name, value in facts.items() if earlier.get(name, value) != value]
        if changed:
            raise ConfigMismatch(
                f"{self.path} was trained on other data or other folds:\n  "
                + "\n  ".join(changed)
                + "\nPoint --config.corpus.root at the corpus it was begun with, or give this run another --config.workdir."
            )

    def record_predictions(self, names: Sequence[str]) -> None:
        """Write the SHA-256 of these files of predictions into run.json."""
        self.write_run_json(predictions_sha256={name: _sha256(self.path / name) for name in names})

    def check_predictions(self) -> None:
        """Check that the files of predictions that are there are those that the run wrote; one that was removed is no change.

        Raises:
          ChangedPredictions: one was changed, with what to do.
        """
        recorded = self.read_json("run.json").get("predictions_sha256", {}) if self.has("run.json") else {}
        for name, expected in recorded.items():
            if self.has(name) and (found := _sha256(self.path / name)) != expected:
                raise ChangedPredictions(
                    f"{self.path / name} was changed after this run wrote it: expected SHA-256 {expected[:12]}..., found {found[:12]}...; "
                    "put the original back, or remove the file and --mode=evaluate writes it anew from the checkpoints"
                )

    @contextmanager
    def lock_share(self, share: int, *, timeout_s: float) -> Iterator[None]:
        """Hold a part of the run that one of several processes trains.

        Raises:
          RuntimeError: another process still holds it after `timeout_s`, in which a lost run's other processes should have ended.
        """
        lock = filelock.FileLock(self.path / f".share-{share}.lock")
        try:
            lock.acquire(timeout=timeout_s)
        except filelock.Timeout:
            raise RuntimeError(
                f"another process is training share {share} of {self.path}; end the processes of its earlier start"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; run.json adds up the seconds of all attempts."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def write_run_json(self, **facts: Any) -> None:
        """Write run.json: id, versions, commit, devices, hashes, seconds per phase."""
        import jax

        # A run of an earlier version stays without an id: its checkpoints have none either.
        earlier: dict[str, Any] = self.read_json("run.json") if self.has("run.json") else {"run_id": uuid.uuid4().hex}
        seconds = dict(earlier.get("seconds", {}))
        for name, value in self._seconds.items():
            seconds[name] = round(seconds.get(name, 0.0) + value, 3)
        self._seconds.clear()
        started = earlier.get("started", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
        self.write_json(
            "run.json",
            earlier
            | {
                "started": started,
                # The command that trained; evaluating again later does not take its place.
                "command": earlier.get("command", redacted_tree([Path(sys.argv[0]).name, *sys.argv[1:]])),
                "python": platform.python_version(),
                "versions": {name: _version(name) for name in VERSIONED},
                "git_commit": _git_commit(),
                "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
                "processes": jax.process_count(),
                "seconds": seconds,
            }
            | facts,
        )


def read_owner(path: Path) -> dict[str, Any]:
    """What the checkpoints of a run belong to: its id ("" where an earlier version began it), config, folds and prepared sets."""
    facts, config = (json.loads(file.read_text()) if file.is_file() else {} for file in (path / "run.json", path / "config.json"))
    return {
        "run_id": facts.get("run_id", ""),
        # Of the file, which is written once: a config that is resumed with may differ in where and how fast.
        "config_sha256": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        "fold_hash": facts.get("fold_hash", ""),
        "prepared_sets": facts.get("prepared_sets", {}),
    }


@contextmanager
def open_run(path: Path, experiment: Experiment) -> Iterator[RunDirectory]:
    """Lock a run directory, making it where there is none, and check that it belongs to this config; passwords are not written into it.

    Raises:
      ConfigMismatch: it holds a run of another config; the message shows every difference.
      RuntimeError: another process is working in it.
    """
    path, config = Path(path), redacted_tree(to_plain(experiment))
    path.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RuntimeError(f"another process is working in {path}; wait for it, or give this run its own --config.workdir") from None
    try:
        stored = path / "config.json"
        if stored.exists():
            _refuse_other(path, config)
        else:
            write_json(stored, config)
        yield RunDirectory(path)
    finally:
        lock.release()


def follow_run(path: Path, experiment: Experiment) -> RunDirectory:
    """Return the run directory that another process has opened for the same config; this one writes rows and checkpoints of its share.

    Raises:
      ConfigMismatch: this process was started with another config; the message shows every difference.
    """
    _refuse_other(Path(path), redacted_tree(to_plain(experiment)))
    return RunDirectory(Path(path))


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a run's config.json.

    Raises:
      ConfigMismatch: an earlier version wrote it, with other fields.
    """
    stored: dict[str, Any] = json.loads((path / "config.json").read_text())
    if "streams" not in stored:
        raise ConfigMismatch(
            f"{path} holds a run of an earlier version, with other fields in its config; its predictions.csv and report.html stay "
            "readable, "
            "and a new run needs another --config.workdir"
        )
    return stored


def _refuse_other(path: Path, config: Mapping[str, Any]) -> None:
    stored = read_config(path)
    differences = compare_configs(stored, json.loads(json.dumps(config)))
    if differences:
        raise ConfigMismatch(
            f"{path} holds a run of another config:\n  "
            + "\n  ".join(differences)
            + "\nGive this run another --config.workdir, or remove that folder."
        )


def compare_configs(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Lines `field: stored -> given` for every field that matters and differs."""
    old, new = flatten(stored), flatten(given)
    return [
        f"{name}: {old.get(name, '(absent)')!r} there, {new.get(name, '(absent)')!r} now"
        for name in sorted(old.keys() | new.keys())
        if name not in UNCOMPARED and not name.endswith(".detector_path") and old.get(name, "(absent)") != new.get(name, "(absent)")
    ]


def complete(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The given config with the stored one's values in fields that are unset (None): where the corpus lay need not be said twice."""
    filled = dict(given)
    for key, value in given.items():
        if isinstance(value, Mapping):
            filled[key] = complete(value, stored.get(key) or {})
        elif value is None:
            filled[key] = stored.get(key)
    return filled


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _git_commit() -> str:
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()
