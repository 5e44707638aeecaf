"""Tables with a row a step: OpenFace, py-feat, openSMILE and s3prl as they write them, and the mistakes that people's files have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from avemo_jax.clips import Clip
from avemo_jax.labels import label_set
from data_prep.sets.prepare import prepare_view
from data_prep.table_audit import check_columns
from data_prep.views import make_view, table_steps
from data_prep.views.table import Table

OPENFACE = """frame, face_id, timestamp, confidence, success, AU01_r
1, 0, 0.00, 0.98, 1, 1.5
2, 0, 0.04, 0.10, 1, 9.0
3, 0, 0.08, 0.98, 0, 9.0
4, 0, 0.12, 0.98, 1, 2.5
1, 1, 0.00, 0.98, 1, 7.0
2, 1, 0.04, 0.98, 0, 7.0
3, 1, 0.08, 0.98, 0, 7.0
4, 1, 0.12, 0.98, 0, 7.0
5, 1, 0.16, 0.98, 0, 7.0
"""
FACES = {
    "time_column": "timestamp",
    "person_column": "face_id",
    "success_column": "success",
    "confidence_column": "confidence",
    "drop_columns": ("frame",),
}


def steps(tmp_path, text: str, **params) -> dict:
    path = tmp_path / "steps.csv"
    path.write_text(text, encoding="utf-8")
    return Table(path=str(path), **{"time_column": "t"} | params).clips()[0]


def folder_of(tmp_path, **texts: str):
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def test_openface_writes_a_file_a_clip_with_failures_and_several_faces(tmp_path):
    view = Table(path=str(folder_of(tmp_path, c1=OPENFACE, c2=OPENFACE.replace("1.5", "3.5"))), **FACES)
    found, num_foreign = view.clips(lambda name: name if name == "c1" else None)
    assert num_foreign == 1 and view.columns == ("AU01_r",) and view.step_shape == (1,)
    (segment,) = found["c1"]
    assert segment.mask.tolist() == [True, False, False, True]
    assert segment.values[:, 0].tolist() == [1.5, 0, 0, 2.5]
    np.testing.assert_allclose(segment.times_s, [0, 0.04, 0.08, 0.12])
    assert (segment.values.dtype, segment.times_s.dtype) == ("float32", "float32")


@pytest.mark.parametrize("field", ["person_column", "success_column", "confidence_column"])
def test_columns_about_the_tracker_must_be_named_or_left_out(tmp_path, field):
    name = FACES[field]
    params = {key: value for key, value in FACES.items() if key != field}
    with pytest.raises(
        ValueError, match=rf"the column '{name}' is about the tracker; set --config\.views\.table\.{field}={name}, or leave it"
    ):
        Table(path=str(folder_of(tmp_path, c1=OPENFACE)), **params)


def test_a_clip_without_a_face_is_lost_and_a_clip_without_a_file_too(tmp_path):
    empty = OPENFACE.replace(" 0.98, 1,", " 0.98, 0,")
    folder = folder_of(tmp_path, c1=OPENFACE, c2=empty)
    clips = [Clip(clip_id=name, corpus="made", label="happy", speaker="1") for name in ("c1", "c2", "c3")]
    params = FACES | {"path": str(folder)}
    made = [
        prepare_view(
            corpus="made", root=tmp_path, clips=clips, view_name=name, view_params=params, prepared_dir=tmp_path / "prepared", num_workers=1
        )
        for name in ("table", "table_2")
    ]
    assert {clip: damage.detail for clip, damage in made[0].damage.items()} == {
        "c2": "folder has no usable step of this clip",
        "c3": "folder has no row of this clip",
    }
    (example,) = made[1].examples()
    assert (example.clip_id, example.mask.tolist(), made[1].manifest.view) == ("c1", [True, False, False, True], "table_2")


def test_rows_of_one_table_are_put_in_order_of_time_by_clip(tmp_path):
    found = steps(tmp_path, "clip,t,x\nb,20,1\na,10,2\nb,0,3\na,0,4\nb,10,5\n", time_unit="ms")
    assert list(found) == ["b", "a"]
    assert found["b"][0].values[:, 0].tolist() == [3, 5, 1] and found["a"][0].values[:, 0].tolist() == [4, 2]
    np.testing.assert_allclose(found["b"][0].times_s, [0, 0.01, 0.02])


def test_times_of_frames_and_of_clocks(tmp_path):
    clock = "clip,t,x\na,0 days 00:00:00.5,1\na,0:00:01,2\n"
    assert steps(tmp_path, clock)["a"][0].times_s.tolist() == [0.5, 1.0]


def test_gaps_are_filled_with_masked_steps(tmp_path):
    (segment,) = steps(tmp_path, "clip,t,x\n" + "".join(f"a,{t},{t}\n" for t in (0, 0.1, 0.2, 0.6, 0.7)))["a"]
    assert segment.mask.tolist() == [True, True, True, False, False, False, True, True]
    np.testing.assert_allclose(segment.times_s, np.arange(8) * 0.1, atol=1e-6)


def test_long_clips_are_cut_and_short_tails_are_left_out(tmp_path):
    text = "clip,t,x\n" + "".join(f"a,{t / 2},{t}\n" for t in range(5, 17))
    first, second, third, fourth = steps(tmp_path, text, segment_s=2.0)["a"]
    assert not first.mask.any() and first.times_s.tolist() == [0]  # the table begins at 2.5 s
    assert second.values[:, 0].tolist() == [5, 6, 7] and third.values[:, 0].tolist() == [8, 9, 10, 11]
    assert fourth.values[:, 0].tolist() == [12, 13, 14, 15]  # the step at 8 s is half a second of the next one
    assert len(steps(tmp_path, text, segment_s=3.5)["a"]) == 3 and len(steps(tmp_path, text, segment_s=7.9)["a"]) == 1


@pytest.mark.parametrize(
    ("text", "params", "message"),
    [
        ("clip,t,x\na,0,1\na,0,2\n", {}, r"lines 2 and 3: two steps of clip a have the time 0 s; remove one, or name .*person_column"),
        ("clip,t,x\na,0,1\na,1,nan\n", {}, r"line 3, column x: expected a finite number, found 'nan'; .*mask_missing=True"),
        ("clip,t,x\na,0,1\na,1,inf\n", {}, r"found 'inf'"),
        ("clip,t,x\na,0,1\na,1,1e39\n", {}, r"found '1e39'"),
        ("clip,t,x\na,0,1\na,soon,2\n", {}, r"line 3, column t: expected a time, 0 or more, found 'soon'"),
        ("clip,t,x\na,0,1\na,-1,2\n", {}, r"found '-1'"),
        ("clip,t,x\na,0,1\na,,2\n", {}, r"found ''"),
        ("clip,t,x\na,0,1\na,0.001,1\na,0.002,2\na,9000,1\n", {}, r"gaps of 8999997 steps; .*are the times in another unit"),
        ("clip,t,x\na,0,1\n", {"time_column": "time"}, r"has no column 'time', which views\.table\.time_column names"),
        ("clip,t,x\na,0,1\n", {"time_unit": "h"}, r"time_unit must be one of \('s', 'ms'\), got 'h'"),
        ("clip,t,frame,x\na,0,1,1\n", {}, "'frame' looks like a row counter"),
        ("clip,t,x\na,0,50 %\na,1,0.5\n", {}, r"line 2, column x: found '50 %' here and '0.5' elsewhere in the column"),
        ("clip;t;x\na;0;1,234\na;1;2,345\n", {}, r"line 2, column x: .*thousands.*--config\.views\.table\.decimal=comma"),
    ],
)
def test_what_cannot_be_is_named_by_line(tmp_path, text, params, message):
    with pytest.raises(ValueError, match=message):
        steps(tmp_path, text, **params)


def test_steps_of_other_programs_have_decimal_commas_and_paths_of_clips(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("file;start;t;x\nwav/a.wav;0;0,0;1,5\nwav/a.wav;0;0,5;2,5\nwav/z.wav;1;0,0;3,5\n", encoding="utf-8")
    view = Table(path=str(path), time_column="t")
    found, num_foreign = view.clips(lambda name: None, {"a", "b"})
    assert (view.names_column, view.other_columns, view.columns, num_foreign) == ("file", ("start",), ("x",), 1)
    assert found["a"][0].values.tolist() == [[1.5], [2.5]] and found["a"][0].times_s.tolist() == [0, 0.5]


def test_missing_numbers_are_masked_where_the_config_says_so(tmp_path):
    (segment,) = steps(tmp_path, "clip,t,x,z\na,0,1,1\na,1,nan,2\na,2,3,4\n", mask_missing=True)["a"]
    assert segment.mask.tolist() == [True, False, True] and segment.values.tolist() == [[1, 1], [0, 0], [3, 4]]


def test_files_of_a_folder_have_the_same_columns(tmp_path):
    folder = folder_of(tmp_path, a="t,x\n0,1\n", b="t,y\n0,1\n")
    with pytest.raises(ValueError, match=r"b\.csv: expected the columns of a\.csv, \['t', 'x'\], found \['t', 'y'\]"):
        Table(path=str(folder), time_column="t").clips()
    with pytest.raises(ValueError, match=r"is a folder with a file for each clip; set --config\.views\.table\.time_column"):
        Table(path=str(folder))
    (folder / "c.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="expected files of one kind, one for each clip"):
        Table(path=str(folder), time_column="t")


def test_parquet_has_rows_as_csv_has(tmp_path):
    frame = pd.DataFrame({"clip": ["a", "a"], "t": [0.0, 0.5], "x": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "steps.parquet")
    (segment,) = Table(path=str(tmp_path / "steps.parquet"), time_column="t").clips()[0]["a"]
    assert segment.values[:, 0].tolist() == [1, 2] and segment.times_s.tolist() == [0, 0.5]


def test_npz_holds_an_array_a_clip_or_a_file_a_clip(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez(tmp_path / "all.npz", a=values, b=values[None] + 1)
    view = Table(path=str(tmp_path / "all.npz"), rate_hz=50.0)
    found, _ = view.clips()
    assert view.columns == ("value0", "value1") and list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["b"][0].values, values + 1)
    np.testing.assert_allclose(found["a"][0].times_s, [0, 0.02, 0.04])
    folder = folder_of(tmp_path)
    np.savez(folder / "a.npz", hidden=values, times=[0.0, 1.0, 2.0])
    (segment,) = Table(path=str(folder)).clips()[0]["a"]
    assert segment.times_s.tolist() == [0, 1, 2] and segment.values.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("arrays", "params", "message"),
    [
        ({"a": np.zeros((2, 2))}, {}, "it has no times; set --config.views.table.rate_hz"),
        ({"a": np.zeros(2)}, {"rate_hz": 1.0}, r"expected \(T, D\) numbers in a, found float64 \(2,\)"),
        ({"a": np.full((2, 2), np.nan)}, {"rate_hz": 1.0}, "expected finite numbers in a"),
        ({"a": np.array([["x"]])}, {"rate_hz": 1.0}, "expected .* numbers in a"),
        ({"a": np.array([None])}, {"rate_hz": 1.0}, "pickle"),
        ({"a": np.zeros((2, 2)), "b": np.zeros((2, 3))}, {"rate_hz": 1.0}, "expected 2 features a step, found 3 in b"),
    ],
)
def test_npz_files_that_do_not_fit_are_refused(tmp_path, arrays, params, message):
    np.savez(tmp_path / "all.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        Table(path=str(tmp_path / "all.npz"), **params).clips()


def test_no_file_and_too_large_files_are_refused(tmp_path, monkeypatch):
    (tmp_path / "all.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="expected an npz file"):
        Table(path=str(tmp_path / "all.npz"))
    np.savez(tmp_path / "all.npz", a=np.zeros((2, 2)))
    monkeypatch.setattr(table_steps, "_LARGEST_BYTES", 100)
    with pytest.raises(ValueError, match=r"its arrays claim \d+ bytes, expected 100 at most"):
        Table(path=str(tmp_path / "all.npz"))


def test_means_of_a_clip_that_follow_its_class_are_found(tmp_path):
    clips = [Clip(clip_id=f"c{i:02}", corpus="made", label=("happy", "sad", "angry")[i % 3], speaker=str(i % 4)) for i in range(24)]
    random = np.random.default_rng(0)
    rows = [f"{one.clip_id},{t},{random.normal():.4f},{ord(one.label[0]) + (t - 1)}" for one in clips for t in range(3)]
    path = tmp_path / "steps.csv"
    path.write_text("clip,t,noise,leak\n" + "\n".join(rows) + "\n")
    labels = label_set("happy,sad,angry")
    with pytest.raises(ValueError, match=r"'leak' looks like the class .*views\.table\.drop_columns"):
        check_columns(Table(path=str(path), time_column="t"), clips, lambda name: name, labels)
    assert check_columns(Table(path=str(path), time_column="t", drop_columns=("leak",)), clips, lambda name: name, labels).used == (
        "noise",
    )


def test_several_tables_are_several_views(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("clip,t,x\na,0,1\n")
    for name in ("table", "table_2", "table_3"):
        view = make_view(name, path=str(path), time_column="t")
        assert view.name == name and isinstance(view, Table)
    with pytest.raises(ValueError, match=r"set views\.table_3\.path"):
        make_view("table_3", path="none.csv")
    path.write_text("clip,t,label,x\na,0,1,1\n")
    with pytest.raises(ValueError, match=r"--config\.views\.table_2\.drop_columns"):
        make_view("table_2", path=str(path), time_column="t")
