"""`Table`: columns and rows, rendered as terminal text, HTML, CSV and LaTeX with the same cells everywhere."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from avemo_jax.atomic import atomic_file
from avemo_jax.csv_files import write_rows
from avemo_jax.text import Align, align_columns, format_difference, format_interval, format_percent

# Characters with a meaning in LaTeX, and characters that LaTeX writes as commands.
_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"[": "{[}", "]": "{]}"}  # after the end of a line they would be an option
    | {"±": r"$\pm$", "\u00d7": r"$\times$", "\u2013": "--", "Δ": r"$\Delta$", "κ": r"$\kappa$", "→": r"$\to$"}
)
# LaTeX commands for tables with more than this number of characters a row, so that they fit the page.
_SIZES = (
    (130, "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n"),
    (100, "\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"),
    (80, "\\footnotesize\n"),
)
_WIDE = 34  # characters; in LaTeX a left-aligned column wider than this breaks its lines


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      title: its heading.
      format: turns a value into the text of its cell; None is always "-".
      align: "right" for numbers, "left" for words.
      link: turns a value into the address that its cell links to in HTML.
    """

    title: str
    format: Callable[[Any], str] = str
    align: Align = "right"
    link: Callable[[Any], str] | None = None


def text_column(title: str) -> Column:
    """Return a left-aligned column of words."""
    return Column(title, str, "left")


def percent_column(title: str) -> Column:
    """Return a column of shares, shown in percent."""
    return Column(title, format_percent)


def pooled_cell(value: Mapping[str, Any]) -> str:
    """Format a pooled metric {"pooled", "ci95"} with its interval, in percent: "61.5 [58.0, 64.9]"."""
    return format_interval(value["pooled"], value["ci95"])


def difference_cell(value: Mapping[str, Any]) -> str:
    """Format a difference {"difference", "ci95"} with its interval, in points: "+3.4 [-0.2, +7.0]"."""
    return format_difference(value["difference"], value["ci95"])


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      name: of its files, without ending: letters, digits, hyphens and underscores.
      title: in a few words.
      columns: at least one.
      rows: one value a column; None where there is no value.
      note: units and explanations.

    Raises:
      ValueError: the name has other characters, or a row has another number of values than there are columns.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(f"a table is named by letters, digits, - and _, got {self.name!r}")
        if wrong := [row for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"table {self.name}: expected {len(self.columns)} cells a row, got {wrong[0]}")

    @property
    def header(self) -> list[str]:
        """Titles of the columns."""
        return [column.title for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """Text of the cells, row by row."""
        return [
            ["-" if value is None else column.format(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows
        ]


def table_text(table: Table) -> str:
    """Render for the terminal: title, aligned columns, note."""
    lines = align_columns([table.header, *table.cells], [column.align for column in table.columns])
    return "\n".join([table.title, *(f"  {line}" for line in lines), *([f"  {table.note}"] if table.note else [])])


def table_html(table: Table) -> Markup:
    """Render as HTML: a table that scrolls sideways on narrow screens, and its note."""
    words = [Markup(' class="word"') if column.align == "left" else "" for column in table.columns]
    heads = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(word, title) for word, title in zip(words, table.header, strict=True)
    )
    lines = []
    for row, texts in zip(table.rows, table.cells, strict=True):
        first, *rest = [_html_cell(*cell) for cell in zip(table.columns, row, texts, strict=True)]
        cells = [Markup("<td{}>{}</td>").format(word, cell) for word, cell in zip(words[1:], rest, strict=True)]
        lines.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, Markup("").join(cells)))
    note = Markup('\n<p class="soft">{}</p>').format(as_sentence(table.note)) if table.note else ""
    return Markup(
        '<div class="wide"><table class="lined words">\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n</table></div>{}'
    ).format(heads, Markup("\n").join(lines), note)


def table_csv(table: Table) -> str:
    """Render as CSV: a header, and the cells as they are shown."""
    stream = io.StringIO()
    write_rows(stream, [table.header, *table.cells])
    return stream.getvalue()


def table_latex(table: Table) -> str:
    r"""Render as a LaTeX `table` with a caption and the label tab:NAME; it needs \usepackage{booktabs}."""
    import pandas as pd

    widths = [max(map(len, column)) for column in zip(table.header, *table.cells, strict=True)]
    kinds = [
        (f"p{{{max(0.12, 0.9 * width / sum(widths)):.2f}\\linewidth}}" if width > _WIDE else "l") if column.align == "left" else "r"
        for width, column in zip(widths, table.columns, strict=True)
    ]
    caption = f"{table.title}. {table.note[:1].upper()}{table.note[1:]}".rstrip(". ") + "."
    frame = pd.DataFrame([list(map(_latex, row)) for row in table.cells], columns=list(map(_latex, table.header)))
    layout = {"column_format": "".join(kinds), "caption": _latex(caption), "label": f"tab:{table.name}", "position": "t"}
    text = frame.to_latex(index=False, escape=False, **layout)
    size = next((size for least, size in _SIZES if sum(widths) > least), "")
    return text.replace(r"\begin{tabular}", size + r"\begin{tabular}")


def write_tables(folder: Path, tables: Iterable[Table]) -> list[Path]:
    """Write NAME.csv and NAME.tex of each table into a folder, and return their paths.

    Raises:
      ValueError: two tables have one name.
    """
    tables = list(tables)
    names = [table.name for table in tables]
    if len(set(names)) != len(names):
        raise ValueError(f"two tables have one name among {', '.join(names)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in tables:
        for ending, text in ((".csv", table_csv(table)), (".tex", table_latex(table))):
            path = folder / f"{table.name}{ending}"
            with atomic_file(path) as stream:
                stream.write(text)
            paths.append(path)
    return paths


def _html_cell(column: Column, value: Any, text: str) -> Markup:
    if column.link is None or value is None:
        return breakable_cell(text)
    return Markup('<a href="{}">{}</a>').format(column.link(value), breakable_cell(text))


def breakable(name: str) -> Markup:
    """Escape a name for HTML and allow line breaks after its underscores, for narrow screens."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def breakable_cell(text: str) -> Markup:
    """Escape a cell for HTML; lines may break after underscores, but not inside an interval."""
    return breakable(re.sub(r"\[[^]]*\]", lambda interval: interval[0].replace(" ", "\N{NO-BREAK SPACE}"), text))


def as_sentence(text: str) -> str:
    """Capitalise the first letter and end with a full stop; the rest stays as it is."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def _latex(text: str) -> str:
    return re.sub(r"(?<![\w$])-(?=\d)", "$-$", text.translate(_LATEX))
