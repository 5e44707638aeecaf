"""External features as a view: a table with one row a clip (action units, another toolkit's functionals)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from avemo_jax.clip_names import CLIP_COLUMNS, FILE_COLUMNS, find_clips, plain_name
from avemo_jax.decimal_marks import MARKS
from avemo_jax.foreign_table import ForeignTable, read_foreign_table, seconds
from data_prep.views.segments import ViewSegment
from data_prep.views.table_columns import named_like, refuse_columns

# Columns that openSMILE and audformat write beside the features: when, not what.
_TIMES = ("start", "end", "frametime")
_NAMES = tuple(plain_name(name) for name in (*CLIP_COLUMNS, *FILE_COLUMNS))
_OPENFACE = frozenset(("frame", "timestamp", "confidence", "success"))  # of its table of one film, one row a frame


@functools.lru_cache(maxsize=2)  # a run makes the view of a table several times
def _read(path: str, decimal: str, mtime_ns: int, num_bytes: int) -> ForeignTable:
    """Read a table; time and size stand for its content."""
    return read_foreign_table(Path(path), decimal=decimal)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table's row of each clip, as one step of (D,): the features, in the file's order.

    Features are all columns but the one that names the clip, other columns with names of clips or files, the times `start`, `end` and
    `frameTime`, those of `drop_columns`, and those that have the same cell in every row.

    Attributes:
      path: path of the table: CSV of any encoding and separator, JSON, JSON lines or Parquet.
      clip_column: name of the column with the clip: its id, or a path or name of its media; "clip" also finds `file`, `name` and the like.
      drop_columns: names of columns that are not read, such as an index, labels or text.
      allow_columns: names of columns that are used as features although their name, their content or a constant value suggests that they
        are none; the leak audit reports those that could reveal the label or the speaker.
      decimal: "comma" or "point", the decimal mark of the numbers; "" finds it in the table.

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
    decimal: str = ""

    def __post_init__(self):
        if self.decimal not in ("", *MARKS):
            raise ValueError(f"expected --config.views.table.decimal={' or '.join(MARKS)}, got {self.decimal!r}")
        if not Path(self.path).is_file():
            raise ValueError(f"view table: there is no file {self.path}; set views.table.path to a table with one row a clip")
        columns = self._header
        if self.names_column is None or len(columns) < 2:
            if {name.lower() for name in columns} >= _OPENFACE:
                raise ValueError(
                    f"{self.path}: expected one row a clip, found OpenFace's table of one film, one row a frame; write the mean of "
                    "each column to one table of all clips, with a column `clip`"
                )
            raise ValueError(
                f"{self.path}: expected different columns, {self.clip_column!r} and features among them, found {columns}; name the column "
                "of clips with --config.views.table.clip_column"
            )
        for field in ("drop_columns", "allow_columns"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            if unknown := [name for name in getattr(self, field) if name not in columns or name == self.names_column]:
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

    @functools.cached_property
    def names_column(self) -> str | None:
        """The column that names the clip; None where there is none."""
        if self.clip_column in self._header or self.clip_column != type(self).clip_column:
            return self.clip_column if self.clip_column in self._header else None
        by_name = {plain_name(name): name for name in reversed(self._header)}
        return next((by_name[name] for name in _NAMES if name in by_name), None)

    @functools.cached_property
    def other_columns(self) -> tuple[str, ...]:
        """Columns of times, and of other names of the clips, which are no features; without those that are dropped or allowed."""
        known = (self.names_column, *self.drop_columns, *self.allow_columns)
        return tuple(name for name in self._header if name not in known and self._is_other(plain_name(name), self._table.column(name)))

    def _is_other(self, name: str, cells: tuple[str, ...]) -> bool:
        if name in _TIMES:
            return not any(math.isnan(time) for time in map(seconds, cells) if time is not None)
        return name in _NAMES and all(math.isnan(self._table.number(cell)) for cell in cells)

    def _offered(self) -> list[str]:
        left_out = (self.names_column, *self.drop_columns, *self.other_columns)
        return [name for name in self._header if name not in left_out]

    def rows(
        self, clip_id_of: Callable[[str], str | None] = lambda name: name, clips: Collection[str] | None = None
    ) -> tuple[Mapping[str, ViewSegment], int]:
        """Read the table.

        Args:
          clip_id_of: from what names_column says to the clip id, None for what is no clip of the corpus.
          clips: ids of the clips, which are then found by paths and names of their media too, see `find_clips`.

        Returns:
          clip id -> its only segment, values (1, D) float32; and the number of rows that are no clip.

        Raises:
          ValueError: a cell is no finite number, or two rows are of one clip, with the line.
        """
        segments: dict[str, ViewSegment] = {}
        num_foreign, columns, table = 0, self.columns, self._table
        names = table.column(self.names_column or "")
        found = list(map(clip_id_of, names)) if clips is None else find_clips(names, clips, clip_id_of)
        for clip_id, (line, row) in zip(found, table.rows(), strict=True):
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
        return _read(self.path, self.decimal, stat.st_mtime_ns, stat.st_size)

    def _number(self, cell: str, column: str, line: int) -> float:
        remedy = "fix the cell, or leave the column out with --config.views.table.drop_columns"
        number = self._table.finite(f"line {line}", column, cell, flag="--config.views.table.decimal", remedy=remedy)
        with np.errstate(over="ignore"):
            is_finite = bool(np.isfinite(np.float32(number)))
        if not is_finite:
            raise ValueError(f"{self.path}, line {line}, column {column}: expected a number that float32 holds, found {cell!r}; {remedy}")
        return number
