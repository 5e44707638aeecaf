"""The reader of other people's tables: one table, written as many programs write it, is read alike; what is no table is refused."""

from __future__ import annotations

import gzip
import itertools
import json
import math

import numpy as np
import pytest

from avemo_jax.decimal_marks import decimal_mark, number_in
from avemo_jax.foreign_table import TableError, read_foreign_table, seconds

HEADER = ["clip", "score", "note"]
ROWS = [["a/01", "0.5", "für Übung"], ["a/02", "-1.25", "two, or three"], ["a/03", "3", 'said "so"']]


def quoted(cell: str, separator: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(one in cell for one in (separator, '"', "\n")) else cell


def csv_text(rows=ROWS, *, separator=",", newline="\n", first="", tail="") -> str:
    lines = [separator.join(quoted(cell, separator) for cell in row) for row in [HEADER, *rows]]
    return first + newline.join(lines) + newline + tail


def read(tmp_path, content, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_foreign_table(path)


def cells(table):
    return [list(table.columns), *map(list, table.cells)]


SEPARATORS, NEWLINES = (",", ";", "\t", "|"), ("\n", "\r\n", "\r")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")


@pytest.mark.parametrize(("separator", "newline", "encoding"), [*itertools.product(SEPARATORS, NEWLINES, ENCODINGS)])
def test_text_tables_are_read_whatever_their_separator_line_end_and_encoding(tmp_path, separator, newline, encoding):
    table = read(tmp_path, csv_text(separator=separator, newline=newline).encode(encoding))
    assert cells(table) == [HEADER, *ROWS]
    assert table.lines == (2, 3, 4)
    assert any(note.startswith("separated by") for note in table.notes) == (separator != ",")


@pytest.mark.parametrize(
    "text",
    {
        "a sep= line": csv_text(separator=";", first="sep=;\r\n"),
        "empty rows at the end": csv_text(tail=",,\n\n,,\n"),
        "an empty row between": csv_text([ROWS[0], ["", "", ""], *ROWS[1:]]),
        "empty columns at the end": csv_text().replace("\n", ",,\n"),
        "empty columns under some rows alone": csv_text().replace('so"""\n', 'so""",,\n'),
        "blanks around the cells": csv_text().replace(",", ", ", 1).replace("clip", " clip "),
        "names in single quotes": csv_text([[f"'{clip}'", *rest] for clip, *rest in ROWS], separator=";"),
        "no line end at the end": csv_text().rstrip("\n"),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_spreadsheets_and_tools_add_is_left_out(tmp_path, text):
    assert cells(read(tmp_path, text[1])) == [HEADER, *ROWS]


def test_decimal_commas_are_numbers_where_commas_separate_nothing(tmp_path):
    table = read(tmp_path, csv_text([["a", "0,5", ""], ["b", "-1,25e-3", ""], ["c", "7", "x"]], separator=";"))
    assert [table.number(cell) for cell in table.column("score")] == [0.5, -1.25e-3, 7.0]
    assert table.decimal_mark == "," and "decimal commas" in table.notes


def test_a_comma_is_no_decimal_mark_beside_points(tmp_path):
    table = read(tmp_path, csv_text([["a", "1,500", ""], ["b", "0.5", ""]], separator=";"))
    assert math.isnan(table.number("1,500")) and table.number("0.5") == 0.5


RECORDS = [dict(zip(HEADER, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    "text",
    {
        "JSON lines": "\n".join(json.dumps(one) for one in RECORDS),
        "JSON lines without ASCII": "\n".join(json.dumps(one, ensure_ascii=False) for one in RECORDS) + "\n\n",
        "a list of objects": json.dumps(RECORDS, indent=1),
    }.items(),
    ids=lambda item: item[0],
)
def test_json_is_read(tmp_path, text):
    assert cells(read(tmp_path, text[1], "table.jsonl")) == [HEADER, *ROWS]


def test_a_json_manifest_has_its_keys_as_ids(tmp_path):
    table = read(tmp_path, json.dumps({"x1": {"wav": "a.wav", "length": 2.5}, "x2": {"wav": "b.wav", "ok": None}}), "m.json")
    assert cells(table) == [["id", "wav", "length", "ok"], ["x1", "a.wav", "2.5", ""], ["x2", "b.wav", "", ""]]


def test_an_index_of_json_that_counts_rows_is_no_column(tmp_path):
    assert cells(read(tmp_path, json.dumps(dict(enumerate(RECORDS))), "m.json")) == [HEADER, *ROWS]
    scores = {"c1": {"0": 0.25, "1": 0.75}, "c2": {"0": 0.5, "1": 0.5}}  # scores of numbered classes, not columns of two rows
    assert cells(read(tmp_path, json.dumps(scores), "m.json")) == [["id", "0", "1"], ["c1", "0.25", "0.75"], ["c2", "0.5", "0.5"]]


@pytest.mark.parametrize(
    ("columns", "mark"),
    [
        ((["1,234", "2,345"],), ""),
        ((["1,234", "2,345"], ["5", "x"]), ""),
        ((["1,234 %", "-2,345"],), ""),
        ((["1,234", "0,345"],), ","),
        ((["1,234"], ["12,3456"]), ","),
        ((["1,234", "nan", "", "1,5 %"],), ","),
        ((["1,234"], ["0.5"]), "."),
        ((["1,234"], ["1."]), "."),
        ((["5", "a, b", "1,5"],), ","),
        ((["a, b", "c", "1,5"],), "."),  # a column of texts
        ((["a", "b"],), "."),
        ((), "."),
    ],
)
def test_the_decimal_mark_is_found_in_all_numbers_of_a_table(columns, mark):
    assert decimal_mark(columns) == mark


@pytest.mark.parametrize(
    ("cell", "mark", "has_thousands", "expected"),
    [
        *(("1,5", ",", False, 1.5), ("1.5", ".", False, 1.5), ("50 %", ".", False, 0.5), ("12,5%", ",", False, 0.125)),
        *(("1,234", ".", True, 1234), ("1.234,5", ",", True, 1234.5), ("-1,234,567.25", ".", True, -1234567.25), ("1,5", ",", True, 1.5)),
        *(("1,234 %", ".", True, 12.34), ("1e3", "", False, 1000), ("1,234", "", False, math.nan), ("1,5", ".", False, math.nan)),
        *(("1.5", ",", False, math.nan), ("1,23,456", ".", True, math.nan), ("1.23", ",", True, math.nan), ("1_0", ".", False, math.nan)),
    ],
)
def test_cells_are_numbers_by_the_mark_of_their_table(cell, mark, has_thousands, expected):
    np.testing.assert_equal(number_in(cell, mark, has_thousands=has_thousands), expected)


def test_parquet_is_read_with_its_named_index(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    index = pd.MultiIndex.from_arrays([["a.wav"], pd.to_timedelta([0], "s"), pd.to_timedelta([None])], names=["file", "start", "end"])
    pd.DataFrame({"emotion": ["angry"], "x": [0.5]}, index=index).to_parquet(tmp_path / "t.parquet")
    table = read_foreign_table(tmp_path / "t.parquet")
    assert cells(table) == [["file", "start", "end", "emotion", "x"], ["a.wav", "0 days 00:00:00", "", "angry", "0.5"]]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *(("2.5", 2.5), ("0 days 00:00:02.330000", 2.33), ("0 days", 0.0), ("1 day", 86400.0), ("2 days 01:00:00", 176400.0)),
        *(("00:01:02.5", 62.5), ("01:02", 62.0), ("1,5", 1.5), ("0:01,5", 1.5), ("NaT", None), ("", None), ("nan", None)),
    ],
)
def test_times_are_seconds(cell, expected):
    assert seconds(cell) == expected


@pytest.mark.parametrize("cell", ["soon", "1:x", "x days", "1_000"])
def test_other_texts_are_no_time(cell):
    assert math.isnan(seconds(cell))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"clip,score\n", "expected rows below the header clip, score"),
        (b"clip,score\na\n", "line 2: expected 2 cells as in the header, found 1: a"),
        (b"clip,score\na,1\nb,2,3\n", "line 3: expected 2 cells as in the header, found 3"),
        (b"clip,clip\na,1\n", "'clip' occur twice"),
        (b'clip,score\n"a,1\n', "expected a table of cells"),
        (b"PK\x03\x04rest", "a spreadsheet or archive"),
        (gzip.compress(b"clip\na\n", mtime=0), "compressed"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS pointer"),
        (b"<!doctype html><html>", "a web page"),
        (b"RIFF\x00\x01\x02\x03WAVE\x00\x00\x01", "a binary file"),
        (b"clip,score\na,1\n" + b"\0" * 2000, "a binary file"),
        (b"clip\n\x81\x8d\x8f", "line 2: expected text in UTF-8"),
        ("clip,note\na,für Übung\nb,ü".encode() + b"\xff\n", "line 3: expected text in UTF-8"),
        ("clip,note\na,für Übung\n".encode()[:-1] + b"\xe9\n", "line 2: expected text in UTF-8"),
        (b'{"a": 1}\n{"a": \n', "line 2: expected JSON"),
        (b"[1, 2]", "record 1: expected an object"),
        (b'[{"a": 1, "a": 2}]', "expected different keys in each object, found 'a' twice in one"),
        (b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n', "line 2: expected different keys in each object, found 'a' twice"),
        (b'{"0": {"0": "a", "1": "b"}, "1": {"0": 1, "1": 2}}', "expected names of columns, found numbers for rows and columns"),
        (b'{"columns": ["a", "b"], "data": [[1, 2], [3]]}', "record 2: expected a list of 2 cells as in `columns`"),
        (b'{"a": 1}\n[2]\n', "record 2: expected an object"),
        (b"[" * 100_000, "lists in lists in lists"),
        (b"PAR1" + b"\0" * 20, "expected a whole Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_with_its_name(tmp_path, content, message):
    with pytest.raises(TableError, match=message) as raised:
        read(tmp_path, content)
    assert str(tmp_path / "table.csv") in str(raised.value)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(TableError, match="there is no such file"):
        read_foreign_table(tmp_path / "none.csv")


def test_a_text_that_means_no_value_elsewhere_is_a_name_in_parquet(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pd.DataFrame({"clip": ["a", "b", "c"], "speaker": ["NA", "none", None], "x": [0.5, float("nan"), 1.0]}).to_parquet(
        tmp_path / "t.parquet"
    )
    assert cells(read_foreign_table(tmp_path / "t.parquet"))[1:] == [["a", "NA", "0.5"], ["b", "none", ""], ["c", "", "1.0"]]


@pytest.mark.parametrize("start", ["\n" * 60, " \n" * 60])
def test_empty_lines_in_front_change_nothing(tmp_path, start):
    assert cells(read(tmp_path, start + csv_text(separator=";"))) == [HEADER, *ROWS]


def test_a_long_cell_hides_no_separator(tmp_path):
    rows = [["a", "0.5", "x" * 200_000], ["b", "1.5", ""]]
    assert cells(read(tmp_path, csv_text(rows, separator=";"))) == [HEADER, *rows]


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b"])
def test_a_mark_of_a_new_line_inside_json_is_text(tmp_path, mark):
    lines = "\n".join(json.dumps({"clip": name, "note": f"one{mark}two"}, ensure_ascii=mark == "\x0b") for name in "ab")
    assert cells(read(tmp_path, lines)) == [["clip", "note"], ["a", f"one{mark}two"], ["b", f"one{mark}two"]]
