"""Prediction without a run takes the best shipped model whose weights are all there; the shipped models are what their cards say."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from avemo_jax.config import parse, to_plain
from avemo_jax.config.overrides import with_fields
from avemo_jax.experiment.model_folder import read_description, sha256_of_file, without_paths
from avemo_jax.modes import arguments, shipped
from avemo_jax.modes.arguments import of_run, uses_shipped
from avemo_jax.modes.shipped import choose_shipped
from avemo_jax.reporting.model_card import OF_WEIGHTS
from configs import demo, ravdess

ROOT = Path(__file__).resolve().parents[2]


def write_model(folder: Path, experiment, uar: float) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(without_paths(experiment)))
    results = {"corpus": "made", "protocol": "luna5", "uar": {"pooled": uar, "ci95": [uar - 0.1, uar + 0.1]}}
    (folder / "model.json").write_text(json.dumps({"format": 1, "results": results}))


@pytest.fixture
def models(tmp_path) -> Path:
    """Two models, the better one with an encoder."""
    write_model(tmp_path / "models" / "a_small", parse(demo.get_config("audio").to_dict()), 0.5)
    whisper = with_fields(parse(ravdess.get_config("whisper").to_dict()), {"weights_dir": str(tmp_path)})
    write_model(tmp_path / "models" / "whisper", whisper, 0.7)
    return tmp_path / "models"


def test_the_best_model_that_is_at_hand_is_taken_and_named(models, tmp_path, capsys):
    overrides = {"weights_dir": str(tmp_path)}
    assert choose_shipped(models, overrides).folder == models / "a_small"
    printed = capsys.readouterr().out
    assert "UAR 50.0 [40.0, 60.0] % on speakers that it had not heard" in printed and "cannot know what a person feels" in printed
    assert "better: " in printed and "--config.encoders.whisper_base.weights=FOLDER" in printed
    weights = tmp_path / "whisper-base"
    weights.mkdir()
    for name in ("config.json", "model.safetensors"):
        (weights / name).write_bytes(b"{}")
    assert choose_shipped(models, overrides | {"encoders.whisper_base.weights": str(weights)}).folder == models / "whisper"
    with pytest.raises(FileNotFoundError, match="no shipped model in"):
        choose_shipped(tmp_path / "none", {})


def test_without_any_weights_no_record_of_an_encoder_is_read(models, tmp_path, monkeypatch):
    """The records bring JAX, which the model that is chosen then does not need."""
    monkeypatch.setattr(shipped, "encoder_table", lambda _: pytest.fail("an encoder's record was read"))
    assert choose_shipped(models, {"weights_dir": str(tmp_path / "none")}).folder == models / "a_small"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--mode=predict", "--input=a.wav"], True),
        (["--mode", "predict", "--config.weights_dir=w"], True),
        (["--mode=serve"], True),
        (["--mode=predict", "--run=r"], False),
        (["--mode=predict", "--config=configs/demo.py"], False),
        (["--config.weights_dir=w"], False),
    ],
)
def test_only_predict_and_serve_without_run_and_config_use_a_shipped_model(argv, expected, models, monkeypatch, tmp_path):
    monkeypatch.setattr(arguments, "SHIPPED_MODELS", tmp_path / "none")
    assert not uses_shipped(["run.py", *argv])
    monkeypatch.setattr(arguments, "SHIPPED_MODELS", models)
    assert uses_shipped(["run.py", *argv]) == expected
    if expected:
        assert not any("config." in text for text in of_run(["run.py", *argv])[0])


@pytest.mark.parametrize("folder", sorted(path.parent for path in (ROOT / "models").glob("*/model.json")), ids=lambda path: path.name)
def test_shipped_models_are_small_whole_and_without_paths(folder):
    described = read_description(folder)
    assert {name: sha256_of_file(folder / name) for name in described["sha256"]} == described["sha256"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    experiment = parse(json.loads((folder / "config.json").read_text()))
    assert without_paths(experiment) == to_plain(experiment)
    installed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert installed[f"share/avemo/models/{folder.name}"] == [f"models/{folder.name}/*"]
    for page in (folder / "README.md", ROOT / "docs" / "limits.md"):
        assert OF_WEIGHTS in " ".join(page.read_text().replace("**", "").split())
    text = "".join((folder / name).read_text() for name in ("README.md", "model.json", "config.json"))
    assert not re.search(r"[\"'= ]/\w", text) and "CC BY-NC-SA" in (folder / "README.md").read_text()
