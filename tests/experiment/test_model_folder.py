"""A model folder of others is checked before anything of it is used; a folder of ours loads."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from small_experiment import STEP, small_config

from avemo_jax.config import ConfigError
from avemo_jax.config.overrides import with_fields
from avemo_jax.experiment import exporting
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.ensemble import load_ensemble
from avemo_jax.experiment.grid import make_grid, stages_of
from avemo_jax.experiment.model_folder import is_model_folder, read_model_config
from avemo_jax.experiment.trained_members import TrainedMember
from avemo_jax.experiment.variation import variation_of
from avemo_jax.inference.predict import TrainedNet
from avemo_jax.labels import label_set
from avemo_jax.modes.export import without_own_paths
from avemo_jax.modes.stored import stored_experiment

STEPS = {"audio": STEP}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The model folder of a run of one network that nobody has trained, beside the run directory."""
    folder = tmp_path_factory.mktemp("exported")
    experiment = with_fields(small_config(folder / "run"), {"corpus.root": "/data/made", "views.faces.detector_path": "/data/yunet.onnx"})
    variation, (stage,) = variation_of(experiment), stages_of(experiment)
    blueprint = Blueprint(experiment, variation, label_set(experiment.corpus.label_set), steps=STEPS, num_steps={"audio": 5})
    trial = make_grid(experiment, variation, (stage,), 1).trials[0]
    shape = blueprint.state_shape(stage, trial)
    filled = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.25, leaf.dtype), (shape.best.variables, shape.scaler))
    net = TrainedNet(blueprint.net(stage), *filled, blueprint.recipe(stage, num_clips=1).streams)
    experiment.run_directory.mkdir()
    (experiment.run_directory / "run.json").write_text(json.dumps({"num_steps": {"audio": 5}, "run_id": "this"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "read_members", lambda *_: [TrainedMember(trial, stage.name, {stage.name: net})])
        exporting.export_model(experiment, STEPS, folder / "model")
        exporting.export_model(experiment, STEPS, folder / "half", half_precision=True)
        with pytest.raises(FileExistsError, match="is not empty; name another folder with --output"):
            exporting.export_model(experiment, STEPS, folder / "half")
    return folder


@pytest.fixture
def model(exported, tmp_path) -> Path:
    """A copy of the model folder."""
    return Path(shutil.copytree(exported / "model", tmp_path / "model"))


def change(model: Path, name: str, content: dict) -> None:
    """Change fields of a JSON file of a model folder, with its sum where it has one."""
    path = model / name
    path.write_text(json.dumps(json.loads(path.read_text()) | content))
    sums = json.loads((model / "model.json").read_text())["sha256"]
    if name in sums:
        change(model, "model.json", {"sha256": sums | {name: hashlib.sha256(path.read_bytes()).hexdigest()}})


def load(model: Path):
    return load_ensemble(stored_experiment(str(model), {}), STEPS, 10.0, None)


def test_a_model_folder_holds_no_path_and_loads_anywhere(model, exported):
    assert is_model_folder(model) and not is_model_folder(exported / "run")
    text = "".join(path.read_text() for path in model.glob("*.json"))
    assert "/data" not in text and str(exported) not in text
    assert load(model).num_members == 1
    moved = stored_experiment(str(model), {"encoders.whisper_base.weights": "/elsewhere", "views.mfcc.segment_s": "3.0"})
    assert moved.encoders["whisper_base"].weights == "/elsewhere" and load_ensemble(moved, STEPS, 3.0, None).classes == load(model).classes
    with pytest.raises(ValueError, match=r"these flags differ from it:\n.*train\.learning_rate"):
        stored_experiment(str(model), {"train.learning_rate": "0.1"})


def test_half_precision_halves_the_file_and_loads_as_float32(exported):
    for folder, kind in (("model", "float32"), ("half", "float16")):
        assert {str(array.dtype) for array in load_file(exported / folder / "weights.safetensors").values()} == {kind}
    assert load(exported / "half").num_members == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", {"format": 2}, "expected format 1, found 2"),
        ("model.json", {"classes": ["a", "b"]}, "expected the classes .* of the label set iemocap4"),
        ("model.json", {"members": []}, "expected 1 to 100000 members"),
        ("model.json", {"members": [{"stages": ["video"], "fields": {}}]}, r"expected the stages \['audio'\] of the config"),
        (
            "model.json",
            {"members": [{"stages": ["audio"], "fields": {"streams.audio.dense_units": "(9,)"}}]},
            r"expected float32 or float16",
        ),
        ("model.json", {"members": [{"stages": ["audio"], "fields": {"streams.no": "1"}}]}, "the config has no field"),
        ("model.json", {"members": [{"stages": ["audio"], "fields": {"prepared_dir": "x"}}]}, "expected swept fields of streams, fusion"),
        ("model.json", {"num_steps": {"audio": -1}}, "expected num_steps of audio to be a number from 1"),
        ("model.json", {"num_steps": {"video": 5}}, r"num_steps of the streams \['audio'\], found \['video'\]"),
        ("model.json", {"sha256": {}}, "is damaged or was changed: expected SHA-256 None"),
        ("config.json", {"prepared_dir": "/etc"}, "expected no path and nothing of a machine in it, found prepared_dir"),
        ("config.json", {"views": {"faces": {"detector_path": "../../x"}}}, "found views.faces.detector_path"),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_refused(model, name, content, message):
    change(model, name, content)
    with pytest.raises(ValueError, match=message):
        load(model)


def test_a_config_with_unknown_fields_is_refused(model):
    change(model, "config.json", {"run_this": "rm"})
    with pytest.raises(ConfigError, match="has no field run_this"):
        read_model_config(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"member1/audio/params/x": np.zeros(3, np.float32)}, "holds arrays of no member, the first is member1/audio/params/x"),
        ({"member0/audio/params/x": np.zeros(3, np.float32)}, "member0/audio/params/x is missing or unknown"),
        (
            {"member0/audio/params/audio_head/norm/scale": np.zeros(99, np.float32)},
            r"expected float32 or float16 \(4,\), found F32 \(99",
        ),
        ({"member0/audio/params/audio_head/norm/scale": np.full(4, np.nan, np.float32)}, "expected finite numbers"),
    ],
)
def test_arrays_that_are_not_the_network_s_are_refused(model, changes, message):
    path = model / "weights.safetensors"
    arrays = load_file(path)
    assert changes.keys() & arrays.keys() or "/x" in next(iter(changes))
    save_file(arrays | changes, path)
    change(model, "model.json", {"sha256": json.loads((model / "model.json").read_text())["sha256"] | {path.name: _sha256(path)}})
    with pytest.raises(ValueError, match=message):
        load(model)


def test_other_weights_of_an_encoder_are_named(model, monkeypatch, caplog):
    from avemo_jax.experiment import model_folder
    from avemo_jax.experiment.encoder_table import UsedEncoder

    own = UsedEncoder("whisper_base", "published", "MIT", None, 1, "b" * 64)
    monkeypatch.setattr(model_folder, "encoder_table", lambda _: [own])
    change(model, "model.json", {"encoders": [dataclasses.asdict(own) | {"sha256": "a" * 64}]})
    load(model)
    assert "the weights of whisper_base have SHA-256 bbbbbbbbbbbb" in caplog.text


def test_a_command_is_shown_without_own_paths():
    command = ["run.py", "--config=configs/a.py:b", "--config.corpus.root=/mine", "--config.workdir=/w", "--config.train.seeds=(0,)"]
    assert without_own_paths(command) == ["run.py", "--config=configs/a.py:b", "--config.corpus.root=FOLDER", "--config.train.seeds=(0,)"]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
