"""What pages have in common: one environment of templates, and how numbers and names are written."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from avemo_jax.reporting.tables import table_csv, table_latex


def page_environment(*folders: Path) -> jinja2.Environment:
    """Templates of these folders and of this one (page.css, parts.html.j2), with the filters that pages use."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "duration": _duration, "breakable": _breakable, "cell": _cell, "sentence": _sentence}
    environment.filters |= {"latex": table_latex, "csv": table_csv}
    return environment


def percent(share: float) -> str:
    """A share in percent, one digit after the point."""
    return f"{100 * share:.1f}"


def _breakable(name: str) -> Markup:
    """A name that may be broken after its underscores, which narrow screens need."""
    return Markup("_<wbr>").join(name.split("_"))


def _cell(text: str) -> Markup:
    """A cell's text, which may be broken after underscores and never inside an interval."""
    return _breakable(re.sub(r"\[[^]]*\]", lambda interval: interval[0].replace(" ", "\N{NO-BREAK SPACE}"), text))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _sentence(text: str) -> str:
    """Text with a large letter in front and a full stop behind; the rest stays as it is."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""
