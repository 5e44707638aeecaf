"""The benchmark of frozen encoders: all sides give the same features, and each has its row."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("torch", reason="torch is in benchmarks/requirements.txt")

from benchmarks import encoders


@pytest.mark.long
def test_it_prints_a_row_a_side(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["encoders", "--net=vgg16_48", "--batch_size=2", "--rounds=1"])
    monkeypatch.setenv("XLA_FLAGS", "")
    encoders.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("vgg16_48")]
    assert [row[2] for row in rows] == ["ours", "plain", "keras-tensorflow", "torch"]
    assert all(float(row[-1]) < 1e-4 for row in rows)
