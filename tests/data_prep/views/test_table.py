"""Tables as views: joined by clip, exact, and clear about what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import shared_data

from avemo_jax.foreign_table import read_foreign_table
from data_prep.corpora import ravdess
from data_prep.views import table as table_view
from data_prep.views.table import Table


def table(tmp_path, text: str, **params) -> Table:
    path = tmp_path / "features.csv"
    path.write_text(text, encoding="utf-8")
    return Table(path=str(path), **params)


def test_rows_become_steps_in_the_order_of_the_columns(tmp_path):
    view = table(tmp_path, "AU01,name,AU02\n0.5,a,1\n-2,b,3e1\n", clip_column="name")
    rows, num_foreign = view.rows()
    assert view.step_shape == (2,) and num_foreign == 0
    np.testing.assert_array_equal(rows["a"].values, np.array([[0.5, 1]], np.float32))
    np.testing.assert_array_equal(rows["b"].values, np.array([[-2, 30]], np.float32))
    assert rows["a"].values.dtype == np.float32 and rows["a"].mask.tolist() == [True]


def test_names_are_mapped_to_clips_and_foreign_rows_counted(tmp_path):
    view = table(tmp_path, "clip,x\n01-01-03-01-01-01-05,1\nsummary,2\n")
    rows, num_foreign = view.rows(ravdess.clip_id)
    assert list(rows) == [ravdess.clip_id("03-01-03-01-01-01-05")] and num_foreign == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,x\na,1\nb,loud\n", r"features\.csv, line 3, column x: expected a finite number, found 'loud'; .*drop_columns"),
        ("clip,x,z\na,1,\n", r"line 2, column z: expected a finite number, found ''"),
        ("clip,x,z\na,1\n", "line 2: expected 3 cells as in the header, found 2"),
        ("clip,x\na,1,2\n", "line 2: expected 2 cells as in the header, found 3"),
        ("clip,x\na,nan\n", r"found 'nan'"),
        ("clip,x\na,1e39\n", r"expected a number that float32 holds, found '1e39'"),
        (
            "clip;x\na;1,234\nb;2,345\n",
            r"line 2, column x: .*'1,234': its comma separates .* thousands.*--config\.views\.table\.decimal=comma",
        ),
        ("clip;x\na;1.5\nb;2,345\n", r"line 3, column x: .*'2,345': it has a comma, in a table with decimal points"),
        ("clip,x\na,50 %\nb,0.5\n", r"line 2, column x: found '50 %' here and '0.5' elsewhere in the column"),
        ("clip,x\na,1_000\n", r"found '1_000'"),
        ("clip,x\na,1\na,2\n", r"line 3: a second row of clip a"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text).rows()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who,x\na,1\n", "expected different columns, 'clip' and features among them, found"),
        ("clip\na\n", "expected different columns, 'clip' and features among them, found"),
        ("", "the file is empty"),
        ("frame, timestamp, confidence, success, AU01_r\n1, 0.0, 0.9, 1, 0.5\n", "OpenFace's table of one film, one row a frame"),
        ("clip,x,x\na,1,2\n", "expected different names of columns, 'x' occur twice"),
    ],
)
def test_a_header_that_cannot_be_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*none\.csv; set views\.table\.path"):
        Table(path=str(tmp_path / "none.csv"))


def test_action_units_of_ravdess_join_all_its_clips():
    view = Table(path=str(shared_data("ravdess_action_units.csv")))
    rows, num_foreign = view.rows(ravdess.clip_id)
    assert (len(rows), num_foreign, view.step_shape) == (1440, 0, (35,))


INDEXED = ",clip,AU01,Emotion\n0,a,1,3\n1,b,2,4\n"


def test_columns_that_are_no_features_by_name_are_refused_with_both_flags(tmp_path):
    with pytest.raises(ValueError) as refused:
        table(tmp_path, INDEXED, drop_columns=("AU01",))
    for words in (
        "features.csv: expected features",
        "'' looks like a row counter; 'Emotion' looks like the class",
        """--config.views.table.drop_columns="('AU01', '', 'Emotion')\"""",
        """--config.views.table.allow_columns="('', 'Emotion')\"""",
    ):
        assert words in str(refused.value)


def test_dropped_columns_are_not_read_and_allowed_ones_are(tmp_path):
    view = table(tmp_path, "Unnamed: 0,clip,AU01,file\n7,a,1,x.wav\n8,b,2,y.wav\n", drop_columns=["file"], allow_columns=["Unnamed: 0"])
    assert view.columns == ("Unnamed: 0", "AU01") and view.step_shape == (2,)
    np.testing.assert_array_equal(view.rows()[0]["b"].values, np.array([[8, 2]], np.float32))


def test_columns_that_never_change_are_left_out_unless_allowed(tmp_path):
    text = "clip,AU01,zero,AU02,place\na,1,0,1,x\nb,2,0,1,x\nc,3,0,2,x\n"
    view = table(tmp_path, text)
    assert view.constant_columns == ("zero", "place") and view.columns == ("AU01", "AU02")
    np.testing.assert_array_equal(view.rows()[0]["c"].values, np.array([[3, 2]], np.float32))
    assert table(tmp_path, text, allow_columns=("zero",)).columns == ("AU01", "zero", "AU02")
    assert table(tmp_path, "clip,AU01\na,1\n").columns == ("AU01",)  # of one row nothing is known
    with pytest.raises(ValueError, match=r"no feature is left of \['clip', 'zero'\]"):
        table(tmp_path, "clip,zero\na,0\nb,0\n")


@pytest.mark.parametrize("field", ["drop_columns", "allow_columns"])
@pytest.mark.parametrize("name", ["AU99", "clip"])
def test_a_column_that_is_not_there_is_refused(tmp_path, field, name):
    with pytest.raises(
        ValueError, match=rf"has no feature column \['{name}'\], which views\.table\.{field} names; its columns: \['clip', 'x'\]"
    ):
        table(tmp_path, "clip,x\na,1\n", **{field: (name,)})


def test_a_table_is_read_once_until_it_changes(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(table_view, "read_foreign_table", lambda path, decimal: read.append(path) or read_foreign_table(path))
    first = table(tmp_path, "clip,x\na,1\nb,2\n")
    assert Table(path=first.path).rows()[0]["b"].values == first.rows()[0]["b"].values == 2 and len(read) == 1
    assert list(table(tmp_path, "clip,x\na,1\nb,2\nc,3\n").rows()[0]) == ["a", "b", "c"] and len(read) == 2


OF_OTHER_PROGRAMS = {
    "SMILExtract": "name;frameTime;AU1;AU2\n'a';0.000000;1;-0.5\n'b';0.000000;2;1e-3\n",
    "opensmile of Python": "file,start,end,AU1,AU2\nwav/a.wav,0 days,0 days 00:00:02.330000,1,-0.5\nwav/b.wav,0 days,NaT,2,1e-3\n",
    "a spreadsheet": "\ufefffile;AU1;AU2;\nC:\\wav\\a.WAV;1,0;-0,5;\nC:\\wav\\b.wav;2,0;0,001;\n;;;\n",
    "JSON lines": '{"file": "a.wav", "AU1": 1, "AU2": -0.5, "start": 0}\n{"file": "b.wav", "AU1": 2, "AU2": 0.001, "start": 0}\n',
    "pandas, in columns": '{"file": {"0": "a.wav", "1": "b.wav"}, "AU1": {"0": 1, "1": 2}, "AU2": {"0": -0.5, "1": 0.001}}',
    "pandas, split": '{"columns": ["AU1", "AU2"], "index": ["a.wav", "b.wav"], "data": [[1, -0.5], [2, 0.001]]}',
    "percent": "Filename,AU1,AU2\na.mp4,100 %,-50 %\nb.mp4,200 %,0.1 %\n",
    "decimal commas in quotes": 'File Name,AU1,AU2\na.mp4,1,"-0,5"\nb.mp4,2,"0,001"\n',
    "two names of the file": "name,file,AU1,AU2\na,x/1.wav,1,-0.5\nb,x/2.wav,2,0.001\n",
    "start and end in s": "utt-id\tstart\tend\tAU1\tAU2\na\t0.0\t1.5\t1\t-0.5\nb\t0.5\t1.0\t2\t0.001\n",
}


@pytest.mark.parametrize("program", OF_OTHER_PROGRAMS)
def test_tables_of_other_programs_are_read_without_names_and_times(tmp_path, program):
    view = table(tmp_path, OF_OTHER_PROGRAMS[program])
    assert view.columns == ("AU1", "AU2")
    rows, num_foreign = view.rows(lambda name: None, {"a", "b"})
    assert num_foreign == 0
    np.testing.assert_array_equal(rows["a"].values, np.array([[1, -0.5]], np.float32))
    np.testing.assert_array_equal(rows["b"].values, np.array([[2, 1e-3]], np.float32))


def test_a_time_that_is_a_feature_can_be_allowed(tmp_path):
    text = "clip,start,AU1\na,0.5,1\nb,0.7,2\n"
    assert table(tmp_path, text).other_columns == ("start",)
    assert table(tmp_path, text, allow_columns=("start",)).columns == ("start", "AU1")
    with pytest.raises(ValueError, match="'start' looks like a time"):
        table(tmp_path, "clip,start,AU1\na,soon,1\nb,late,2\n")


@pytest.mark.parametrize(("decimal", "expected"), [("comma", 1.234), ("point", 1234)])
def test_the_decimal_mark_can_be_declared(tmp_path, decimal, expected):
    rows, _ = table(tmp_path, "clip;x\na;1,234\nb;2,345\n", decimal=decimal).rows()
    assert rows["a"].values == np.float32(expected)
    with pytest.raises(ValueError, match=r"expected --config\.views\.table\.decimal=comma or point, got ','"):
        table(tmp_path, "clip;x\na;1,234\n", decimal=",")
