from __future__ import annotations

import pytest

from avemo_jax.json_lines import read_rows


def test_an_incomplete_last_line_is_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 0}\n{"epoch": 1}\n{"epo')
    assert read_rows(path) == [{"epoch": 0}, {"epoch": 1}]


def test_an_incomplete_earlier_line_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 0}\n{"epo\n{"epoch": 2}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2, is not JSON: '\{\"epo'"):
        read_rows(path)
