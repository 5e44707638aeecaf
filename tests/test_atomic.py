"""Files written at the same time by several processes: complete files or none, no leftovers, and names in any encoding."""

from __future__ import annotations

import json
import os
import time

import pytest

from avemo_jax.atomic import atomic_binary_file, atomic_file, json_sha256, remove_leftovers, write_json


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.json"
    with atomic_file(path) as first:
        first.write("first")
        with atomic_file(path) as second:
            second.write("second, longer")
        assert path.read_text() == "second, longer"
        first.write(", the last one to end")
    assert path.read_text() == "first, the last one to end" and [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(KeyError), atomic_binary_file(path) as stream:
        stream.write(b"half")
        raise KeyError
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_only_old_leftovers_of_killed_processes_are_removed(tmp_path):
    old, new, other = (tmp_path / name for name in (".a.json.0123.partial", ".a.json.4567.partial", "a.json"))
    for path, age_s in ((old, 25 * 3600), (new, 60), (other, 25 * 3600)):
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "absent")
    assert sorted(tmp_path.iterdir()) == sorted([new, other])


def test_names_that_are_no_utf8_are_written_with_their_bytes_escaped(tmp_path):
    name = os.fsdecode(b"gr\xfc\xdfe.mp4")
    write_json(tmp_path / "a.json", {"file": name, "other": "grüße"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"file": name, "other": "grüße"}
    with atomic_file(tmp_path / "a.csv") as stream:
        stream.write(f"{name},grüße\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "gr\\udcfc\\udcdfe.mp4,grüße\n"


def test_a_file_is_replaced_and_not_written_in_place(tmp_path):
    """Who reads the earlier file while it is written again reads it whole."""
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with path.open() as reader:
        write_json(path, {"new": 2})
        assert json.loads(reader.read()) == {"old": 1} and json.loads(path.read_text()) == {"new": 2}


def test_the_sum_of_a_value_is_that_of_its_sorted_text():
    expected = "371268270cb33350e1101831016e5ecc8b628979bab96cefaa55703a5245d2b5"  # of {"a": [1, 2.5], "b": "\u00fc"}
    assert json_sha256({"b": "ü", "a": (1, 2.5)}) == json_sha256({"a": [1, 2.5], "b": "ü"}) == expected
