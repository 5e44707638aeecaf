"""The benchmark of scale: measurements are read from a run, and sizes are extrapolated from them."""

from __future__ import annotations

import json
import sys

from benchmarks import scale


def test_parts_and_products(tmp_path, monkeypatch, capsys):
    (tmp_path / "checkpoints/audio/1").mkdir(parents=True)
    (tmp_path / "checkpoints/audio/1/state").write_bytes(bytes(4000))
    rows = [{"trial": trial, "epoch": epoch, "seconds": 0.5} for trial in range(2) for epoch in range(3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "results.json").write_text(json.dumps({"num_clips": 100}))
    (tmp_path / "predictions.csv").write_text("clip,label\n" + "c,happy\n" * 100)
    parts = scale.parts_of(tmp_path)
    assert (parts["trials"], parts["trial_s"], parts["checkpoint_bytes"]) == (2, 1.5, 2000)
    assert 8 <= parts["prediction_bytes"] < 9
    monkeypatch.setattr(scale, "CLIPS", (100, 200, 400, 800))
    monkeypatch.setattr(scale, "TRIALS", (10, 20))
    monkeypatch.setattr(sys, "argv", ["scale", str(tmp_path)])
    scale.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index(next(one for one in lines if one[:2] == ["20", "200"]))][:4] == ["20", "200", "60", "s"]
    planned = [line for line in lines if len(line) == 7 and line[:2] == ["20", "400"]]
    assert len(planned) == 1 and planned[0][5:] == [f"{10 * 4 * 360 / 1e3:.3g}", "kB"]  # ten folds, whatever the number of trials


def test_units():
    assert (scale.duration_of(90), scale.duration_of(7200), scale.duration_of(86400 * 800)) == ("90 s", "2 h", "2.19 years")
    assert (scale.size_of(11_000), scale.size_of(3.6e9), scale.size_of(2e12)) == ("11 kB", "3.6 GB", "2 TB")
