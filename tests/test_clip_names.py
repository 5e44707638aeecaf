"""Names of clips in tables are found by ids, paths, file names and unique ends."""

from __future__ import annotations

import pytest

from avemo_jax.clip_names import find_clips, unique_suffixes


def test_names_are_found_by_their_ends_unless_several_fit():
    known = ["Ses01/impro/F000", "Ses02/impro/F001", "Ses01/script/F001", "clip7"]
    names = ["/data/Ses01/impro/F000", "F000", "F001", r"D:\x\clip7", "F002", "Ses02/impro/F001", "Ses03/impro/F000"]
    assert unique_suffixes(names, known) == {
        "/data/Ses01/impro/F000": "Ses01/impro/F000",
        "F000": "Ses01/impro/F000",
        r"D:\x\clip7": "clip7",
        "Ses02/impro/F001": "Ses02/impro/F001",
    }


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        *(("a/01", "a/01"), (r"a\\01", "a/01"), ("/data/a/01.WAV", "a/01"), (r"C:\\x\\b\\01.mp4", "b/01"), ("./c.02.flac", "c.02")),
        *(("01", None), ("d/01", None), ("take-7.wav", "seven"), ("take-7", "seven"), ("", None), ("/", None)),
    ],
)
def test_clips_are_found_by_what_tables_call_them(name, clip):
    assert find_clips([name], {"a/01", "b/01", "c.02", "seven"}, {"take-7": "seven"}.get) == [clip]
