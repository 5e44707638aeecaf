"""Explanations as maps, tables and curves: on which parts of the clips of each class the answers of a run rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from markupsafe import Markup

from avemo_jax.reporting.attention_examples import picture_address
from avemo_jax.reporting.charts import Line, line_chart
from avemo_jax.reporting.tables import Column, Table, text_column


class Division(Protocol):
    """How a stream is divided, see `experiment.occlusion.Division`."""

    @property
    def stream(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]: ...


class Explanation(Protocol):
    """What was found by one division, see `experiment.occlusion.Explanation`."""

    @property
    def division(self) -> Division: ...
    @property
    def clips(self) -> tuple[str, ...]: ...
    @property
    def label(self) -> np.ndarray: ...
    @property
    def importance(self) -> np.ndarray: ...
    @property
    def probability(self) -> np.ndarray: ...
    @property
    def deletion(self) -> np.ndarray: ...
    @property
    def random(self) -> np.ndarray: ...
    @property
    def picture(self) -> np.ndarray | None: ...


@dataclasses.dataclass(frozen=True)
class ClassMap:
    """The mean map of one class: rows from top to bottom of (share of the largest in the division from -1 to 1, text of the value)."""

    name: str
    num_clips: int
    cells: tuple[tuple[tuple[float, str], ...], ...]
    summary: str


def class_maps(one: Explanation, classes: Sequence[str]) -> list[ClassMap]:
    """Return the maps of the classes that have clips; time runs to the right, features and rows of a picture downwards."""
    means = {label: one.importance[one.label == label].mean(axis=0) for label in np.unique(one.label)}
    largest = max(float(np.abs(mean).max()) for mean in means.values()) or 1.0
    maps = []
    for label, mean in means.items():
        shown = mean if one.division.name == "picture" else mean.T
        cells = tuple(tuple((float(value) / largest, f"{100 * value:+.1f}") for value in row) for row in shown)
        place = tuple(int(index) for index in np.unravel_index(int(mean.argmax()), mean.shape))
        summary = f"{classes[label]}: the largest drop, {100 * mean.max():.1f} points, is {place_in_words(one.division, place)}"
        maps.append(ClassMap(classes[label], int((one.label == label).sum()), cells, summary))
    return maps


def place_in_words(division: Division, place: tuple[int, ...]) -> str:
    """Return where a cell is: "in the third eighth of the clip, features 5 to 8 of 8 bands"."""
    if division.name == "picture":
        return f"in row {place[0] + 1} and column {place[1] + 1} of {division.shape[0]} x {division.shape[1]} squares"
    span = f"in span {place[0] + 1} of {division.shape[0]} of the clip"
    return span if division.shape[1] == 1 else f"{span}, band {place[1] + 1} of {division.shape[1]} of the features"


def check_by_deletion(one: Explanation) -> str:
    """Return what hiding the most important fifth of the cells does, beside as many random cells, in a sentence."""
    fifth = 2  # of ten
    whole, important, random = (100 * curve for curve in (one.deletion[0], one.deletion[fifth], one.random[fifth]))
    return (
        f"Hiding the most important fifth of the cells lowers the mean probability of the label from {whole:.1f} to {important:.1f} %; "
        f"hiding as many random cells, to {random:.1f} %."
    )


def deletion_chart(one: Explanation) -> Markup:
    """Draw the mean probability of the label over the share of the cells that are hidden."""
    x = np.linspace(0, 100, len(one.deletion))
    lines = [
        Line(name, style, x, 100 * y, 100 * y, 100 * y)
        for name, style, y in (("most important first", "first", one.deletion), ("in random order", "second", one.random))
    ]
    title = f"{one.division.stream}, {one.division.name}: probability of the label over hidden cells"
    return line_chart(lines, title=title, x_name="cells hidden, %", y_name="probability, %", y_range=(0, 100))


def explanation_table(explanations: Sequence[Explanation], classes: Sequence[str]) -> Table:
    """Return a row for each division and class: clips, probability of the label, and the most important cell."""
    rows: list[list[Any]] = []
    for one in explanations:
        for label in np.unique(one.label):
            own = one.label == label
            mean = one.importance[own].mean(axis=0)
            place = tuple(int(index) for index in np.unravel_index(int(mean.argmax()), mean.shape))
            where = place_in_words(one.division, place)
            rows.append(
                [
                    one.division.stream,
                    one.division.name,
                    classes[label],
                    int(own.sum()),
                    100 * one.probability[own].mean(),
                    100 * mean.max(),
                    where,
                ]
            )
    columns = [
        *map(text_column, ("stream", "division", "class")),
        Column("clips"),
        Column("probability, %", "{:.1f}".format),
        Column("largest drop, points", "{:.1f}".format),
        text_column("when this is hidden"),
    ]
    return Table("explanation", "What the answers rest on", columns, rows, "means over the clips of a class; probability of their label")


def mean_picture(one: Explanation) -> Markup | None:
    """Return the mean picture as a data address, or None where the division is not of pictures."""
    if one.picture is None:
        return None
    picture = one.picture
    return picture_address(np.broadcast_to(picture, (*picture.shape[:2], 3)) if picture.shape[-1] == 1 else picture)
