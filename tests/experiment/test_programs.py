"""Networks as StableHLO and ONNX: read back and run, they give the probabilities of the ensemble."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax import export
from small_experiment import BOTH, STEP, small_config

from avemo_jax.experiment import onnx_program
from avemo_jax.experiment.blueprint import Blueprint
from avemo_jax.experiment.grid import make_grid, stages_of
from avemo_jax.experiment.programs import PROGRAMS, check_programs, write_program
from avemo_jax.experiment.trained_members import TrainedMember
from avemo_jax.experiment.variation import variation_of
from avemo_jax.inference.predict import Ensemble, EnsembleMember, TrainedNet
from avemo_jax.labels import label_set

STEPS, NUM_STEPS = dict.fromkeys(BOTH, STEP), dict.fromkeys(BOTH, 5)


def members_of(num_members: int) -> tuple[list[TrainedMember], tuple[str, ...]]:
    """Return networks of two streams, one of them recurrent, with random weights."""
    fields = {"streams__audio__context": "gru", "streams__audio__context_units": (4,), "streams__audio__pooling": "attention"}
    experiment = small_config(system__streams=BOTH, train__stages=("fused",), **fields)
    variation, (stage,), labels = variation_of(experiment), stages_of(experiment), label_set(experiment.corpus.label_set)
    blueprint = Blueprint(experiment, variation, labels, steps=STEPS, num_steps=NUM_STEPS)
    trial = make_grid(experiment, variation, (stage,), 1).trials[0]
    shape = blueprint.state_shape(stage, trial)
    members = []
    for seed in range(num_members):
        generator = np.random.default_rng(seed)
        draw = lambda leaf: generator.uniform(0.1, 0.9, leaf.shape).astype(leaf.dtype)  # noqa: E731, B023 deviations are above 0
        filled = jax.tree.map(draw, (shape.best.variables, shape.scaler))
        net = TrainedNet(blueprint.net(stage), *filled, blueprint.recipe(stage, num_clips=1).streams)
        members.append(TrainedMember(trial, stage.name, {stage.name: net}))
    return members, labels.classes


def test_a_program_that_is_read_back_gives_the_probabilities_of_the_ensemble(tmp_path):
    members, classes = members_of(2)
    described = write_program("stablehlo", tmp_path / "network.stablehlo", members, STEPS, NUM_STEPS)
    assert described.endswith(": any batch, any length") and "audio float32 (batch, time_audio, 3)" in described
    program = export.deserialize((tmp_path / "network.stablehlo").read_bytes())
    assert set(program.platforms) == {"cpu", "cuda", "tpu"} and "stablehlo." in program.mlir_module()
    ensemble = Ensemble([EnsembleMember(list(one.nets.values())) for one in members], classes=classes, views=STEPS, segment_s=1.0)
    for batch, length in ((1, 5), (3, 11)):
        values = np.random.default_rng(length).normal(size=(2, batch, length, 3)).astype(np.float32)
        mask = np.arange(length) < length - np.arange(batch)[:, None]
        found = program.call({"audio": values[0], "audio_mask": mask, "video": values[1], "video_mask": mask})
        pieces = {
            name: [SimpleNamespace(values=own[i], mask=mask[i], times_s=np.arange(length, dtype=np.float32)) for i in range(batch)]
            for name, own in zip(BOTH, values, strict=True)
        }
        np.testing.assert_allclose(found, [one.probabilities for one in ensemble.predict(pieces)], atol=1e-5)


def test_an_onnx_file_gives_the_probabilities_of_the_ensemble(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("jax2onnx")
    members, _ = members_of(2)
    described = write_program("onnx", tmp_path / "network.onnx", members, STEPS, NUM_STEPS)
    assert described.endswith(": any batch, the length of training") and "audio float32 (batch, 5, 3)" in described
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    assert [one.name for one in session.get_inputs()] == ["audio", "audio_mask", "video", "video_mask"]
    values = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    mask = np.arange(5) < 5 - np.arange(4)[:, None]
    arrays = {"audio": values[0], "audio_mask": mask, "video": values[1], "video_mask": mask}
    write_program("stablehlo", tmp_path / "network.stablehlo", members, STEPS, NUM_STEPS)
    program = export.deserialize((tmp_path / "network.stablehlo").read_bytes())
    np.testing.assert_allclose(session.run(None, arrays)[0], program.call(arrays), atol=1e-5)


def test_an_onnx_file_with_other_numbers_is_not_kept(tmp_path, monkeypatch):
    pytest.importorskip("jax2onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(onnx_program, "MOST_DIFFERENCE", -1.0)
    members, _ = members_of(1)
    described = write_program("onnx", tmp_path / "network.onnx", members, STEPS, NUM_STEPS)
    assert described.startswith("not written: ") and "differ by" in described
    assert list(tmp_path.iterdir()) == []


def test_formats_are_checked(monkeypatch):
    monkeypatch.setattr(onnx_program.importlib.util, "find_spec", lambda name: None if name == "onnx_ir" else name)
    check_programs(["stablehlo"])
    with pytest.raises(ValueError, match=r"'onxn'; expected stablehlo or onnx.*onnx"):
        check_programs(["onxn"])
    with pytest.raises(RuntimeError, match=r"not installed: onnx_ir; run: python -m pip install"):
        check_programs(["onnx"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_systems_that_are_no_single_network_are_named(tmp_path, name):
    members, _ = members_of(1)
    joined = TrainedMember(members[0].trial, "late", members[0].nets, rule={"rule": "weighted_product", "weights": [1.0]})
    described = write_program(name, tmp_path / "network", [joined], STEPS, NUM_STEPS)
    assert described.startswith("not written: ") and "late fusion" in described
    assert list(tmp_path.iterdir()) == []
