"""The benchmark of Whisper's encoder: all sides give the same features, and each has its row."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("torch", reason="torch is in benchmarks/requirements.txt")
pytest.importorskip("onnxruntime", reason="onnxruntime is in benchmarks/requirements.txt")

from benchmarks import whisper


@pytest.mark.long
def test_it_prints_a_row_a_side(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["whisper", "--name=whisper_tiny", "--clips", "2x0.5", "--rounds=1"])
    monkeypatch.setenv("XLA_FLAGS", "")
    whisper.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("2x0.5")]
    assert [row[1] for row in rows[:3]] == ["ours", "torch", "onnxruntime"]
    assert all(float(row[-1]) < 1e-4 for row in rows)
