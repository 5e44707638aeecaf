"""A chart of a report becomes a file of its own in the light colours."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from avemo_jax.reporting.charts import Interval, Line, interval_chart, line_chart
from benchmarks.report_figure import standalone

STYLE = (
    "<style>:root {--paper: #ffffff; --soft: #57606a; --first: #0b62b0; --second: #b3470a;} @media dark {:root {--first: #6cb4f5;}}</style>"
)


@pytest.fixture(scope="module")
def page() -> str:
    x = np.arange(3.0)
    curves = line_chart([Line("train", "second", x, x, x, x)], title="loss", x_name="epoch", y_name="loss")
    rows = [Interval("83.7  both", "first", 83.7, 80.0, 87.0)]
    intervals = interval_chart(rows, title="UAR with 95 % intervals", x_name="UAR, %", x_range=(0, 100), level=("chance", 12.5))
    return f"<html>{STYLE}{curves}{intervals}</html>"


def test_the_named_chart_is_written_with_colours_of_the_light_theme(page):
    drawing = standalone(page, "95 % intervals")
    assert "#0b62b0" in drawing and "#b3470a" not in drawing and "#6cb4f5" not in drawing
    assert "var(" not in drawing and "currentColor" not in drawing
    root = ElementTree.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root[0].attrib["fill"] == "#ffffff"
    assert "83.7  both" in "".join(root.itertext())


def test_an_unknown_title_lists_the_charts(page):
    with pytest.raises(ValueError, match="loss; UAR with 95 % intervals"):
        standalone(page, "confusion")
