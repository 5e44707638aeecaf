"""Tables as views: joined by clip, exact, and clear about what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import shared_data

from data_prep.corpora import ravdess
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
        ("clip,x\na,1\nb,loud\n", r"features.csv line 3, column x: expected a finite number, found 'loud'"),
        ("clip,x,y\na,1,\n", r"line 2, column y: expected a finite number, found ''"),
        ("clip,x,y\na,1\n", r"line 2, column y: expected a finite number, found None"),
        ("clip,x\na,1,2\n", r"line 2, column None: expected a finite number, found \['2'\]"),
        ("clip,x\na,nan\n", r"found 'nan'"),
        ("clip,x\na,1\na,1\n", r"line 3: a second row of clip a"),
    ],
)
def test_bad_rows_are_named_by_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text).rows()


@pytest.mark.parametrize("text", ["name,x\na,1\n", "clip\na\n", "", "clip,x,x\na,1,2\n"])
def test_a_header_that_cannot_be_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="expected different columns, 'clip' and features among them, found"):
        table(tmp_path, text)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*none\.csv; set views\.table\.path"):
        Table(path=str(tmp_path / "none.csv"))


def test_action_units_of_ravdess_join_all_its_clips():
    view = Table(path=str(shared_data("ravdess_action_units.csv")))
    rows, num_foreign = view.rows(ravdess.clip_id)
    assert (len(rows), num_foreign, view.step_shape) == (1440, 0, (35,))
