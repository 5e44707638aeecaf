"""The run directory: the files of a run, locked while a process writes them; a run of another config cannot use it."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avemo_jax.atomic import atomic_file, read_json, remove_leftovers, write_json
from avemo_jax.config import ConfigError, Experiment, parse, to_plain
from avemo_jax.json_lines import read_rows
from avemo_jax.locks import LockHeld, locked
from avemo_jax.redaction import redacted_tree
from avemo_jax.runs import time_spent

# Fields of places and speed, which do not change the results: a run may be resumed with other values.
# The content of files that views read is compared through the keys of the prepared sets (`RunDirectory.bind`), so their paths are not;
# the path of a view's detector is `detector_path` in every view.
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
    *(f"adaptation.{field}" for field in ("num_labelled", "num_tested", "num_draws", "seed")),
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
    "devices.profile",
    "train.tensorboard",
    "train.trackers",
    "train.checkpoint_every_epochs",
    "train.keep_checkpoints",
    *(f"views.{view}.{field}" for view in ("table", "table_2", "table_3") for field in ("path", "allow_columns", "decimal")),
)
# Packages that may change a result with their version.
VERSIONED = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scikit-learn"),
    *("av", "soundfile", "soxr", "librosa", "opencv-python-headless", "scikit-image"),
)


class ConfigMismatch(ValueError):
    """The run directory belongs to a run of another config."""


class ChangedPredictions(ValueError):
    """A predictions file was changed after the run wrote it."""


class RunDirectory:
    """The files of a run. Open it with `open_run`."""

    def __init__(self, path: Path):
        self.path = path
        self._spent = time_spent.current()
        self._was_finished = self.has("results.json")

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file atomically."""
        write_json(self.path / name, content)

    def read_json(self, name: str) -> Any:
        return read_json(self.path / name)

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def keep_rows(self, stage: str, trials: Collection[int], num_epochs: int, name: str | Path = "metrics.jsonl") -> None:
        """Delete the rows of these trials of a stage from epoch `num_epochs` on, where a resumed run continues.

        Rows of other stages stay, also those of later stages, because a restarted run passes through all finished stages first.
        """
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        rows = read_rows(path) if path.exists() else []
        rows = [row for row in rows if row["stage"] != stage or row["trial"] not in trials or row["epoch"] < num_epochs]
        with atomic_file(path) as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)

    def append_rows(self, rows: list[Mapping[str, Any]], name: str | Path = "metrics.jsonl") -> None:
        """Append rows to a JSON-lines file."""
        with (self.path / name).open("a") as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows))

    def bind(self, **facts: Any) -> None:
        """Write these facts of the run's data into run.json the first time; compare with them on every later start.

        Weights are valid only for the folds on which they were trained: the test part of another fold holds clips of their training part.

        Raises:
          ConfigMismatch: the run was started with other facts; the message lists every difference.
        """
        self.check(**facts)
        self.write_run_json(**facts)

    def check(self, **facts: Any) -> None:
        """Compare as `bind` does, without writing; for a process that does not own the directory."""
        earlier = self.read_json("run.json") if self.has("run.json") else {}
        changed = [f"{name}: stored {earlier[name]}, given {value}" for name, value in facts.items() if earlier.get(name, value) != value]
        if changed:
            raise ConfigMismatch(
                f"{self.path} holds a run that was trained on other data or other folds:\n  "
                + "\n  ".join(changed)
                + "\nSet --config.corpus.root to the corpus of that run, or give this run another --config.workdir."
            )

    def record_predictions(self, names: Sequence[str]) -> None:
        """Write the SHA-256 of these predictions files, and of the Parquet files beside them, into run.json."""
        beside = [name for name in (str(Path(name).with_suffix(".parquet")) for name in names) if self.has(name)]
        self.write_run_json(predictions_sha256={name: _sha256(self.path / name) for name in (*names, *beside)})

    def check_predictions(self) -> None:
        """Check that the existing predictions files are unchanged since the run wrote them; a removed file is accepted.

        Raises:
          ChangedPredictions: a file was changed; the message states the fix.
        """
        recorded = self.read_json("run.json").get("predictions_sha256", {}) if self.has("run.json") else {}
        for name, expected in recorded.items():
            if self.has(name) and (found := _sha256(self.path / name)) != expected:
                raise ChangedPredictions(
                    f"{self.path / name} was changed after this run wrote it: expected SHA-256 {expected[:12]}..., found {found[:12]}...; "
                    "put the original back, or remove the file and write it again from the checkpoints with --mode=evaluate"
                )

    @contextmanager
    def lock_share(self, share: int, *, timeout_s: float) -> Iterator[None]:
        """Lock the share of the run that this process trains, one share a process.

        Raises:
          RuntimeError: another process still holds the share after `timeout_s`; by then the processes of a lost run should have ended.
        """
        try:
            with locked(self.path / f".share-{share}.lock", f"training share {share} of {self.path}", timeout_s=timeout_s):
                yield
        except LockHeld as error:
            raise RuntimeError(f"{error}; end the processes of the earlier start of this run") from None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase; run.json sums its seconds over all attempts, until the run is finished: later evaluations do not count.

        Phases inside it, such as compilation, count by themselves; see `time_spent`.
        """
        with self._spent.phase(name):
            yield

    def write_run_json(self, **facts: Any) -> None:
        """Write run.json: id, versions, commit, devices, hashes, seconds a phase, and the share of them that was training."""
        import jax

        # A run of an earlier version gets no id, because its checkpoints have none either.
        earlier: dict[str, Any] = self.read_json("run.json") if self.has("run.json") else {"run_id": uuid.uuid4().hex}
        seconds = dict(earlier.get("seconds", {}))
        spent = self._spent.take()
        for name, value in spent.items() if not self._was_finished else ():
            seconds[name] = round(seconds.get(name, 0.0) + value, 3)
        share = time_spent.training_share(seconds)
        started = earlier.get("started", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
        self.write_json(
            "run.json",
            earlier
            | {
                "started": started,
                # The command that trained, also after a later evaluation.
                "command": earlier.get("command", redacted_tree([Path(sys.argv[0]).name, *sys.argv[1:]])),
                "python": platform.python_version(),
                "versions": {name: _version(name) for name in VERSIONED},
                "git_commit": _git_commit(),
                "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
                "processes": jax.process_count(),
                "seconds": seconds,
                "training_share": None if share is None else round(share, 4),
            }
            | facts,
        )


@contextmanager
def open_run(path: Path, experiment: Experiment) -> Iterator[RunDirectory]:
    """Open a run directory, created if missing, lock it and check its config; passwords in the config are never written.

    Raises:
      ConfigMismatch: it holds a run of another config; the message lists every difference.
      RuntimeError: another process has locked it.
    """
    path, config = Path(path), redacted_tree(to_plain(experiment))
    path.mkdir(parents=True, exist_ok=True)
    try:
        with locked(path / ".lock", f"using {path}", timeout_s=0):
            remove_leftovers(path)
            stored = path / "config.json"
            if stored.exists():
                _refuse_other(path, config)
            else:
                write_json(stored, config)
            with time_spent.counted():
                yield RunDirectory(path)
    except LockHeld as error:
        raise RuntimeError(f"{error}; wait for it, or give this run another --config.workdir") from None


def check_config(path: Path, experiment: Experiment) -> None:
    """Check, before anything is prepared, that a run directory that exists is of this config.

    Raises:
      ConfigMismatch: it holds a run of another config; the message lists every difference.
    """
    if (Path(path) / "config.json").is_file():
        _refuse_other(Path(path), redacted_tree(to_plain(experiment)))


def follow_run(path: Path, experiment: Experiment) -> RunDirectory:
    """Return the run directory that the primary process has opened; this process writes only the rows and checkpoints of its own share.

    Raises:
      ConfigMismatch: this process was started with another config; the message lists every difference.
    """
    _refuse_other(Path(path), redacted_tree(to_plain(experiment)))
    return RunDirectory(Path(path))


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a run's config.json; fields that were added later have their default, which is what the run did without them.

    Raises:
      ConfigMismatch: an earlier version wrote it, with other fields.
    """
    stored: dict[str, Any] = read_json(path / "config.json")
    reason = ""
    if "streams" in stored:
        try:
            return json.loads(json.dumps(to_plain(parse(stored))))  # lists in place of tuples, as the file has them
        except ConfigError as error:
            reason = f" ({error})"
    raise ConfigMismatch(
        f"{path} holds a run of an earlier version with other config fields{reason}; its predictions.csv and report.html can still be "
        "read, and a new run needs another --config.workdir"
    )


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
    """Return one line for each field that differs, except those in `UNCOMPARED`."""
    old, new = flatten(stored), flatten(given)
    return [
        f"{name}: stored {old.get(name, '(absent)')!r}, given {new.get(name, '(absent)')!r}"
        for name in sorted(old.keys() | new.keys())
        if name not in UNCOMPARED and not name.endswith(".detector_path") and old.get(name, "(absent)") != new.get(name, "(absent)")
    ]


def complete(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given config with unset fields (None) taken from the stored one, so that e.g. the corpus root need not be given again."""
    filled = dict(given)
    for key, value in given.items():
        if isinstance(value, Mapping):
            filled[key] = complete(value, stored.get(key) or {})
        elif value is None:
            filled[key] = stored.get(key)
    return filled


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one flat dict with keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:  # in blocks: predictions may be gigabytes
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
