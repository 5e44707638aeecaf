"""A table of text that goes to the terminal, to a page, to a CSV file and into a paper, the same numbers everywhere."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from avemo_jax.atomic import atomic_file

# What LaTeX has another meaning for, and what it has commands for.
_LATEX = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"[": "{[}", "]": "{]}"}  # after a line's end they would be an option
    | {"±": r"$\pm$", "\u00d7": r"$\times$", "\u2013": "--", "Δ": r"$\Delta$", "κ": r"$\kappa$", "→": r"$\to$"}
)
# How a table of so many characters a row is set, so that it fits the page.
_SIZES = (
    (130, "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n"),
    (100, "\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"),
    (80, "\\footnotesize\n"),
)
_WIDE = 34  # characters from which on a column breaks its lines in a paper


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as it is shown.

    Attributes:
      name: of its files, without ending: letters, digits, hyphens and underscores.
      title: what it is, in a few words.
      header: names of the columns.
      rows: as many cells each, as text.
      note: what a reader has to know: units, what ± is.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(f"a table is named by letters, digits, - and _, got {self.name!r}")
        if wrong := [row for row in self.rows if len(row) != len(self.header)]:
            raise ValueError(f"table {self.name}: expected {len(self.header)} cells a row, got {wrong[0]}")

    @property
    def is_text(self) -> list[bool]:
        """Whether each column is words, which stand left, or numbers, which stand right."""
        return [any(re.match(r"[^\W\d]", row[column]) for row in self.rows) for column in range(len(self.header))]


def table_text(table: Table) -> str:
    """The table for the terminal: title, columns aligned, note."""
    lines = [list(table.header), *map(list, table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]

    def aligned(line: Sequence[str]) -> str:
        cells = zip(line, widths, table.is_text, strict=True)
        return "  " + "  ".join(text.ljust(width) if words else text.rjust(width) for text, width, words in cells).rstrip()

    return "\n".join([table.title, *map(aligned, lines), *([f"  {table.note}"] if table.note else [])])


def table_csv(table: Table) -> str:
    """The table as CSV: a header, and the cells as they are shown."""
    import pandas as pd

    return pd.DataFrame(list(table.rows), columns=list(table.header)).to_csv(index=False, lineterminator="\n")


def table_latex(table: Table) -> str:
    r"""The table as a LaTeX `table` with a caption and the label tab:NAME; it needs \usepackage{booktabs}."""
    import pandas as pd

    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    kinds = [
        (f"p{{{max(0.12, 0.9 * width / sum(widths)):.2f}\\linewidth}}" if width > _WIDE else "l") if words else "r"
        for width, words in zip(widths, table.is_text, strict=True)
    ]
    caption = f"{table.title}. {table.note[:1].upper()}{table.note[1:]}".rstrip(". ") + "."
    frame = pd.DataFrame([list(map(_latex, row)) for row in table.rows], columns=list(map(_latex, table.header)))
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


def _latex(text: str) -> str:
    return re.sub(r"(?<![\w$])-(?=\d)", "$-$", text.translate(_LATEX))
