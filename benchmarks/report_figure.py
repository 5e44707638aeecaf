"""Save one chart of a run's report as an SVG file in the colours of its light theme, for a page such as the README.

    python -m benchmarks.report_figure runs/compared/compare.html "95 % interval" docs/images/demo.svg

The first argument is a run directory, or the page of a run or of a comparison. The second is a part of the chart's title; without a match
the command lists the titles.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from avemo_jax.reporting.svg_file import light_colours, svg_file


def chart_titles(page: str) -> list[str]:
    """Return the titles of the charts of a page, in order."""
    return re.findall(r'<svg[^>]*aria-label="([^"]*)"', page)


def standalone(page: str, title_part: str) -> str:
    """Return the first chart with a title that contains `title_part` as an SVG file of its own.

    Raises:
      ValueError: no chart has such a title; the message lists the titles that there are.
    """
    for found in re.finditer(r"<svg\b.*?</svg>", page, re.DOTALL):
        titles = chart_titles(found[0])
        if titles and title_part in titles[0]:
            break
    else:
        raise ValueError(f"expected a part of a chart's title, got {title_part!r}; the titles are: {'; '.join(chart_titles(page))}")
    return svg_file(found[0], light_colours(page))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory with a report.html, or the page itself")
    parser.add_argument("title", help="part of the chart's title")
    parser.add_argument("output", type=Path, help="SVG file to write")
    options = parser.parse_args(arguments)
    page = options.run / "report.html" if options.run.is_dir() else options.run
    try:
        drawing = standalone(page.read_text(), options.title)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(drawing)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
