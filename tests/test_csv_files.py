"""No cell of a CSV file that this project writes is a formula, and names come back as they were."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from avemo_jax.clips import Clip, read_clips, write_clips
from avemo_jax.csv_files import read_cell, write_rows
from avemo_jax.evaluation.predictions import Predictions, read_predictions_csv, write_predictions_csv
from avemo_jax.reporting.tables import Column, Table, table_csv

ROOT = Path(__file__).resolve().parents[1]
WIDE = "\uff1d\uff0b\uff0d\uff20"  # the full-width forms of = + - @
FORMULAS = (
    *("=1+1", '=HYPERLINK("http://x","y")', "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1;2)", "\t=1", "\r=1", "\n=1"),
    *(*(f"{sign}1" for sign in WIDE), "-x", "+", "=", "'=1", "''@x"),
)
NO_FORMULAS = ("", "-", "a", "a=1", "'a", "'", "1-2", "-1", "-1.5", "+0.8 % [-0.1, 1.7]", "-3.2 ± 0.4", "-1e-05", 'Aktör, "1"')


def written(*rows) -> list[list[str]]:
    stream = io.StringIO()
    write_rows(stream, rows)
    return list(csv.reader(io.StringIO(stream.getvalue(), newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_marked_as_text_and_come_back(text):
    ((cell, number),) = written([text, 3])
    assert cell == f"'{text}" and read_cell(cell) == text and number == "3"


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_other_cells_stay_as_they_are(text):
    assert written([text, -1.5]) == [[text, "-1.5"]] and read_cell(text) == text


def test_every_file_is_defused_and_read_back(tmp_path):
    clips = tuple(Clip(name, "tiny", "happy", "@s", audio=name) for name in FORMULAS)
    write_clips(tmp_path / "clips.csv", clips)
    assert read_clips(tmp_path / "clips.csv") == clips
    names = np.array(FORMULAS)
    count = len(names)
    probabilities = np.full((count, 2), 0.5)
    predictions = Predictions(names, names, names, names, np.zeros(count, int), np.zeros(count, int), probabilities, ("=a", "b"))
    write_predictions_csv(tmp_path / "predictions.csv", predictions)
    again = read_predictions_csv(tmp_path / "predictions.csv")
    assert again.clip.tolist() == predictions.clip.tolist() and again.classes == ("=a", "b")
    table = table_csv(Table("speakers", "Speakers", (Column("=speaker"), Column("UAR")), [["@s", "-1.5"]], ""))
    assert table == "'=speaker,UAR\n'@s,-1.5\n"
    cells = [cell for path in tmp_path.iterdir() for row in csv.reader(path.open(newline="", encoding="utf-8")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple(f"=+-@\t\r\n{WIDE}")]


def test_no_other_module_writes_csv():
    sources = [path for room in ("avemo_jax", "data_prep") for path in (ROOT / room).rglob("*.py")]
    words = ("csv.writer", "DictWriter", "to_csv(")
    found = [path.name for path in sources if any(word in path.read_text() for word in words)]
    assert found == ["csv_files.py"]
