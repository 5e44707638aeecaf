"""Small charts as inline SVG, drawn by matplotlib and coloured by the page's style sheet for light, dark and print."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from avemo_jax.evaluation.results import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 380  # units of the drawing; about as many pixels as a phone has, so text keeps its size there
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 8, 38  # the same in every chart, so that axes line up
# matplotlib has no colours that change with the page: it draws with placeholders, which `_svg` replaces by the page's own. The font is
# replaced too; matplotlib only measures with its own.
_INK = "#010101"
_COLOURS = {"first": "#010102", "second": "#010103", "third": "#010104"}
STYLES = tuple(_COLOURS)
_ON_THE_PAGE = {_INK: "currentColor", "'DejaVu Sans'": "inherit"} | {colour: f"var(--{style})" for style, colour in _COLOURS.items()}
_STEPS = (1, 2, 2.5, 5, 10)  # between ticks, times a power of ten
_DASHES: dict[str, Any] = {"first": (0, (6, 3)), "second": "-", "third": (0, (2, 3))}  # tell lines apart without colour
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so bytes are the same everywhere
    "font.size": 12.5,
    "lines.scale_dashes": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.xmargin": 0,
    "axes.ymargin": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _INK,
    "grid.alpha": 0.25,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.bottom": False,
    "ytick.left": False,
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart: y (N,) over x (N,), and the band (N,), (N,) around it, if any. `style`: first, second or third."""

    name: str
    style: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_name: str,
    y_name: str,
    y_range: tuple[float, float] | None = None,
    level: tuple[str, float] | None = None,
) -> Markup:
    """Draw lines with their bands over integers.

    Args:
      title: for screen readers.
      y_range: fixed range; default: that of the bands.
      level: (name, y) of a horizontal line to compare with.
    """
    with _style():
        figure, axes = _figure(height=230, x_name=x_name, y_name=y_name, num_y_ticks=5)
        _tick(axes.xaxis, 6, integer=True)
        for line in lines:
            colour = _COLOURS[line.style]
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.18, linewidth=0, clip_on=False)
            marker = "o" if len(line.x) == 1 else ""
            axes.plot(line.x, line.y, color=colour, linestyle=_DASHES[line.style], linewidth=2, marker=marker, clip_on=False)
        if level is not None:
            name, height = level
            axes.axhline(height, color=_INK, linestyle=(0, (2, 4)), linewidth=1)
            axes.annotate(name, (1, height), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points", ha="right")
        if y_range is not None:
            axes.set_ylim(*y_range)
        return _svg(figure, title)


def weight_chart(times_s: np.ndarray, weights: np.ndarray, *, title: str, style: str, end_s: float | None = None) -> Markup:
    """Draw attention weights (T,) over the times (T,) of their steps, in s, as bars from zero, the time axis ending at `end_s`."""
    width_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    edges_s = (times_s[:, None] + 0.45 * width_s * np.array([-1, 1])).ravel()
    bars_and_gaps = np.stack([weights * 100, np.full_like(weights, np.nan)], axis=1).ravel()[:-1]
    with _style():
        figure, axes = _figure(height=120, x_name="s", y_name="weight, %", num_y_ticks=3)
        axes.stairs(bars_and_gaps, edges_s, fill=True, color=_COLOURS[style], clip_on=False)  # one path; `bar` makes one of each
        axes.set_xlim(min(0.0, times_s.min() - width_s / 2), max(end_s or 0.0, times_s.max() + width_s / 2))
        axes.set_ylim(0, max(float(weights.max()) * 100, 1e-6))
        return _svg(figure, title)


def histogram_chart(values: np.ndarray, *, title: str, x_name: str) -> Markup:
    """Draw how many of the values (N,) lie where, in at most 40 bins."""
    counts, edges = np.histogram(values, bins=min(40, max(5, round(len(values) ** 0.5))))
    with _style():
        figure, axes = _figure(height=160, x_name=x_name, y_name="clips", num_y_ticks=4)
        axes.stairs(counts, edges, fill=True, color=_COLOURS["first"])
        axes.set_ylim(0, counts.max() * 1.05)
        return _svg(figure, title)


@dataclasses.dataclass(frozen=True)
class Interval:
    """One row of an interval chart: a text, and below it a value with its interval or None. `style` as in `Line`."""

    text: str
    style: str
    value: float
    low: float | None = None
    high: float | None = None


def interval_chart(
    rows: Sequence[Interval], *, title: str, x_name: str, x_range: tuple[float, float], level: tuple[str, float] | None
) -> Markup:
    """Draw values with their intervals, one row each; a value without an interval is a diamond.

    Args:
      title: for screen readers.
      level: (name, x) of a vertical line to compare with.
    """
    with _style({"axes.grid.axis": "x"}):
        x_name = x_name if level is None else f"{x_name} (dotted: {level[0]})"
        figure, axes = _figure(height=_TOP + _BOTTOM + 40 * len(rows), x_name=x_name, y_name="", num_y_ticks=1)
        axes.set_yticks([])
        for place, row in enumerate(rows):
            colour = _COLOURS[row.style]
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place + 0.7] * 2, color=colour, linewidth=2.5, clip_on=False)
            marker = "D" if row.low is None else "o"
            axes.plot([row.value], [place + 0.7], marker, color=colour, markersize=7, clip_on=False)
            axes.annotate(row.text, (0, place + 0.42), xycoords=("axes fraction", "data"), xytext=(2, 0), textcoords="offset points")
        if level is not None:  # beside each interval, and not through the texts
            axes.vlines([level[1]] * len(rows), np.arange(len(rows)) + 0.55, np.arange(len(rows)) + 0.85, colors=_INK, linestyles=":")
        axes.set_xlim(*x_range)
        axes.set_ylim(len(rows), 0)
        # The texts need the whole width, and there is no axis on the left.
        axes.set_position((_RIGHT / _WIDTH, axes.get_position().y0, 1 - 2 * _RIGHT / _WIDTH, axes.get_position().height))
        return _svg(figure, title)


def reliability_chart(diagrams: Sequence[tuple[str, Sequence[ReliabilityBin]]], *, title: str) -> Markup:
    """Draw reliability diagrams: accuracy over confidence; perfect calibration is the diagonal.

    Args:
      diagrams: (style, bins of `calibration.reliability`) of one or several; the area of a dot shows the bin's share of the clips.
      title: for screen readers.
    """
    with _style():
        figure, axes = _figure(height=330, x_name="confidence, %", y_name="accuracy, %", num_y_ticks=5)
        axes.plot([0, 100], [0, 100], color=_INK, linestyle=(0, (2, 4)), linewidth=1)
        for style, bins in diagrams:
            x, y = (100 * np.array([getattr(one, key) for one in bins]) for key in ("confidence", "accuracy"))
            share = np.array([one.num_clips for one in bins]) / sum(one.num_clips for one in bins)
            axes.plot(x, y, color=_COLOURS[style], linestyle=_DASHES[style], linewidth=1.5, clip_on=False)
            axes.scatter(x, y, s=8 + 160 * share, color=_COLOURS[style], linewidths=0, clip_on=False)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        return _svg(figure, title)


def _style(more: Mapping[str, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Set our style, independent of any matplotlibrc. matplotlib is imported late, here and below: few modes draw, and it is slow."""
    from matplotlib.style import context

    return context(["default", {**_SETTINGS, **dict(more)}])


def _tick(axis: Any, most: int, *, integer: bool = False) -> None:
    """Limit the number of ticks of an axis."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=_STEPS, integer=integer))


def _figure(*, height: int, x_name: str, y_name: str, num_y_ticks: int) -> tuple[Figure, Axes]:
    """Make a figure, `height` units high, and its empty axes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    figure = Figure(figsize=(_WIDTH / 72, height / 72))  # a unit is a point
    axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / height, 1 - (_LEFT + _RIGHT) / _WIDTH, 1 - (_TOP + _BOTTOM) / height))
    axes.set_xlabel(x_name, loc="right", labelpad=0)
    axes.set_ylabel(y_name)
    axes.yaxis.set_label_coords(12 / _WIDTH, 0.5 + (_BOTTOM - _TOP) / height / 2, transform=figure.transFigure)
    _tick(axes.xaxis, 6)
    _tick(axes.yaxis, num_y_ticks)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    return figure, axes


def _svg(figure: Figure, title: str) -> Markup:
    """Write the figure as an element of a page, named for screen readers.

    A chart is inline and not an <img>: it then has the page's font and the colours of its light, dark and print styles, and its text can be
    selected. The replacements remove what belongs to a file of its own (the declarations before <svg>, its size, a style rule that would
    apply to the whole page, group ids that repeat in every chart) and put the page's colours in place of the placeholders.
    """
    import matplotlib

    stream = io.StringIO()
    # Ids that are referred to are hashes: salted with the title, they differ between charts and are the same in every run.
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(stream, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    root, text = re.split(r"(?<=>)", stream.getvalue().partition("<svg ")[2], maxsplit=1)
    (view_box,) = re.findall(r'viewBox="([^"]*)"', root)
    text = re.sub(r"<defs>\s*<style.*?</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'style="[^"]*"', _styled_by_the_page, text)
    head = (
        f'<svg xmlns="{_SVG}" xmlns:xlink="{_XLINK}" viewBox="{view_box}" role="img" aria-label="{escape(title)}" stroke-linejoin="round">'
    )
    return Markup(head + text.strip())


def _styled_by_the_page(style: re.Match[str]) -> str:
    text = style[0]
    for drawn, shown in _ON_THE_PAGE.items():
        text = text.replace(drawn, shown)
    return text
