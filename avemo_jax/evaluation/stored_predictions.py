"""Predictions as Parquet files: written and read one trial at a time, a third of the size of predictions.csv and many times as fast.

A row group holds the rows of one trial, and its statistics name the trial, so a file needs no index and rows may be written in any order of
the trials. Columns are those of predictions.csv and `gender`. Probabilities are float32, which keeps the six digits that they have.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from avemo_jax.atomic import atomic_binary_file
from avemo_jax.evaluation.predictions import Predictions, PredictionSource, read_predictions_csv, write_predictions_csv

# Rows from which on Parquet is written beside CSV, and trials are predicted in pieces of about as many rows.
MANY_ROWS = 2_000_000
_WORDS = ("speaker", "gender", "fold", "label", "predicted")  # few different ones, stored once in each row group


class PredictionsWriter:
    """An open Parquet file of predictions; see `open_writer`."""

    def __init__(self, stream: Any):
        self._stream = stream
        self._writer: Any = None  # opened with the columns of the first trial

    def add(self, predictions: PredictionSource) -> None:
        """Write the trials of these predictions, which the file does not have yet."""
        import pyarrow as pa
        import pyarrow.parquet as pq  # late: only runs of many predictions need it

        for trial in predictions.trials:
            part = predictions.part(*trial)
            classes = np.array(part.classes)
            columns: dict[str, Any] = {name: pa.array(getattr(part, name)) for name in ("clip", "seed")}
            words = (part.speaker, part.gender, part.fold, classes[part.label], classes[part.predicted])
            columns |= {name: pa.array(values).dictionary_encode() for name, values in zip(_WORDS, words, strict=True)}
            for index, name in enumerate(part.classes):
                columns[f"p_{name}"] = pa.array(part.probabilities[:, index], pa.float32())
            for index, name in enumerate(part.dimensions):
                columns[f"rating_{name}"] = pa.array(part.rating[:, index], from_pandas=True)  # NaN, no rating, is null
                columns[f"value_{name}"] = pa.array(part.value[:, index])
            table = pa.table(columns)
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd")
            self._writer.write_table(table, row_group_size=len(part.clip))

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is None:
            raise ValueError("predictions need at least one trial; none was written")
        self._writer.close()


@contextmanager
def open_writer(path: Path) -> Iterator[PredictionsWriter]:
    """Open a Parquet file of predictions for writing; it is at `path` when the block ends without an error."""
    with atomic_binary_file(path) as stream:
        writer = PredictionsWriter(stream)
        yield writer
        writer.close()


class StoredPredictions:
    """A `PredictionSource` that reads a file of `open_writer`, the rows of one trial at a time."""

    def __init__(self, path: Path):
        """Open a file.

        Raises:
          ValueError: it is no Parquet file of predictions.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(path)
            names = self._file.schema_arrow.names
            own = [name.removeprefix("p_") for name in itertools.takewhile(lambda name: name.startswith("p_"), names[2 + len(_WORDS) :])]
            columns = [names.index(name) for name in ("seed", "fold")]
            self._groups: dict[tuple[int, str], int] = {}
            for group in range(self._file.num_row_groups):
                of_group = [self._file.metadata.row_group(group).column(column).statistics for column in columns]
                self._groups[int(of_group[0].min), str(of_group[1].min)] = group
        except (pa.ArrowInvalid, ValueError) as error:
            raise ValueError(f"{path}: expected predictions in Parquet as this project writes them; {error}") from error
        self.path = path
        self.classes = tuple(own)
        self.dimensions = tuple(name.removeprefix("rating_") for name in names[2 + len(_WORDS) + len(own) :: 2])

    @functools.cached_property
    def trials(self) -> tuple[tuple[int, str], ...]:
        return tuple(sorted(self._groups))

    @property
    def num_rows(self) -> int:
        """Number of rows of all trials."""
        return self._file.metadata.num_rows

    def part(self, seed: int, fold: str) -> Predictions:
        table = self._file.read_row_group(self._groups[seed, fold])
        names = [f"{kind}_{name}" for kind in ("rating", "value") for name in self.dimensions]
        numbers = {name: table[name].to_numpy() for name in (*(f"p_{name}" for name in self.classes), *names)}

        def matrix(kind: str, of: tuple[str, ...]) -> np.ndarray:
            columns = [numbers[f"{kind}_{name}"] for name in of]
            return np.stack(columns, axis=1) if columns else np.empty((table.num_rows, 0))

        def words(name: str) -> tuple[np.ndarray, np.ndarray]:
            """Return the different words of a column, and the index of that of each row."""
            column = table[name].unify_dictionaries().combine_chunks()
            return np.array(column.dictionary.to_pylist(), dtype=str), column.indices.to_numpy()

        def text(name: str) -> np.ndarray:
            different, index = words(name)
            return different[index]

        labels, label_of = words("label")
        return Predictions(
            clip=np.array(table["clip"].to_pylist(), dtype=str),
            **{name: text(name) for name in ("speaker", "gender", "fold")},
            seed=table["seed"].to_numpy(),
            label=np.array([self.classes.index(name) for name in labels.tolist()])[label_of],
            probabilities=matrix("p", self.classes),
            classes=self.classes,
            dimensions=self.dimensions,
            rating=matrix("rating", self.dimensions),
            value=matrix("value", self.dimensions),
        )


def write_predictions(path: Path, predictions: PredictionSource) -> None:
    """Write predictions.csv at `path`, and beside it the same as Parquet where there are MANY_ROWS; else a Parquet file there is removed.

    Predictions of a Parquet file in the same folder are moved to its place instead of being written again.
    """
    beside = path.with_suffix(".parquet")
    write_predictions_csv(path, predictions)
    if isinstance(predictions, StoredPredictions):
        predictions.path.replace(beside)
        predictions.path = beside
    elif isinstance(predictions, Predictions) and len(predictions.clip) >= MANY_ROWS:
        with open_writer(beside) as writer:
            writer.add(predictions)
    else:
        beside.unlink(missing_ok=True)


def read_predictions(path: Path) -> PredictionSource:
    """Read the predictions at `path`, a predictions.csv: from the Parquet file beside it where there is one, one trial at a time."""
    beside = path.with_suffix(".parquet")
    return StoredPredictions(beside) if beside.is_file() else read_predictions_csv(path)
