"""External features as views: tables with a row a clip, or a row a step (action units, features of other toolkits)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from avemo_jax.bounds import SHARE, Bounds
from avemo_jax.clip_names import find_clips
from avemo_jax.decimal_marks import MARKS
from avemo_jax.foreign_table import ForeignTable, read_foreign_table
from data_prep.views.segments import ViewSegment
from data_prep.views.table_columns import find_names_column, find_other_columns, named_like, refuse_columns
from data_prep.views.table_steps import TIME_UNITS, ClipSteps, as_segments, files_of, steps_of_npz, steps_of_table

# Columns of OpenFace and py-feat that are about the tracker -> the parameter that uses them.
_OF_TRACKERS = {"face_id": "person_column", "success": "success_column", "confidence": "confidence_column"}
_OPENFACE = frozenset(("frame", "timestamp", "confidence", "success"))  # of its table of one film, one row a frame


@functools.lru_cache(maxsize=2)  # a run makes the view of a table several times
def _read(path: str, decimal: str, mtime_ns: int, num_bytes: int) -> ForeignTable:
    """Read a table; time and size stand for its content."""
    return read_foreign_table(Path(path), decimal=decimal)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a table of each clip as steps of (D,): the features, in the file's order.

    Features are all columns but those that parameters name, other columns with names of clips or files, the times `start`, `end` and
    `frameTime`, those of `drop_columns`, and those that have the same cell in every row. A table has a row a clip, or with `time_column` a
    row a step.

    Attributes:
      path: path of the table: CSV of any encoding and separator, JSON, JSON lines or Parquet; npz with an array of steps a clip; or a
        folder with such a file for each clip, by the clip's name.
      clip_column: name of the column with the clip: its id, or a path or name of its media; "clip" also finds `file`, `name` and the like.
        Unused where each clip has its file.
      time_column: name of the column with the time of each row, for tables with a row a step; "" reads a row a clip.
      time_unit: unit of these times: "s" or "ms".
      rate_hz: steps a second of npz files without times.
      segment_s: length of a segment in s of tables with a row a step; longer clips are cut.
      person_column: column that tells several persons apart ("face_id" in OpenFace); the one with the most steps is kept.
      success_column: column that is 0 where the tracker failed ("success" in OpenFace); these steps are masked.
      confidence_column: column with the tracker's confidence ("confidence" in OpenFace).
      least_confidence: steps with a lower confidence are masked.
      mask_missing: mask steps with a feature that is no finite number; False refuses them with the line.
      drop_columns: names of columns that are not read, such as an index, labels or text.
      allow_columns: names of columns that are used as features although their name, their content or a constant value suggests that they
        are none; the leak audit reports those that could reveal the label or the speaker.
      decimal: "comma" or "point", the decimal mark of the numbers; "" finds it in each file.

    Raises:
      ValueError: there is no such file or column, no feature, or a column that by its name is none and is neither dropped nor allowed.
    """

    name: ClassVar[str] = "table"
    modality: ClassVar[str] = "video"
    dtype: ClassVar[str] = "float32"
    VERSION: ClassVar[int] = 1

    path: str
    clip_column: str = "clip"
    time_column: str = ""
    time_unit: str = "s"
    rate_hz: Annotated[float, Bounds(least=0, most=1e6)] = 0.0
    segment_s: Annotated[float, Bounds(above=0, most=3600)] = 30.0
    person_column: str = ""
    success_column: str = ""
    confidence_column: str = ""
    least_confidence: Annotated[float, SHARE] = 0.8
    mask_missing: bool = False
    drop_columns: tuple[str, ...] = ()
    allow_columns: tuple[str, ...] = ()
    decimal: str = ""

    def __post_init__(self):
        if self.decimal not in ("", *MARKS):
            raise ValueError(f"expected {self.flag}.decimal={' or '.join(MARKS)}, got {self.decimal!r}")
        if not Path(self.path).exists():
            raise ValueError(
                f"view {self.name}: there is no file {self.path}; set views.{self.name}.path to a table with a row a clip or a step"
            )
        if self.time_unit not in TIME_UNITS:
            raise ValueError(f"views.{self.name}.time_unit must be one of {tuple(TIME_UNITS)}, got {self.time_unit!r}")
        columns = self.header
        if not self._is_npz and self.is_folder and not self.time_column:
            raise ValueError(f"{self.path} is a folder with a file for each clip; set {self.flag}.time_column to the column with the times")
        if self._has_names and (self.names_column is None or len(columns) < 2):
            if {name.lower() for name in columns} >= _OPENFACE:
                raise ValueError(
                    f"{self.path}: expected a column with the clip, found OpenFace's table of one film, one row a frame; put the tables of "
                    f"all films into a folder, named as the clips, and set {self.flag}.path to it and {self.flag}.time_column=timestamp"
                )
            raise ValueError(
                f"{self.path}: expected different columns, {self.clip_column!r} and features among them, found {columns}; name the column "
                f"of clips with {self.flag}.clip_column"
            )
        for field in ("time_column", "person_column", "success_column", "confidence_column"):
            if (name := getattr(self, field)) and name not in columns:
                raise ValueError(f"{self.path} has no column {name!r}, which views.{self.name}.{field} names; its columns: {columns}")
        for field in ("drop_columns", "allow_columns"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            if unknown := [name for name in getattr(self, field) if name not in columns or name == self.names_column]:
                raise ValueError(
                    f"{self.path} has no feature column {unknown}, which views.{self.name}.{field} names; its columns: {columns}"
                )
        for name in self._offered() if self.time_column else ():
            if name.lower() in _OF_TRACKERS and name not in self.allow_columns:
                raise ValueError(
                    f"{self.path}: the column {name!r} is about the tracker; set {self.flag}.{_OF_TRACKERS[name.lower()]}={name}, or "
                    f"leave it out with {self.flag}.drop_columns"
                )
        if not self._is_npz:
            named = {name: what for name in self._offered() if (what := named_like(name))}
            refuse_columns(self.path, named, flag=self.flag, drop=self.drop_columns, allow=self.allow_columns)
        if not self.columns:
            raise ValueError(f"{self.path}: no feature is left of {columns}: left out are {self.drop_columns}, and what never changes")

    @property
    def has_steps(self) -> bool:
        """Whether the table has a row a step, not a row a clip."""
        return bool(self.time_column) or self._is_npz

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
        if self._is_npz or self.is_folder or len(self._table) < 2:
            return ()
        return tuple(name for name in self._offered() if name not in self.allow_columns and len(set(self._table.column(name))) == 1)

    @functools.cached_property
    def names_column(self) -> str | None:
        """The column that names the clip; None where there is none."""
        if not self._has_names:
            return None
        if self.clip_column in self.header or self.clip_column != type(self).clip_column:
            return self.clip_column if self.clip_column in self.header else None
        return find_names_column([name for name in self.header if name not in self._own_columns])

    @functools.cached_property
    def other_columns(self) -> tuple[str, ...]:
        """Columns of times, and of other names of the clips, which are no features; without those that are dropped or allowed."""
        if self._is_npz:
            return ()
        return find_other_columns(self._table, (self.names_column, *self._own_columns, *self.drop_columns, *self.allow_columns))

    @property
    def _own_columns(self) -> tuple[str, ...]:
        """Columns that parameters name, but that of the clips."""
        return tuple(filter(None, (self.time_column, self.person_column, self.success_column, self.confidence_column)))

    @property
    def _has_names(self) -> bool:
        """Whether a column names the clips, as no file and no array does."""
        return not (self._is_npz or self.is_folder)

    def _offered(self) -> list[str]:
        left_out = (self.names_column, *self._own_columns, *self.drop_columns, *self.other_columns)
        return [name for name in self.header if name not in left_out]

    def clips(
        self, clip_id_of: Callable[[str], str | None] = lambda name: name, clips: Collection[str] | None = None
    ) -> tuple[Mapping[str, tuple[ViewSegment, ...]], int]:
        """Read the table, of either kind.

        Args:
          clip_id_of: from what the table calls a clip to the clip id, None for what is no clip of the corpus.
          clips: ids of the clips, which are then found by paths and names of their media too, see `find_clips`.

        Returns:
          clip id -> its segments, values (T, D) float32; and how many names (rows, where a row is a clip) are no clip.

        Raises:
          ValueError: as `rows`, `steps_of_table` and `as_segments`; or two names are of one clip.
        """
        if not self.has_steps:
            rows, num_foreign = self.rows(clip_id_of, clips)
            return {clip: (segment,) for clip, segment in rows.items()}, num_foreign
        found: dict[str, tuple[ViewSegment, ...]] = {}
        foreign = 0
        read = _steps(self, self._state)
        for clip_id, steps in zip(_find([steps.name for steps in read], clip_id_of, clips), read, strict=True):
            if clip_id is None:
                foreign += 1
            elif clip_id in found:
                raise ValueError(f"{steps.where}: {steps.name!r} is a second name of clip {clip_id}; expected one")
            else:
                found[clip_id] = as_segments(steps, self.segment_s, self.flag)
        return found, foreign

    def rows(
        self, clip_id_of: Callable[[str], str | None] = lambda name: name, clips: Collection[str] | None = None
    ) -> tuple[Mapping[str, ViewSegment], int]:
        """Read a table with a row a clip.

        Args:
          clip_id_of, clips: as `clips` has them.

        Returns:
          clip id -> its only segment, values (1, D) float32; and the number of rows that are no clip.

        Raises:
          ValueError: a cell is no finite number, or two rows are of one clip, with the line.
        """
        segments: dict[str, ViewSegment] = {}
        num_foreign, columns, table = 0, self.columns, self._table
        found = _find(table.column(self.names_column or ""), clip_id_of, clips)
        for clip_id, (line, row) in zip(found, table.rows(), strict=True):
            if clip_id is None:
                num_foreign += 1
                continue
            if clip_id in segments:
                raise ValueError(f"{self.path}, line {line}: a second row of clip {clip_id}; expected one")
            values = np.array([[self._number(row[column], column, line) for column in columns]], np.float32)
            segments[clip_id] = ViewSegment(values, np.ones(1, bool), np.zeros(1, np.float32), 1)
        return segments, num_foreign

    def digest(self, segments: Sequence[ViewSegment]) -> str:
        """Return the SHA-256 of what the table has of a clip."""
        if not self.has_steps:
            return hashlib.sha256(segments[0].values.tobytes()).hexdigest()
        parts = [part for one in segments for part in (one.values, one.mask, one.times_s)]
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    @property
    def flag(self) -> str:
        """Beginning of the flags of the view."""
        return f"--config.views.{self.name}"

    @property
    def is_folder(self) -> bool:
        """Whether each clip has a file of its own."""
        return Path(self.path).is_dir()

    @property
    def _is_npz(self) -> bool:
        return self.files[0].suffix == ".npz"

    @functools.cached_property
    def files(self) -> tuple[Path, ...]:
        """The file, or the files of the folder in the order of their names."""
        return files_of(Path(self.path)) if self.is_folder else (Path(self.path),)

    @property
    def _state(self) -> tuple[tuple[str, int, int], ...]:
        """Names, times and sizes of the files, which stand for their content."""
        return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in self.files)

    @functools.cached_property
    def header(self) -> list[str]:
        """Names of all columns; made up for npz files."""
        if not self._is_npz:
            return list(self._table.columns)
        first = next(steps_of_npz(self.files[0], rate_hz=self.rate_hz, flag=self.flag, is_one_clip=self.is_folder), None)
        return [] if first is None else [f"value{index}" for index in range(first.values.shape[1])]

    @functools.cached_property
    def _table(self) -> ForeignTable:
        """The table, or that of the first clip."""
        stat = self.files[0].stat()
        return _read(str(self.files[0]), self.decimal, stat.st_mtime_ns, stat.st_size)

    def _number(self, cell: str, column: str, line: int) -> float:
        remedy = f"fix the cell, or leave the column out with {self.flag}.drop_columns"
        number = self._table.finite(f"line {line}", column, cell, flag=f"{self.flag}.decimal", remedy=remedy)
        with np.errstate(over="ignore"):
            is_finite = bool(np.isfinite(np.float32(number)))
        if not is_finite:
            raise ValueError(f"{self.path}, line {line}, column {column}: expected a number that float32 holds, found {cell!r}; {remedy}")
        return number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table2(Table):
    """A second table, for a system with several."""

    name: ClassVar[str] = "table_2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table3(Table):
    """A third table."""

    name: ClassVar[str] = "table_3"


def _find(names: Sequence[str], clip_id_of: Callable[[str], str | None], clips: Collection[str] | None) -> list[str | None]:
    """Return the clip of each name, None where it has none."""
    return list(map(clip_id_of, names)) if clips is None else find_clips(names, clips, clip_id_of)


@functools.lru_cache(maxsize=4)  # a run makes the view of a table several times
def _steps(view: Table, _: tuple[tuple[str, int, int], ...]) -> tuple[ClipSteps, ...]:
    """Read all steps of a table with a row a step; the state of its files stands for their content."""
    return tuple(_read_steps(view))


def _read_steps(view: Table) -> Iterator[ClipSteps]:
    flag, columns = view.flag, view.columns
    for path in view.files:
        if path.suffix == ".npz":
            for steps in steps_of_npz(path, rate_hz=view.rate_hz, flag=flag, is_one_clip=view.is_folder):
                if steps.values.shape[1] != len(view.header):
                    raise ValueError(f"{path}: expected {len(view.header)} features a step, found {steps.values.shape[1]} in {steps.name}")
                kept = [view.header.index(name) for name in columns]
                yield dataclasses.replace(steps, values=steps.values[:, kept])
            continue
        table = read_foreign_table(path, decimal=view.decimal)
        if list(table.columns) != view.header:
            raise ValueError(f"{path}: expected the columns of {view.files[0].name}, {view.header}, found {list(table.columns)}")
        yield from steps_of_table(
            table,
            columns,
            flag=flag,
            clip_column=view.names_column,
            time_column=view.time_column,
            unit_s=TIME_UNITS[view.time_unit],
            person_column=view.person_column,
            success_column=view.success_column,
            confidence_column=view.confidence_column,
            least_confidence=view.least_confidence,
            mask_missing=view.mask_missing,
        )
