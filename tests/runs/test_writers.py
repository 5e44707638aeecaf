"""Learning curves for TensorBoard and trackers: which numbers, under which names, and the same run again after it was resumed."""

from __future__ import annotations

import importlib.util
import time

import pytest
from small_experiment import small_config

from avemo_jax.config.overrides import with_fields
from avemo_jax.experiment.needed_packages import check_packages
from avemo_jax.runs.writers import CurveWriter, make_writer

ROWS = [
    {"epoch": 3, "trial": 0, "train_loss": 1.0, "val_loss": None, "val_uar": 0.5},
    {"epoch": 3, "trial": 12, "train_loss": 2.0, "val_loss": 4.0, "val_uar": None},
]
MEANS = {"mean/train_loss": 1.5, "mean/val_loss": 4.0, "mean/val_uar": 0.5, "val_uar/trial_0000": 0.5}
FACTS = {"corpus": {"name": "made"}, "train": {"num_epochs": 2}}


class Seen:
    def __init__(self):
        self.written, self.is_closed = [], False

    def write_scalars(self, step, scalars):
        self.written.append((step, scalars))

    def close(self):
        self.is_closed = True


def test_curves_are_means_over_trials_and_each_trials_uar():
    first, second = Seen(), Seen()
    writer = CurveWriter([first, second])
    writer.write(ROWS)
    writer.write([])
    writer.close()
    assert first.written == second.written == [(3, MEANS)] and first.is_closed and second.is_closed


@pytest.mark.parametrize("has_tensorflow", [True, False])
def test_tensorboard_files_hold_the_curves(tmp_path, monkeypatch, has_tensorflow):
    if has_tensorflow:
        pytest.importorskip("tensorflow")
    else:
        found = importlib.util.find_spec
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorflow" else found(name))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    writer = make_writer(tmp_path, "audio", tensorboard=True, trackers=(), facts=FACTS)
    writer.write(ROWS)
    writer.close()
    read = EventAccumulator(str(tmp_path / "tensorboard" / "audio"))
    read.Reload()
    found = {tag: [(one.step, float(make_ndarray(one.tensor_proto))) for one in read.Tensors(tag)] for tag in read.Tags()["tensors"]}
    assert found == {name: [(3, value)] for name, value in MEANS.items()}


def test_mlflow_continues_the_run_that_was_stopped(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for epoch in (3, 4):
        writer = make_writer(tmp_path, "audio", tensorboard=False, trackers=("mlflow",), facts=FACTS)
        writer.write([row | {"epoch": epoch} for row in ROWS])
        writer.close()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("avemo").experiment_id])
    assert run.data.params == {"corpus.name": "made", "train.num_epochs": "2"} and run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "mean/train_loss")
    assert [(one.step, one.value) for one in history] == [(3, 1.5), (4, 1.5)]


def test_wandb_writes_offline_into_the_run_directory(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    writer = make_writer(tmp_path, "audio", tensorboard=False, trackers=("wandb",), facts=FACTS)
    writer.write(ROWS)
    writer.close()
    (log,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    wait_until = time.monotonic() + 30  # its own process writes the file
    while b"mean/val_uar" not in log.read_bytes() and time.monotonic() < wait_until:
        time.sleep(0.1)
    assert b"mean/val_uar" in log.read_bytes() and b"num_epochs" in log.read_bytes()


def test_an_unknown_or_missing_tracker_is_refused_before_any_work(monkeypatch):
    with pytest.raises(ValueError, match=r"train\.trackers names 'wanbd'; expected wandb or mlflow; did you mean 'wandb'"):
        check_packages(with_fields(small_config(), {"train.trackers": ("wanbd",)}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mlflow" else object())
    with pytest.raises(RuntimeError, match=r"mlflow \(for train\.trackers=mlflow\).*pip install"):
        check_packages(with_fields(small_config(), {"train.trackers": ("mlflow",)}))
