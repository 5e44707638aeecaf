"""Learning curves outside of the run's own files: TensorBoard, Weights & Biases, MLflow.

metrics.jsonl has the same numbers; nothing here is read again. Packages are imported when they are used: clu's writers import TensorFlow.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from avemo_jax.data.quiet_loading import quiet_loading

_CURVES = ("train_loss", "train_war", "train_uar", "val_loss", "val_war", "val_uar", "val_ccc", "learning_rate")
# Name in train.trackers -> packages that it needs.
TRACKERS: Mapping[str, tuple[str, ...]] = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy")}
TENSORBOARD_PACKAGES = ("clu", "tensorboard")


class ScalarWriter(Protocol):
    """What writes curves; the writers of clu (clu.metric_writers) have this interface too, and each can take the place of another."""

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class CurveWriter:
    """Writes rows of metrics.jsonl as curves to several writers: the mean over trials of each metric, and validation UAR of each trial."""

    def __init__(self, writers: Sequence[ScalarWriter]):
        self._writers = writers

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of one epoch."""
        if not rows or not self._writers:
            return
        scalars = {}
        for name in _CURVES:
            values = [row[name] for row in rows if row.get(name) is not None]
            if values:
                scalars[f"mean/{name}"] = sum(values) / len(values)
        scalars |= {f"val_uar/trial_{row['trial']:04d}": row["val_uar"] for row in rows if row["val_uar"] is not None}
        for writer in self._writers:
            writer.write_scalars(rows[0]["epoch"], scalars)

    def close(self) -> None:
        """Close all writers."""
        for writer in self._writers:
            writer.close()


def make_writer(run: Path, group: str, *, tensorboard: bool, trackers: Sequence[str], facts: Mapping[str, Any]) -> CurveWriter:
    """Return a writer of the curves of one group of trials.

    Args:
      run: run directory, below which everything is written: tensorboard/, wandb/ and mlflow.db.
      group: name of the trials that are trained together, such as the stage; each has curves of its own.
      tensorboard: whether TensorBoard's files are written.
      trackers: names of TRACKERS.
      facts: the config of the run, as plain values, stored by the trackers.
    """
    writers: list[ScalarWriter] = []
    if tensorboard:
        writers.append(_tensorboard_writer(run / "tensorboard" / group))
    writers += [_MADE_BY[name](run, group, facts) for name in trackers]
    return CurveWriter(writers)


def _tensorboard_writer(folder: Path) -> ScalarWriter:
    """Return clu's writer of TensorBoard's files; where TensorFlow is not installed, which clu's needs, one that does without."""
    if importlib.util.find_spec("tensorflow") is None:
        return TensorBoardWriter(folder)
    with quiet_loading():
        from clu import metric_writers

        return metric_writers.SummaryWriter(str(folder))


class TensorBoardWriter:
    """Writes TensorBoard's files without TensorFlow."""

    def __init__(self, folder: Path):
        with quiet_loading():
            from tensorboard.summary import Writer

        self._writer = Writer(str(folder))

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Write one step; it can be seen at once."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class WandbWriter:
    """Writes to Weights & Biases: offline, in the run directory, unless WANDB_MODE says otherwise; `wandb sync` uploads it later.

    A run that is resumed continues under the same id.
    """

    def __init__(self, run: Path, group: str, facts: Mapping[str, Any]):
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "avemo"),
            name=f"{run.name}/{group}",
            group=run.name,
            id=_id_of(run, group),
            resume="allow",
            dir=str(run),
            config=dict(facts),
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            settings=wandb.Settings(silent=True),
            reinit="create_new",
        )

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Write one step."""
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


class MlflowWriter:
    """Writes to MLflow: to mlflow.db in the run directory, unless MLFLOW_TRACKING_URI names a server or another database.

    `mlflow ui --backend-store-uri sqlite:///RUN/mlflow.db` shows it. A run that is resumed continues the same MLflow run.
    """

    def __init__(self, run: Path, group: str, facts: Mapping[str, Any]):
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{(run / 'mlflow.db').resolve()}"))
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "avemo")
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        own = _id_of(run, group)
        before = self._client.search_runs([experiment], f"tags.avemo_id = '{own}'")
        if before:
            self._id = before[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        self._id = self._client.create_run(experiment, run_name=f"{run.name}/{group}", tags={"avemo_id": own}).info.run_id
        for field, value in _flat(facts).items():
            self._client.log_param(self._id, field, value)

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Write one step."""
        for name, value in scalars.items():
            self._client.log_metric(self._id, name, float(value), step=step)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._id)


_MADE_BY: Mapping[str, Callable[[Path, str, Mapping[str, Any]], ScalarWriter]] = {"wandb": WandbWriter, "mlflow": MlflowWriter}


def _id_of(run: Path, group: str) -> str:
    """Return an id that a resumed run has again."""
    return hashlib.sha256(f"{run.resolve()}\0{group}".encode()).hexdigest()[:16]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return field -> value as text of at most 500 characters, which is what MLflow stores of a parameter."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": str(value)[:500]}
    return found
