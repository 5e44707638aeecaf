from __future__ import annotations

import csv
import io

import pytest

from avemo_jax.reporting.tables import (
    Column,
    Table,
    percent_column,
    table_csv,
    table_html,
    table_latex,
    table_text,
    text_column,
    write_tables,
)

TABLE = Table(
    "my-table_1",
    "Results & more",
    (text_column("system"), Column("UAR, %"), Column("Δ"), text_column("caveats")),
    (
        ("gru_attention", "59.1 ± 0.8", "-1.0 [-2.0, 0.0]", "a long text with 100 % of {everything} and ~more~ \\ ^ that goes on"),
        ("[svm]", "6", "+0.5", "none"),
    ),
    "in %; ± is the deviation",
)


def test_columns_are_aligned():
    assert table_text(TABLE).splitlines()[:4] == [
        "Results & more",
        "  system             UAR, %                 Δ  caveats",
        f"  gru_attention  59.1 ± 0.8  -1.0 [-2.0, 0.0]  {TABLE.rows[0][3]}",
        "  [svm]                   6              +0.5  none",
    ]


def test_csv_has_the_cells_as_they_are():
    rows = list(csv.reader(io.StringIO(table_csv(TABLE))))
    assert rows == [TABLE.header, *map(list, TABLE.rows)]


def test_latex_by_hand():
    text = table_latex(TABLE)
    assert r"\caption{Results \& more. In \%; $\pm$ is the deviation.}" in text and r"\label{tab:my-table_1}" in text
    assert r"\begin{tabular}{lrrp{0.57\linewidth}}" in text  # long text breaks its lines
    assert r"gru\_attention & 59.1 $\pm$ 0.8 & $-$1.0 {[}$-$2.0, 0.0{]} & " in text
    assert r"100 \% of \{everything\} and \textasciitilde{}more\textasciitilde{} \textbackslash{} \textasciicircum{}" in text
    assert "{[}svm{]} & 6 & +0.5 & none" in text
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}"):
        assert part in text


def test_wide_tables_are_set_smaller():
    header, row = tuple(map(Column, "abcdefgh")), ("59.1 [56.0, 62.0]",) * 8
    assert "\\scriptsize\\setlength{\\tabcolsep}{2pt}\n\\begin{tabular}" in table_latex(Table("a", "A", header, (row,)))
    assert "size" not in table_latex(Table("a", "A", header[:3], (row[:3],)))


def test_hyphens_of_words_stay():
    assert "checkpoint-3 speaker-dependent" in table_latex(Table("a", "a", (Column("x"),), (("checkpoint-3 speaker-dependent",),)))


def test_a_table_of_no_rows_and_equal_names_of_columns():
    columns = (Column("x"), Column("p"), Column("p"))
    text = table_latex(Table("a", "A", columns, (("1", "2", "3"),)))
    assert "x & p & p" in text and "1 & 2 & 3" in text
    empty = Table("a", "A", columns[:2], ())
    assert table_csv(empty) == "x,p\n" and table_text(empty) == "A\n  x  p" and "<tbody>\n\n</tbody>" in table_html(empty)


def test_formatters_make_cells_and_none_is_a_dash():
    table = Table(
        "a",
        "A",
        (text_column("x"), percent_column("share"), Column("count", lambda count: f"{count:,}")),
        (("y", 0.5, 1234), ("z", None, None)),
    )
    assert table.cells == [["y", "50.0", "1,234"], ["z", "-", "-"]]
    assert "y & 50.0 & 1,234" in table_latex(table) and "z & - & -" in table_latex(table)


def test_html_is_escaped_and_breaks_at_the_right_places():
    table = Table("a", "A", (text_column("<s>"), Column("UAR")), (("gru_<b>", "59.1 [56.0, 62.0]"),), "a & b")
    text = table_html(table)
    assert '<th scope="col" class="word">&lt;s&gt;</th><th scope="col">UAR</th>' in text
    assert '<th scope="row">gru_<wbr>&lt;b&gt;</th><td>59.1 [56.0,\N{NO-BREAK SPACE}62.0]</td>' in text
    assert '<p class="soft">A &amp; b.</p>' in text


def test_files(tmp_path):
    paths = write_tables(tmp_path / "tables", [TABLE, Table("other", "Other", (Column("x"),), (("1",),))])
    assert [path.name for path in paths] == ["my-table_1.csv", "my-table_1.tex", "other.csv", "other.tex"]
    assert paths[0].read_text() == table_csv(TABLE) and paths[1].read_text() == table_latex(TABLE)
    with pytest.raises(ValueError, match="two tables have one name"):
        write_tables(tmp_path, [TABLE, TABLE])


def test_malformed_tables_are_refused():
    with pytest.raises(ValueError, match="expected 2 cells a row, got"):
        Table("a", "A", (Column("x"), Column("y")), (("1",),))
    with pytest.raises(ValueError, match="a table is named by letters"):
        Table("../a", "A", (Column("x"),), ())
