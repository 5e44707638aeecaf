"""External features as a view: a table with one row a clip (action units, another toolkit's functionals)."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from data_prep.views.segments import ViewSegment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV file's row of each clip, as one step of (D,): all columns but the one that names the clip, in the file's order.

    Attributes:
      path: CSV file in UTF-8 with a header line.
      clip_column: the column that names the clip.
    """

    name: ClassVar[str] = "table"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "float32"
    VERSION: ClassVar[int] = 1

    path: str
    clip_column: str = "clip"

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise ValueError(f"view table: there is no file {self.path}; set views.table.path to a CSV file with one row a clip")
        columns = self._header()
        if self.clip_column not in columns or len(columns) < 2 or len(set(columns)) < len(columns):
            raise ValueError(f"{self.path}: expected different columns, {self.clip_column!r} and features among them, found {columns}")

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (len(self._header()) - 1,)

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
        num_foreign = 0
        with Path(self.path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                clip_id = clip_id_of((row.pop(self.clip_column) or "").strip())
                if clip_id is None:
                    num_foreign += 1
                    continue
                if clip_id in segments:
                    raise ValueError(f"{self.path} line {reader.line_num}: a second row of clip {clip_id}; expected one")
                values = np.array([[self._number(cell, column, reader.line_num) for column, cell in row.items()]], np.float32)
                segments[clip_id] = ViewSegment(values, np.ones(1, bool), np.zeros(1, np.float32), 1)
        return segments, num_foreign

    def _header(self) -> list[str]:
        with Path(self.path).open(newline="", encoding="utf-8-sig") as stream:
            return next(csv.reader(stream), [])

    def _number(self, cell: str | list[str] | None, column: str | None, line: int) -> float:
        try:
            number = float(cell)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{self.path} line {line}, column {column}: expected a finite number, found {cell!r}")
        return number
