"""TensorBoard curves, written by clu; the only module that imports clu's writers, because they import TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avemo_jax.data.quiet_loading import quiet_loading

LOG = logging.getLogger(__name__)
_CURVES = ("train_loss", "train_war", "train_uar", "val_loss", "val_war", "val_uar", "val_ccc", "learning_rate")


class TensorBoardWriter:
    """Writes rows of metrics.jsonl as curves: the mean over trials of each metric, and validation UAR of each trial."""

    def __init__(self, directory: Path):
        with quiet_loading():
            from clu import metric_writers

            self._writer = metric_writers.SummaryWriter(str(directory))

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of one epoch."""
        if not rows:
            return
        scalars = {}
        for name in _CURVES:
            values = [row[name] for row in rows if row.get(name) is not None]
            if values:
                scalars[f"mean/{name}"] = sum(values) / len(values)
        scalars |= {f"val_uar/trial_{row['trial']:04d}": row["val_uar"] for row in rows if row["val_uar"] is not None}
        self._writer.write_scalars(rows[0]["epoch"], scalars)

    def close(self) -> None:
        self._writer.close()


class NoWriter:
    """Writes nothing."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        pass

    def close(self) -> None:
        pass


def make_writer(directory: Path, *, wanted: bool) -> TensorBoardWriter | NoWriter:
    """Return a TensorBoard writer, or a `NoWriter` if none is wanted or, after a warning, if clu or TensorFlow is not installed."""
    if not wanted:
        return NoWriter()
    try:
        return TensorBoardWriter(directory)
    except ImportError as error:
        LOG.warning("no TensorBoard curves: %s (pip install clu tensorflow tensorboard; metrics.jsonl has the same numbers)", error)
        return NoWriter()
