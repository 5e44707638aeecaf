"""Charts are read back from the SVG: positions of lines and bars, and ids that do not clash on one page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from avemo_jax.evaluation.results import ReliabilityBin
from avemo_jax.reporting.charts import Interval, Line, interval_chart, line_chart, reliability_chart, weight_chart

EPOCHS = np.arange(5)


def some_line(style: str = "first", x: np.ndarray = EPOCHS) -> Line:
    return Line("training", style, x, 10.0 * x, 10.0 * x - 5, 10.0 * x + 5)


def drawn(svg: str, paint: str) -> list[np.ndarray]:
    """Points (N, 2), x and y, of every path whose style holds `paint`."""
    return [
        np.array(re.findall(r"[\d.-]+", element.get("d", "")), float).reshape(-1, 2)
        for element in ElementTree.fromstring(svg).iter()
        if paint in element.get("style", "") and element.get("d")
    ]


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_line_is_drawn_at_its_numbers():
    svg = line_chart([some_line()], title="loss", x_name="epoch", y_name="loss, %", y_range=(0, 40), level=("chance", 20))
    (line,) = drawn(svg, "stroke: var(--first)")
    # The drawing is 380 x 230 with margins left 50, right 14, top 8, bottom 38; y points downwards.
    np.testing.assert_allclose(line, np.stack([np.linspace(50, 366, 5), np.linspace(192, 8, 5)], axis=1), atol=0.01)
    assert any(np.allclose(path, [[50, 100], [366, 100]], atol=0.01) for path in drawn(svg, "stroke-dasharray: 2,4"))
    assert set(texts(svg)) == {"0", "1", "2", "3", "4", "10", "20", "30", "40", "epoch", "loss, %", "chance"}


def test_the_range_is_that_of_the_bands():
    (line,) = drawn(line_chart([some_line()], title="", x_name="", y_name=""), "stroke: var(--first)")
    np.testing.assert_allclose(line[[0, -1], 1], [192 - 184 * 5 / 50, 8 + 184 * 5 / 50], atol=0.01)  # from -5 to 45


def test_one_epoch_is_a_dot():
    one, two = (line_chart([some_line(x=np.arange(count))], title="", x_name="", y_name="") for count in (1, 2))
    assert one.count("<use") == two.count("<use") + 1


def test_bars_are_as_high_as_their_weights():
    times_s = np.array([0.25, 0.75, 1.25])
    (points,) = drawn(weight_chart(times_s, np.array([0.2, 0.4, 0.4]), title="", style="second", end_s=2.0), "fill: var(--second)")
    # 120 high, from 82 up to 8 for the highest weight; 2 s are 316 wide and a bar nine tenths of a step of 0.5 s.
    assert sorted(set(points[:, 1])) == [8, 45, 82]
    middles = 50 + times_s / 2 * 316
    edges = (middles[:, None] + [-0.225 * 158, 0.225 * 158]).ravel()
    np.testing.assert_allclose(sorted(set(points[:, 0])), edges, atol=0.01)


@pytest.mark.parametrize("num_steps", [1, 2])
def test_weights_of_few_steps(num_steps):
    svg = weight_chart(np.arange(num_steps) + 0.5, np.full(num_steps, 1 / num_steps, np.float32), title="", style="first")
    assert [path[:, 1].min() for path in drawn(svg, "fill: var(--first)")] == [8]


def test_charts_share_a_page():
    charts = [line_chart([some_line()], title=title, x_name="epoch", y_name="") for title in ("a", "b")]
    charts += [weight_chart(EPOCHS, np.full(5, 0.2), title=title, style="first") for title in ("c", "d")]
    ids = [name for svg in charts for name in re.findall(r'\bid="([^"]*)"', svg)]
    assert ids and len(set(ids)) == len(ids)
    for svg in charts:
        referred = set(re.findall(r'(?:url\(|href=")#(\w+)', svg))
        assert referred and referred <= set(re.findall(r'\bid="([^"]*)"', svg))


def test_the_same_numbers_give_the_same_bytes():
    def chart() -> str:
        return line_chart([some_line()], title="loss", x_name="epoch", y_name="")

    first = chart()
    with matplotlib.rc_context({"axes.linewidth": 9, "xtick.labelsize": 40, "axes.spines.bottom": False}):  # as a matplotlibrc may set
        assert chart() == first
    assert chart() == first


def test_the_page_sets_colour_size_and_font():
    svg = line_chart([some_line("first"), some_line("third")], title="loss", x_name="epoch", y_name="")
    paints = set(re.findall(r"(?:fill|stroke|background|color): ([^;\"]+)", svg))
    assert paints == {"none", "currentColor", "var(--first)", "var(--third)"}
    assert set(re.findall(r"font-family: ([^;]+)", svg)) == {"inherit"}
    root = ElementTree.fromstring(svg)
    assert root.attrib == {"viewBox": "0 0 380 230", "role": "img", "aria-label": "loss", "stroke-linejoin": "round"}


def test_no_placeholder_is_left():
    """Markers have two colours in one style."""
    rows = [Interval("a", "first", 60, 50, 75), Interval("b", "second", 90)]
    bins = [ReliabilityBin(low=0.4, high=0.5, num_clips=30, confidence=0.45, accuracy=0.3)]
    charts = [interval_chart(rows, title="UAR", x_name="UAR, %", x_range=(0, 100), level=("chance", 12.5))]
    charts += [reliability_chart([("third", bins)], title="reliability"), weight_chart(EPOCHS, np.full(5, 0.2), title="w", style="second")]
    assert not [svg for svg in charts if "#0101" in svg or "DejaVu" in svg]


def test_nothing_that_belongs_to_a_file_is_left():
    svg = line_chart([some_line()], title="loss", x_name="epoch", y_name="")
    assert svg.startswith("<svg ")
    for part in ("<?xml", "<!DOCTYPE", "<metadata", "<style", "<!--"):
        assert part not in svg


def test_text_is_text():
    title = "\"a' <b> & $x^2$ #010101"
    svg = line_chart([some_line()], title=title, x_name="<s> & $t^2$", y_name="")
    assert ElementTree.fromstring(svg).get("aria-label") == title
    assert "<s> & $t^2$" in texts(svg)


def test_intervals_are_drawn_at_their_numbers():
    rows = [Interval("60.0 [50.0, 75.0]  ours", "first", 60, 50, 75), Interval("90.0  published", "second", 90)]
    svg = interval_chart(rows, title="UAR", x_name="UAR, %", x_range=(0, 100), level=("chance", 12.5))
    (line,) = drawn(svg, "stroke: var(--first); stroke-width: 2.5")
    # 380 wide with margins of 14; rows are 40 high from 8 down, their values at seven tenths.
    np.testing.assert_allclose(line, [[14 + 352 * 0.5, 8 + 28], [14 + 352 * 0.75, 8 + 28]], atol=0.01)
    assert not drawn(svg, "stroke: var(--second); stroke-width: 2.5")  # published numbers have no interval
    assert {"60.0 [50.0, 75.0]  ours", "90.0  published", "UAR, % (dotted: chance)"} <= {text.replace("\xa0", " ") for text in texts(svg)}
    assert ElementTree.fromstring(svg).get("viewBox") == "0 0 380 126"


def test_reliability_is_accuracy_over_confidence():
    bins = [
        ReliabilityBin(low=0.4, high=0.5, num_clips=30, confidence=0.45, accuracy=0.3),
        ReliabilityBin(low=0.9, high=1.0, num_clips=10, confidence=0.95, accuracy=0.8),
    ]
    svg = reliability_chart([("first", bins), ("second", bins[:1])], title="reliability")
    (line,) = drawn(svg, "stroke: var(--first)")
    # 316 wide from 50, 284 high from 8.
    np.testing.assert_allclose(line, [[50 + 3.16 * 45, 8 + 2.84 * 70], [50 + 3.16 * 95, 8 + 2.84 * 20]], atol=0.01)
    assert any(np.allclose(path, [[50, 292], [366, 8]], atol=0.01) for path in drawn(svg, "stroke-dasharray: 2,4"))
