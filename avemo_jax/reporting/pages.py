"""What all pages share: one environment with the filters that write numbers, names and tables, and how a page becomes a file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
from markupsafe import Markup

from avemo_jax.atomic import atomic_file
from avemo_jax.evaluation.results import Estimate, MetricSummary
from avemo_jax.reporting.tables import as_sentence, breakable, table_csv, table_html, table_latex
from avemo_jax.text import format_difference, format_duration, format_interval, format_mean, format_percent


def page_environment(*folders: Path) -> jinja2.Environment:
    """Return an environment of the templates of these folders and of this one (page.css, parts.html.j2)."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": format_percent, "duration": format_duration, "difference": format_difference}
    environment.filters |= {"mean_of_folds": mean_of_folds, "pooled": pooled}
    environment.filters |= {"breakable": breakable, "sentence": as_sentence}
    environment.filters |= {"html": table_html, "latex": table_latex, "csv": table_csv}
    return environment


def write_page(
    path: Path, template: str, *folders: Path, filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}), **values: Any
) -> None:
    """Write a page, which is complete when it has its name; arguments but `path` as `render_page` has them."""
    page = render_page(template, *folders, filters=filters, **values)
    with atomic_file(path) as stream:
        stream.write(page)


def render_page(template: str, *folders: Path, filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}), **values: Any) -> str:
    """Return a page.

    Args:
      template: name of the template, in one of `folders` or in this one.
      filters: of this page alone.
      **values: of the template.
    """
    environment = page_environment(*folders)
    environment.filters |= filters
    return environment.get_template(template).render(**values)


def inline_script(path: Path) -> dict[str, Any]:
    """Return the values `script` and `script_hash` of a template: a script inside the page, and its hash for the page's security policy."""
    script = path.read_text(encoding="utf-8")
    return {"script": Markup(script), "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}


def data_address(content: bytes, kind: str) -> Markup:
    """Return the content of a file of a media type, such as "image/jpeg", as an address that a page holds itself."""
    return Markup(f"data:{kind};base64,{base64.b64encode(content).decode()}")


def mean_of_folds(value: MetricSummary) -> str:
    """Format the mean over folds with its deviation, in percent: "59.1 ± 0.8"."""
    return format_mean(value.mean_of_folds, value.std_of_folds)


def pooled(value: MetricSummary | Estimate) -> str:
    """Format a pooled metric with its interval, in percent: "61.5 [58.0, 64.9]"."""
    return format_interval(value.pooled, value.ci95)
