"""The command line: a mistake gives a one-sentence error, and a run stores the folder of its corpus."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from avemo_jax import api
from avemo_jax.config import Experiment, Protocol
from avemo_jax.modes.stored import experiment_of

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


def test_a_run_remembers_the_folder_of_its_corpus(tmp_path):
    def root_of(root):
        config = {"workdir": str(tmp_path), "corpus": {"name": "ravdess", "root": root}}
        return experiment_of(config, None, {}, is_given=True).corpus.root

    assert root_of(None) is None
    (tmp_path / "config.json").write_text(json.dumps({"workdir": None, "corpus": {"name": "ravdess", "root": "/data/RAVDESS"}}))
    assert root_of(None) == "/data/RAVDESS"
    assert root_of("/moved") == "/moved"


def test_frozen_encoders_run_in_a_process_that_keeps_freed_memory(tmp_path, monkeypatch):
    done: list[str] = []
    monkeypatch.setattr("avemo_jax.allocator.keep_freed_memory", lambda: done.append("allocator set"))
    monkeypatch.setattr("data_prep.prepare_corpus.prepare_corpus", lambda *_, **__: done.append("prepared") or SimpleNamespace(clips=()))
    monkeypatch.setattr("avemo_jax.experiment.features.with_features", lambda *_: done.append("encoded"))
    api.make_features(Experiment(prepared_dir=str(tmp_path), protocol=Protocol(baseline=False)))
    assert done == ["allocator set", "prepared", "encoded"]
