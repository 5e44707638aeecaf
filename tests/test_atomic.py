"""Files that are written whole: names that are no UTF-8 do not stop them."""

from __future__ import annotations

import json
import os

from avemo_jax.atomic import atomic_file, write_json


def test_names_that_are_no_utf8_are_written_with_their_bytes_escaped(tmp_path):
    name = os.fsdecode(b"gr\xfc\xdfe.mp4")
    write_json(tmp_path / "a.json", {"file": name, "other": "grüße"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"file": name, "other": "grüße"}
    with atomic_file(tmp_path / "a.csv") as stream:
        stream.write(f"{name},grüße\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "gr\\udcfc\\udcdfe.mp4,grüße\n"
