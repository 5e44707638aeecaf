"""The command line: what is wrong with it is a sentence; what a run knows need not be said again."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ml_collections import ConfigDict

import run

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--config=configs/demo.py:audio --config.train.num_epoch=3", "no field 'num_epoch'"),
        ("--config=configs/demo.py:audio --config.trian.num_epochs=3", "no field 'trian'"),
        ("--config=configs/ravdess.py:nope", "unknown system 'nope'"),
        ("--config=configs/nope.py", "configs/nope.py"),
    ],
)
def test_a_wrong_config_is_one_sentence(arguments, sentence):
    done = subprocess.run([sys.executable, "run.py", "--mode=doctor", *arguments.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_a_run_remembers_where_its_corpus_lies(tmp_path, monkeypatch):
    def root_of(root):
        config = ConfigDict({"workdir": str(tmp_path), "corpus": {"name": "ravdess", "root": root}})
        monkeypatch.setattr(run, "CONFIG", SimpleNamespace(value=config))
        return run.resolved()["corpus"]["root"]

    assert root_of(None) is None
    (tmp_path / "config.json").write_text(json.dumps({"workdir": None, "corpus": {"name": "ravdess", "root": "/data/RAVDESS"}}))
    assert root_of(None) == "/data/RAVDESS"
    assert root_of("/moved") == "/moved"


def test_frozen_encoders_run_in_a_process_that_keeps_freed_memory(tmp_path, monkeypatch):
    done: list[str] = []
    monkeypatch.setattr("avemo_jax.allocator.keep_freed_memory", lambda: done.append("kept"))
    monkeypatch.setattr(run, "corpus_of", lambda *_: done.append("prepared") or SimpleNamespace(clips=()))
    monkeypatch.setattr("avemo_jax.experiment.features.with_features", lambda *_: done.append("encoded"))
    run.make_features({"prepared_dir": str(tmp_path), "corpus": {"name": "ravdess"}})
    assert done == ["kept", "prepared", "encoded"]
