"""External features as a view: a table with one row a clip (action units, another toolkit's functionals)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from avemo_jax.foreign_table import ForeignTable, read_foreign_table
from data_prep.views.segments import ViewSegment
from data_prep.views.table_columns import named_like, refuse_columns


@functools.lru_cache(maxsize=2)  # a run makes the view of a table several times
def _read(path: str, mtime_ns: int, num_bytes: int) -> ForeignTable:
    """Read a table; time and size stand for its content."""
    return read_foreign_table(Path(path))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table's row of each clip, as one step of (D,): the features, in the file's order.

    Features are all columns but the one that names the clip, those of `drop_columns`, and those that have the same cell in every row.

    Attributes:
      path: path of the table: CSV of any encoding and separator, JSON lines or Parquet.
      clip_column: name of the column with the clip id.
      drop_columns: names of columns that are not read, such as an index, labels or text.
      allow_columns: names of columns that are used as features although their name, their content or a constant value suggests that they
        are none; the leak audit reports those that could reveal the label or the speaker.

    Raises:
      ValueError: there is no such file or column, no feature, or a column that by its name is none and is neither dropped nor allowed.
    """

    name: ClassVar[str] = "table"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "float32"
    VERSION: ClassVar[int] = 1

    path: str
    clip_column: str = "clip"
    drop_columns: tuple[str, ...] = ()
    allow_columns: tuple[str, ...] = ()

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise ValueError(f"view table: there is no file {self.path}; set views.table.path to a table with one row a clip")
        columns = self._header
        if self.clip_column not in columns or len(columns) < 2 or len(set(columns)) < len(columns):
            raise ValueError(f"{self.path}: expected different columns, {self.clip_column!r} and features among them, found {columns}")
        for field in ("drop_columns", "allow_columns"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            if unknown := [name for name in getattr(self, field) if name not in columns or name == self.clip_column]:
                raise ValueError(f"{self.path} has no feature column {unknown}, which views.table.{field} names; its columns: {columns}")
        named = {name: what for name in self._offered() if (what := named_like(name))}
        refuse_columns(self.path, named, drop=self.drop_columns, allow=self.allow_columns)
        if not self.columns:
            raise ValueError(f"{self.path}: no feature is left of {columns}: left out are {self.drop_columns}, and what never changes")

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features, in the file's order."""
        return tuple(name for name in self._offered() if name not in self.constant_columns)

    @functools.cached_property
    def constant_columns(self) -> tuple[str, ...]:
        """Columns that have the same cell in every row of two or more, and so tell nothing; without those that are allowed."""
        if len(self._table) < 2:
            return ()
        return tuple(name for name in self._offered() if name not in self.allow_columns and len(set(self._table.column(name))) == 1)

    def _offered(self) -> list[str]:
        return [name for name in self._header if name != self.clip_column and name not in self.drop_columns]

    def rows(self, clip_id_of: Callable[[str], str | None] = lambda name: name) -> tuple[Mapping[str, ViewSegment], int]:
        """Read the table.

        Args:
          clip_id_of: from what clip_column says to the clip id, None for what is no clip of the corpus.

        Returns:
          clip id -> its only segment, values (1, D) float32; and the number of rows that are no clip.

        Raises:
          ValueError: a cell is no finite number, or two rows are of one clip, with the line.
        """
        segments: dict[str, ViewSegment] = {}
        num_foreign, columns = 0, self.columns
        for line, row in self._table.rows():
            clip_id = clip_id_of(row[self.clip_column])
            if clip_id is None:
                num_foreign += 1
                continue
            if clip_id in segments:
                raise ValueError(f"{self.path}, line {line}: a second row of clip {clip_id}; expected one")
            values = np.array([[self._number(row[column], column, line) for column in columns]], np.float32)
            segments[clip_id] = ViewSegment(values, np.ones(1, bool), np.zeros(1, np.float32), 1)
        return segments, num_foreign

    @property
    def _header(self) -> list[str]:
        return list(self._table.columns)

    @functools.cached_property
    def _table(self) -> ForeignTable:
        stat = Path(self.path).stat()
        return _read(self.path, stat.st_mtime_ns, stat.st_size)

    def _number(self, cell: str, column: str, line: int) -> float:
        number = self._table.number(cell)
        with np.errstate(over="ignore"):
            is_finite = bool(np.isfinite(np.float32(number)))
        if not is_finite:
            raise ValueError(
                f"{self.path}, line {line}, column {column}: expected a finite number that float32 holds, found {cell!r}; fix the cell, or "
                "leave the column out with --config.views.table.drop_columns"
            )
        return number
