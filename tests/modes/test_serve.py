"""The mode `serve`: what it says of a system, and what it needs."""

from __future__ import annotations

import importlib.util
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from avemo_jax.modes import serve as mode

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = SimpleNamespace(trained_on="nothing", classes=("a", "b"), media=frozenset({"audio"}), attended=())


def experiment(folder: Path):
    return SimpleNamespace(run_directory=folder, system=SimpleNamespace(name="small"))


def test_a_model_folder_is_described_by_its_card_and_the_limits_of_use(tmp_path):
    found = mode.describe(experiment(ROOT / "models" / "ravdess_functionals_linear"), SYSTEM)
    assert "CC BY-NC-SA" in found.card and "[56.5, 67.9]" in found.card and "Regulation (EU) 2024/1689" in found.limits
    (tmp_path / "model.json").write_text("{}")
    assert mode.describe(experiment(tmp_path), SYSTEM).card == "This model folder has no card. Trained on nothing."


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    mode.check_packages()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(RuntimeError, match=r"needs uvicorn, .*pip install uvicorn"):
        mode.check_packages()


def test_a_port_that_is_taken_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ValueError, match=r"--port=\d+: .*choose another port"):
        mode.serve(
            experiment(ROOT / "models" / "ravdess_functionals_linear"),
            SimpleNamespace(**vars(SYSTEM), window_s=3.0, hop_s=1.0),
            lambda: None,
            port=taken.getsockname()[1],
        )
    assert list(tmp_path.iterdir()) == []
