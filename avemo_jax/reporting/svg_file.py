"""A chart of a page as an SVG file of its own, in the colours of the page's light theme."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_PIXELS_A_UNIT = 1.6
STYLE_SHEET = Path(__file__).with_name("page.css")


def light_colours(page: str) -> dict[str, str]:
    """Return name -> colour of the first `:root` rule of a page or style sheet, which is its light theme.

    Raises:
      ValueError: there is no such rule.
    """
    rule = re.search(r":root\s*\{([^}]*)\}", page)
    if not rule:
        raise ValueError("expected a report with a rule ':root { --ink: ...; }', found none; write it again with --mode=report")
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})", rule[1]))


def svg_file(chart: str, colours: dict[str, str] | None = None) -> str:
    """Return the content of a file with a chart of `charts`.

    Args:
      colours: by name, as `light_colours` has them; default: those of our pages.
    """
    colours = colours or light_colours(STYLE_SHEET.read_text(encoding="utf-8"))
    drawing = re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], chart).replace("currentColor", colours["soft"])
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(drawing if "xmlns=" in drawing else drawing.replace("<svg", f'<svg xmlns="{_SVG}"', 1))
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    root.attrib |= {"width": f"{_PIXELS_A_UNIT * width:g}", "height": f"{_PIXELS_A_UNIT * height:g}", "font-family": "sans-serif"}
    root.insert(0, ElementTree.Element(f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": colours["paper"]}))
    return ElementTree.tostring(root, encoding="unicode") + "\n"
