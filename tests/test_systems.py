"""Every corpus with every system that fits it: the networks of all stages can be initialised from its views, by shapes alone."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from onnx_files import write_frames_net

from avemo_jax.config import Experiment, parse
from avemo_jax.config.overrides import for_stage, with_fields
from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.grid import stages_of
from avemo_jax.experiment.grid_plan import check_experiment
from avemo_jax.experiment.live_features import views_of
from avemo_jax.experiment.networks import make_net, standardization, trained_encoder
from avemo_jax.experiment.variation import tried_changes, variation_of
from avemo_jax.labels import label_set
from avemo_jax.models.emotion_net import EmotionNet, take_over
from avemo_jax.training.stage import Stage
from configs import systems
from data_prep.views import make_view
from data_prep.views.segments import check_same_cut

CORPORA = sorted(
    path.stem for path in (Path(__file__).resolve().parents[1] / "configs").glob("*.py") if path.stem not in ("__init__", "base")
)
NUM_STEPS, NUM_CLASSES = 3, 8  # the same for all corpora, so that they share traced networks
Steps = dict[str, tuple[tuple[int, ...], str]]


def experiments() -> Iterator[str]:
    for corpus in CORPORA:
        yield from (f"{corpus}:{system}" for system in importlib.import_module(f"configs.{corpus}").SYSTEMS)


def experiment_of(name: str, folder: Path) -> Experiment:
    """Return the experiment CORPUS or CORPUS:SYSTEM; a feature table that it needs is written into the folder."""
    corpus, _, system = name.partition(":")
    config = importlib.import_module(f"configs.{corpus}").get_config(*([system] if system else []))
    config.encoders.onnx.weights = str(folder / "net.onnx")
    if any(stream.view == "table" for stream in config.streams.values()):
        config.views.table.path = str(folder / "table.csv")
        (folder / "table.csv").write_text("clip,smile,frown\na,1.0,0.5\n")
    return parse(config.to_dict())


def steps_of(experiment: Experiment) -> Steps:
    """Return stream -> shape and type of the inputs of its networks: from views to features, cepstra and z-scores."""
    views = {name: make_view(name, **experiment.views[name]) for name in views_of(experiment)}
    check_same_cut(views)
    shapes = {name: (tuple(view.step_shape), view.dtype) for name, view in views.items()}
    if any(stream.encoder == "onnx" for stream in experiment.streams_in_use.values()):
        write_frames_net(Path(experiment.encoders["onnx"].weights), num_bands=80, num_frames=800, width=384)
    steps = {}
    for name, stream in experiment.streams_in_use.items():
        shape, dtype = feature_step(experiment, name, shapes)
        if stream.num_cepstra:
            shape = (stream.num_cepstra,)
        steps[name] = (shape, dtype if standardization(name, stream) == "none" else "float32")
    return steps


@functools.cache
def initialised(net: EmotionNet, steps: tuple[tuple[str, tuple[int, ...], str], ...]) -> tuple[Any, Any]:
    """Return the shapes of the logits and of the variables."""
    batch = {"mask": jax.ShapeDtypeStruct((2,), np.dtype(bool))}
    for stream, shape, dtype in steps:
        batch[stream] = jax.ShapeDtypeStruct((2, NUM_STEPS, *shape), np.dtype(dtype))
        batch[f"{stream}_mask"] = jax.ShapeDtypeStruct((2, NUM_STEPS), np.dtype(bool))
    return jax.eval_shape(lambda key, batch: net.init_with_output(key, batch, train=False), jax.random.key(0), batch)


def network(experiment: Experiment, stage: Stage, steps: Steps, num_classes: int = NUM_CLASSES) -> tuple[Any, Any]:
    given = tuple((stream, *steps[stream]) for stream in stage.streams)
    return initialised(make_net(experiment, stage, num_classes), given)


@pytest.mark.parametrize("name", list(experiments()))
def test_networks_of_all_stages_can_be_made(name, tmp_path):
    experiment = experiment_of(name, tmp_path)
    check_experiment(experiment)
    stages = [stage for stage in stages_of(experiment) if stage.part != "inner" and not stage.is_classical]
    steps = steps_of(experiment)
    for changes in tried_changes(experiment, variation_of(experiment)):
        made = {}
        for stage in stages:
            own = with_fields(for_stage(experiment, stage.name), changes)
            logits, variables = network(own, stage, steps)
            assert (logits.shape, logits.dtype.name) == ((2, NUM_CLASSES), "float32")
            made[stage.name] = variables["params"]
            take_over(made[stage.name], {stream: made[stage.source(stream)] for stream in stage.takes_over})
            assert {path[0] for path in stage.frozen} == set(make_net(own, stage, NUM_CLASSES).frozen)


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_default_system_of_a_corpus_is_one_of_its_systems(corpus, tmp_path):
    module = importlib.import_module(f"configs.{corpus}")
    names = {experiment_of(f"{corpus}:{system}", tmp_path).system.name for system in module.SYSTEMS}
    assert experiment_of(corpus, tmp_path).system.name in names


def num_params(name: str, stage: str, folder: Path) -> int:
    experiment = experiment_of(name, folder)
    (wanted,) = (one for one in stages_of(experiment) if one.name == stage)
    num_classes = len(label_set(experiment.corpus.label_set).classes)
    _, variables = network(for_stage(experiment, stage), wanted, steps_of(experiment), num_classes)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_numbers_of_parameters_are_those_of_the_documents(tmp_path):
    """The documents state the number for D's audio network; the others are computed by hand from the widths in the documents."""
    assert num_params("ravdess:stacking:audio", "audio", tmp_path) == 395_783
    assert num_params("ravdess:stacking", "audio", tmp_path) == 395_783
    # its MFCC, section 6.4: 13 coefficients of 498 windows of 25 ms, 10 ms apart, flattened
    mfcc = experiment_of("ravdess:stacking:mfcc", tmp_path).views["mfcc"]
    assert (mfcc["window_ms"], mfcc["hop_ms"], mfcc["num_coefficients"]) == (25, 10, 13)
    assert num_params("ravdess:stacking:mfcc", "audio", tmp_path) == 498 * 13 * 512 + 512 + 512 * 256 + 256 + 256 * 7 + 7
    stacked = num_params("ravdess:stacking", "stacked", tmp_path)
    lstms = 4 * 200 * (512 + 200 + 1) + 4 * 100 * (200 + 100 + 1)
    audio_without_classes = 512 * 512 + 512 + 512 * 256 + 256
    assert stacked == audio_without_classes + lstms + (256 + 100) * 256 + 256 + 256 * 7 + 7
    # C: (40, 1) into an LSTM of 123, dense 64 and 32, seven classes
    assert num_params("tess:mfcc_lstm", "audio", tmp_path) == 4 * 123 * (1 + 123 + 1) + 123 * 64 + 64 + 64 * 32 + 32 + 32 * 7 + 7
    # C: 48 x 48 x 3, three convolutions with pooling, dense 512
    convolutions = 9 * 3 * 64 + 64 + 9 * 64 * 128 + 128 + 9 * 128 * 256 + 256
    assert num_params("mixed_images:image_cnn", "video", tmp_path) == convolutions + 6 * 6 * 256 * 512 + 512 + 512 * 7 + 7


def test_encoders_of_a_system_accept_its_views(tmp_path):
    """Features have the width in the documents."""
    widths = {
        "ravdess:contextual_temporal": {"audio": (128,), "video": (2048,)},
        "ravdess:contextual_temporal:both": {"audio": (128,), "video": (2048 + 1024,)},
        "ravdess:contextual_temporal:i3d": {"audio": (128,), "video": (1024,)},
        "rml:vgg19_lstm_attention": {"audio": (4096,), "video": (20, 4096)},
        "ravdess:stacking": {"audio": (512,), "video": (512,)},
        "ravdess:gru_attention:fused": {"audio": (13,), "video": (512,)},
        "ravdess:stacking:mfcc": {"audio": (13,)},
        "tess:mfcc_lstm": {"audio": (1,)},
    }
    for experiment, expected in widths.items():
        steps = steps_of(experiment_of(experiment, tmp_path))
        assert {stream: shape for stream, (shape, _) in steps.items()} == expected, experiment


def test_no_shipped_system_trains_an_encoder_by_default():
    """Published systems use frozen encoders; a config must choose an encoder that is trained with the network."""
    for name in systems.SYSTEMS:
        experiment = parse(importlib.import_module("configs.demo").get_config(name).to_dict())
        assert all(trained_encoder(experiment, stream) is None for stream in experiment.system.streams)
