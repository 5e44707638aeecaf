"""Feature tables with a row a step: the rows of each clip in order of time, as segments with masked gaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avemo_jax.foreign_table import ForeignTable, seconds
from avemo_jax.npz_files import read_npz
from data_prep.views.segments import ViewSegment, is_long_enough

TIME_UNITS = {"s": 1.0, "ms": 1e-3}
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".npz")
_LARGEST_BYTES = 2 << 30  # of the arrays of an npz file
_MOST_STEPS = 1_000_000  # of a clip, with its gaps
_GAP = 1.5  # times the usual step: more is a gap
_TIMES = ("times_s", "times", "time")  # names of an array of times in a clip's npz file


@dataclasses.dataclass(frozen=True)
class ClipSteps:
    """The steps of one clip as a table has them.

    Attributes:
      name: what the table calls the clip.
      where: file, for messages.
      lines: line of each step, for messages; numbers from 0 in npz files.
      times_s: (T,) float64.
      values: (T, D) float32; where the mask is False, anything.
      mask: (T,) bool, False where the tracker found nothing.
      person: (T,) text that tells persons apart; all "" where there is one.
    """

    name: str
    where: str
    lines: np.ndarray
    times_s: np.ndarray
    values: np.ndarray
    mask: np.ndarray
    person: np.ndarray


def files_of(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder with one for each clip, in the order of their names.

    Raises:
      ValueError: there is none, they are of several kinds, or two are of one name.
    """
    files = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES))
    if not files:
        raise ValueError(f"{folder}: expected a file for each clip ({', '.join(SUFFIXES)}), found none")
    if len({path.suffix.lower() for path in files}) > 1 or len({path.stem for path in files}) < len(files):
        names = ", ".join(path.name for path in files[:6])
        raise ValueError(f"{folder}: expected files of one kind, one for each clip, found {names}")
    return files


def steps_of_table(
    table: ForeignTable,
    columns: Sequence[str],
    *,
    flag: str,
    clip_column: str | None,
    time_column: str,
    unit_s: float,
    person_column: str = "",
    success_column: str = "",
    confidence_column: str = "",
    least_confidence: float = 0.0,
    mask_missing: bool = False,
) -> Iterator[ClipSteps]:
    """Yield the steps of each clip of a table, clips in the order of their first row.

    Args:
      table: with a row a step.
      columns: names of the features.
      flag: beginning of the flags of the view, "--config.views.table", for messages.
      clip_column: column that names the clip; None where the table is of one clip, which has the name of the file.
      unit_s: unit of the times in s.
      mask_missing: steps with a feature that is no finite number are masked, and not refused.

    Raises:
      ValueError: a cell that is no number or no time, or only some cells of a column have a percent sign, with the line.
    """
    mask = np.ones(len(table), bool)
    if success_column:
        mask &= _numbers(table, success_column, flag) > 0.5
    if confidence_column:
        mask &= _numbers(table, confidence_column, flag) >= least_confidence
    values = np.column_stack([_numbers(table, column, flag) for column in columns])
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    missing = ~np.isfinite(values)
    if mask_missing:
        mask &= ~missing.any(axis=1)
    elif (wrong := missing & mask[:, None]).any():
        row, index = np.argwhere(wrong)[0]
        column, place = columns[index], table.places[row]
        cell = table.column(column)[row]
        remedy = f"fix the cell, leave the column out with {flag}.drop_columns, or mask such steps with {flag}.mask_missing=True"
        table.finite(place, column, cell, flag=f"{flag}.decimal", remedy=remedy)
        raise ValueError(f"{table.path}, {place}, column {column}: expected a number that float32 holds, found {cell!r}; {remedy}")
    cells = zip(table.lines, table.column(time_column), strict=True)
    times_s = np.array([_time_s(table, cell, unit_s, line, time_column) for line, cell in cells])
    names = np.array(table.column(clip_column)) if clip_column else np.full(len(table), table.path.stem)
    persons = np.array(table.column(person_column)) if person_column else np.full(len(table), "")
    order = np.argsort(names, kind="stable")
    starts = np.flatnonzero(np.r_[True, names[order][1:] != names[order][:-1]])
    rows_of = np.split(order, starts[1:])
    lines = np.array(table.lines)
    for rows in sorted(rows_of, key=lambda rows: rows[0]):
        own = np.where(mask[rows, None], values[rows], 0)
        yield ClipSteps(str(names[rows[0]]), str(table.path), lines[rows], times_s[rows], own, mask[rows], persons[rows])


def _numbers(table: ForeignTable, column: str, flag: str) -> np.ndarray:
    cells = table.column(column)
    numbers = np.array([table.number(cell) for cell in cells], np.float64)
    in_percent = (row for row, cell in enumerate(cells) if cell.endswith("%") and np.isfinite(numbers[row]))
    if (row := next(in_percent, None)) is not None:  # all of them have to be
        remedy = f"fix the cells, or leave the column out with {flag}.drop_columns"
        table.finite(table.places[row], column, cells[row], flag=f"{flag}.decimal", remedy=remedy)
    return numbers


def _time_s(table: ForeignTable, cell: str, unit_s: float, line: int, column: str) -> float:
    time: float | None = table.number(cell) * unit_s
    if time is not None and not np.isfinite(time):
        time = seconds(cell)  # h:mm:ss, "0 days 00:00:02.5"
    if time is None or not np.isfinite(time) or time < 0:
        raise ValueError(f"{table.path}, line {line}, column {column}: expected a time, 0 or more, found {cell!r}")
    return time


def steps_of_npz(path: Path, *, rate_hz: float, flag: str, is_one_clip: bool) -> Iterator[ClipSteps]:
    """Yield the steps of the clips of an npz file: (T, D) arrays of numbers, nothing is unpickled.

    Args:
      path: of one clip with its features, and perhaps `times` in s; or of many clips, an array a clip by its name.
      rate_hz: steps a second where the file has no times.
      flag: as `steps_of_table` has it.
      is_one_clip: the file is one clip, which has the file's name.

    Raises:
      ValueError: no npz file, too large, an array of another shape, no times and no rate, or a value that is no finite number.
    """
    arrays = read_npz(path, _LARGEST_BYTES)
    times = next((arrays.pop(name) for name in _TIMES if name in arrays), None) if is_one_clip else None
    if is_one_clip and len(arrays) != 1:
        raise ValueError(f"{path}: expected one array of features, (T, D), beside times, found {', '.join(arrays) or 'none'}")
    for name, values in arrays.items():
        values = values[0] if values.ndim == 3 and len(values) == 1 else values  # (1, T, D), as networks give it
        if values.ndim != 2 or not len(values) or not np.issubdtype(values.dtype, np.number):
            raise ValueError(f"{path}: expected (T, D) numbers in {name}, found {values.dtype} {values.shape}")
        if times is None and not rate_hz:
            raise ValueError(f"{path}: it has no times; set {flag}.rate_hz to its steps a second")
        times_s = np.arange(len(values)) / rate_hz if times is None else np.asarray(times, np.float64)
        if times_s.shape != (len(values),):
            raise ValueError(f"{path}: expected a time for each of {len(values)} steps, found {times_s.shape}")
        if not np.isfinite(values).all() or not np.isfinite(times_s).all():
            raise ValueError(f"{path}: expected finite numbers in {name}, found others; compute it anew")
        clip, count = path.stem if is_one_clip else name, len(values)
        nobody = np.full(count, "")
        yield ClipSteps(clip, str(path), np.arange(count), times_s, values.astype(np.float32), np.ones(count, bool), nobody)


def as_segments(steps: ClipSteps, segment_s: float, flag: str) -> tuple[ViewSegment, ...]:
    """Return the steps of a clip in order of time, cut into segments, with a masked step for each one that is missing in a gap.

    Of several persons, the one with the most unmasked steps is kept, the first of equals.

    Raises:
      ValueError: two steps of one time, with their lines; or gaps that no clip has.
    """
    if len(names := dict.fromkeys(steps.person.tolist())) > 1:
        kept = max(names, key=lambda one: int(steps.mask[steps.person == one].sum()))
        steps = _chosen(steps, np.flatnonzero(steps.person == kept))
    steps = _chosen(steps, np.argsort(steps.times_s, kind="stable"))
    between = np.diff(steps.times_s)
    if (between <= 0).any():
        place = int(np.flatnonzero(between <= 0)[0])
        raise ValueError(
            f"{steps.where}, lines {steps.lines[place]} and {steps.lines[place + 1]}: two steps of clip {steps.name} have the time "
            f"{steps.times_s[place]:g} s; remove one, or name the column that tells several persons apart ({flag}.person_column)"
        )
    usual_s = float(np.median(between)) if len(between) else 0.0
    missing = np.where(between > _GAP * usual_s, np.round(between / usual_s).astype(int) - 1, 0) if len(between) else np.zeros(0, int)
    if len(steps.times_s) + missing.sum() > _MOST_STEPS:
        raise ValueError(
            f"{steps.where}: clip {steps.name} has {len(steps.times_s)} steps of {usual_s:g} s up to {steps.times_s[-1]:g} s, with gaps of "
            f"{missing.sum()} steps; expected at most {_MOST_STEPS}: are the times in another unit ({flag}.time_unit)?"
        )
    place = np.arange(len(steps.times_s)) + np.concatenate([[0], np.cumsum(missing)]).astype(int)
    times_s = np.interp(np.arange(place[-1] + 1), place, steps.times_s)
    values = np.zeros((len(times_s), steps.values.shape[1]), np.float32)
    mask = np.zeros(len(times_s), bool)
    values[place], mask[place] = np.where(steps.mask[:, None], steps.values, 0), steps.mask
    return tuple(_cut(values, mask, times_s, segment_s, usual_s))


def _chosen(steps: ClipSteps, rows: np.ndarray) -> ClipSteps:
    chosen = {name: getattr(steps, name)[rows] for name in ("lines", "times_s", "values", "mask", "person")}
    return dataclasses.replace(steps, **chosen)


def _cut(values: np.ndarray, mask: np.ndarray, times_s: np.ndarray, segment_s: float, step_s: float) -> Iterator[ViewSegment]:
    number = np.floor(times_s / segment_s + 1e-9).astype(int)
    for index in range(int(number[-1]) + 1):
        rows = np.flatnonzero(number == index)
        if index == number[-1] and not is_long_enough(index, times_s[-1] + step_s - index * segment_s, segment_s):
            return
        if len(rows):
            yield ViewSegment(values[rows], mask[rows], times_s[rows].astype(np.float32), int(mask[rows].sum()))
        else:  # the table begins later; segments keep their numbers
            start_s = np.full(1, index * segment_s, np.float32)
            yield ViewSegment(np.zeros((1, values.shape[1]), np.float32), np.zeros(1, bool), start_s, 0)
