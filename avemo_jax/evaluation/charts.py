"""Small charts as inline SVG: coloured by the page's style sheet, so they follow light, dark and print."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

_WIDTH, _HEIGHT = 420, 250  # of the drawing; shown at about this width even on a phone, so text keeps its size
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 34


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a chart: y (N,) over x (N,), and the band (N,), (N,) around it. `style` is a class of the style sheet."""

    name: str
    style: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


class _Axes:
    """Maps data to the drawing, and draws grid, ticks and labels."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float], height: int = _HEIGHT):
        self.x_range, self.y_range = _widened(x_range), _widened(y_range)
        self.height = height
        self.bottom = height - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self.x_range
        return round(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return round(self.bottom - (value - low) / (high - low) * (self.bottom - _TOP), 1)

    def points(self, xs: np.ndarray, ys: np.ndarray) -> str:
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(xs, ys, strict=True))

    def frame(self, x_name: str, y_name: str, *, num_y_ticks: int = 5, whole_x: bool = False) -> Markup:
        parts = []
        for tick in _ticks(self.y_range, num_y_ticks):
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{self.y(tick)}" y2="{self.y(tick)}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{self.y(tick) + 4}" text-anchor="end">{tick:g}</text>')
        for tick in _ticks(self.x_range, 6, whole=whole_x):
            parts.append(f'<text x="{self.x(tick)}" y="{self.bottom + 15}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{self.bottom}" y2="{self.bottom}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{self.height - 4}" text-anchor="end">{escape(x_name)}</text>')
        middle = (_TOP + self.bottom) / 2
        parts.append(f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
        return Markup("".join(parts))


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_name: str,
    y_name: str,
    y_range: tuple[float, float] | None = None,
    level: tuple[str, float] | None = None,
) -> Markup:
    """Draw lines with their bands.

    Args:
      lines: values that are not finite are left out.
      title: what a screen reader says.
      y_range: fixed range; default: that of the bands.
      level: (name, y) of a horizontal line to compare with.
    """
    xs = np.concatenate([line.x for line in lines])
    values = np.concatenate([values[np.isfinite(values)] for line in lines for values in (line.low, line.high)])
    axes = _Axes((xs.min(), xs.max()), y_range or (values.min(), values.max()))
    parts = [axes.frame(x_name, y_name, whole_x=True)]
    if level is not None:
        name, height = level
        parts.append(Markup(f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{axes.y(height)}" y2="{axes.y(height)}"/>'))
        parts.append(Markup(f'<text x="{_WIDTH - _RIGHT}" y="{axes.y(height) - 4}" text-anchor="end">{escape(name)}</text>'))
    for line in lines:
        kept = np.isfinite(line.y)
        x, y, low, high = line.x[kept], line.y[kept], line.low[kept], line.high[kept]
        if not len(x):
            continue
        outline = f"{axes.points(x, high)} {axes.points(x[::-1], low[::-1])}"
        parts.append(Markup(f'<polygon class="band {line.style}" points="{outline}"/>'))
        parts.append(Markup(f'<polyline class="line {line.style}" points="{axes.points(x, y)}"/>'))
        if len(x) == 1:
            parts.append(Markup(f'<circle class="dot {line.style}" cx="{axes.x(x[0])}" cy="{axes.y(y[0])}" r="3"/>'))
    return _svg(title, _HEIGHT, parts)


def weight_chart(times_s: np.ndarray, weights: np.ndarray, *, title: str, style: str, end_s: float | None = None) -> Markup:
    """Draw attention weights (T,) over the times (T,) of their steps, in s, as bars from zero, the time axis ending at `end_s`."""
    height = 120
    width_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    axes = _Axes(
        (min(0.0, times_s.min() - width_s / 2), max(end_s or 0.0, times_s.max() + width_s / 2)),
        (0.0, max(float(weights.max()) * 100, 1e-6)),
        height,
    )
    parts = [axes.frame("s", "weight, %", num_y_ticks=3)]
    for time_s, weight in zip(times_s, weights * 100, strict=True):
        left, right, top = axes.x(time_s - width_s * 0.45), axes.x(time_s + width_s * 0.45), axes.y(weight)
        parts.append(
            Markup(f'<rect class="bar {style}" x="{left}" y="{top}" width="{right - left:.1f}" height="{axes.bottom - top:.1f}"/>')
        )
    return _svg(title, height, parts)


def _svg(title: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(_WIDTH, height, title, Markup("").join(parts))


def _widened(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = map(float, bounds)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(bounds: tuple[float, float], count: int, *, whole: bool = False) -> list[float]:
    low, high = bounds
    ticks = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
    slack = (high - low) * 1e-9
    return [float(tick) for tick in np.round(ticks, 10) if low - slack <= tick <= high + slack]
