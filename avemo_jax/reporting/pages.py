"""The templates of all pages: one environment with the filters that write numbers, names and tables."""

from __future__ import annotations

from pathlib import Path

import jinja2

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


def mean_of_folds(value: MetricSummary) -> str:
    """Format the mean over folds with its deviation, in percent: "59.1 ± 0.8"."""
    return format_mean(value.mean_of_folds, value.std_of_folds)


def pooled(value: MetricSummary | Estimate) -> str:
    """Format a pooled metric with its interval, in percent: "61.5 [58.0, 64.9]"."""
    return format_interval(value.pooled, value.ci95)
