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
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_PIXELS_A_UNIT = 1.6


def light_colours(page: str) -> dict[str, str]:
    """Return name -> colour of the first `:root` rule of a page, which is its light theme.

    Raises:
      ValueError: the page has no such rule.
    """
    rule = re.search(r":root\s*\{([^}]*)\}", page)
    if not rule:
        raise ValueError("expected a report with a rule ':root { --ink: ...; }', found none; write it again with --mode=report")
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})", rule[1]))


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
    colours = light_colours(page)
    drawing = re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], found[0]).replace("currentColor", colours["soft"])
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(drawing if "xmlns=" in drawing else drawing.replace("<svg", f'<svg xmlns="{_SVG}"', 1))
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    root.attrib |= {"width": f"{_PIXELS_A_UNIT * width:g}", "height": f"{_PIXELS_A_UNIT * height:g}", "font-family": "sans-serif"}
    root.insert(0, ElementTree.Element(f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": colours["paper"]}))
    return ElementTree.tostring(root, encoding="unicode") + "\n"


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
