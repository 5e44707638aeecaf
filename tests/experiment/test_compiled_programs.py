"""Damaged files of the compilation cache are removed, whole and young ones stay."""

from __future__ import annotations

import os
import zlib

from avemo_jax.experiment.compiled_programs import remove_damaged_programs


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
    assert {path.name for path in tmp_path.iterdir()} == {f"jit_{name}-cache" for name in (*kept, "young")}
    assert caplog.text.count("is damaged") == len(damaged)
    remove_damaged_programs(tmp_path / "absent")
