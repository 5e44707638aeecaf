"""Damaged files of the compilation cache are removed, whole and young ones stay."""

from __future__ import annotations

import os
import zlib

from avemo_jax.experiment import compiled_programs
from avemo_jax.experiment.compiled_programs import CHECKED, remove_damaged_programs


def test_damaged_programs_are_removed(tmp_path, caplog):
    whole = zlib.compress(bytes(range(256)) * 40)
    damaged = {f"bit_{place}": whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :] for place in range(0, len(whole), 37)}
    damaged |= {"half": whole[: len(whole) // 2], "empty": b"", "other": b"<html>"}
    kept = {"whole": whole, "zstd": b"\x28\xb5\x2f\xfd----"}
    for name, content in (damaged | kept).items():
        path = tmp_path / f"jit_{name}-cache"
        path.write_bytes(content)
        os.utime(path, (1e9, 1e9))
    (tmp_path / "jit_young-cache").write_bytes(whole[:9])
    remove_damaged_programs(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*(f"jit_{name}-cache" for name in (*kept, "young")), CHECKED}
    assert caplog.text.count("is damaged") == len(damaged)
    remove_damaged_programs(tmp_path / "absent")


def test_a_whole_program_is_checked_once_a_day_and_where_it_changes(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / f"{name}-cache").write_bytes(zlib.compress(name.encode() * 99))
        os.utime(tmp_path / f"{name}-cache", (1e9, 1e9))
    checked = []
    monkeypatch.setattr(compiled_programs, "_damage", lambda path: checked.append(path.name))

    def at_start(now_s: float) -> list[str]:
        checked.clear()
        monkeypatch.setattr(compiled_programs.time, "time", lambda: now_s)
        remove_damaged_programs.__wrapped__(tmp_path)
        return list(checked)

    assert at_start(2e9) == ["a-cache", "b-cache"] and at_start(2e9 + 3600) == []
    os.utime(tmp_path / "b-cache", (1.5e9, 1.5e9))
    assert at_start(2e9 + 7200) == ["b-cache"]
    assert at_start(2e9 + 23 * 3600) == [] and at_start(2e9 + 25 * 3600) == ["a-cache"]
    for content in ("{", "[]", '{"a-cache": 1}', '{"a-cache": [1, 2, "x"]}'):
        (tmp_path / CHECKED).write_text(content)
        assert at_start(2e9 + 26 * 3600) == ["a-cache", "b-cache"]
    assert at_start(1.9e9) == ["a-cache", "b-cache"]  # a clock that was wrong
