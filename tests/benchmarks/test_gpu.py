"""The script for accelerators: what it writes and compares, its sides of torch, and at toy size all of it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.gpu_parts import PARTS, Row, compare_numbers


def test_numbers_are_compared_with_those_of_the_cpu():
    here = [Row("numbers", "a loss", 2.0, "nats", note="card"), Row("numbers", "b loss", 1.0), Row("numbers", "rest", note="failed: why")]
    found = compare_numbers(here, [Row("numbers", "a loss", 2.001), Row("numbers", "b loss", 1.1)])
    assert [row.value for row in found[:2]] == pytest.approx([0.001 / 2.001, 0.1 / 1.1])
    assert found[0].note == "card against CPU" and found[1].note.endswith("MORE THAN ROUNDING")
    assert found[2] == here[2]


def test_both_files_have_all_rows(tmp_path):
    rows = [Row("a2", "epochs", 2.345678, "s", "3 s", "note"), Row("feed", "all of this part", note="missing")]
    gpu.write(tmp_path, {"date": "2026-01-02", "card": "none", "is_small": True}, rows)
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"][0]["value"] == 2.345678
    lines = (tmp_path / "gpu.md").read_text().splitlines()
    assert lines[0].startswith("At toy size") and lines[2] == "date 2026-01-02, card none."
    assert lines[-2:] == ["| a2 | epochs | 2.346 s | 3 s | note |", "| feed | all of this part | - |  | missing |"]


def test_a_part_beyond_the_budget_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "run_part", lambda name, **_: [Row(name, "ran", 1.0)])
    monkeypatch.setattr(gpu, "about_this_machine", dict)
    assert [row.what for row in gpu.measure(["a2"], is_small=True, budget_s=60, output=tmp_path)] == ["ran"]
    (row,) = gpu.measure(["a2"], is_small=True, budget_s=1, output=tmp_path)
    assert row.value is None and "the 1 s of all parts are spent" in row.note


def test_every_part_has_a_limit_and_all_together_less_than_eight_minutes():
    assert set(gpu.LIMITS_S) == set(PARTS) and gpu.BUDGET_S < 480


def test_a_stepped_gru_is_the_gru_of_torch():
    torch = pytest.importorskip("torch", reason="torch is in benchmarks/requirements.txt")
    from benchmarks.twins_torch_folds import SteppedGRU

    torch.manual_seed(0)
    gru, x = torch.nn.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    for ours, theirs in zip(SteppedGRU(gru)(x), gru(x), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.long  # starts a dozen processes
def test_all_parts_at_toy_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--small", f"--output={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 0
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert {row["part"] for row in rows} == set(PARTS)
    assert [row["note"] for row in rows if "failed" in row["note"] or "stopped" in row["note"]] == []
    assert all(row["value"] < 2e-3 for row in rows if row["part"] == "numbers")
