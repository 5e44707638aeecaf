"""Every corpus with every system that it can have: networks of all stages can be made of its views, by shape alone."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from avemo_jax.config.overrides import for_stage, with_fields
from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.grid_plan import check_grid, stages_of, trials_of
from avemo_jax.experiment.live_features import views_of
from avemo_jax.experiment.networks import is_standardized, make_net, trained_encoder
from avemo_jax.labels import label_set
from avemo_jax.models.emotion_net import EmotionNet, take_over
from avemo_jax.training.stage import Stage
from configs import systems
from data_prep.views import make_view
from data_prep.views.segments import check_same_cut

CORPORA = sorted(
    path.stem for path in (Path(__file__).resolve().parents[1] / "configs").glob("*.py") if path.stem not in ("__init__", "base")
)
NUM_STEPS, NUM_CLASSES = 3, 8  # of all, so that corpora share what is traced
Steps = dict[str, tuple[tuple[int, ...], str]]


def experiments() -> Iterator[str]:
    for corpus in CORPORA:
        yield from (f"{corpus}:{system}" for system in importlib.import_module(f"configs.{corpus}").SYSTEMS)


def config_of(experiment: str, folder: Path) -> dict[str, Any]:
    """The experiment's config as plain values; a table that it wants is written into the folder."""
    corpus, _, system = experiment.partition(":")
    config = importlib.import_module(f"configs.{corpus}").get_config(*([system] if system else []))
    if "table" in (config.streams.audio.view, config.streams.video.view):
        config.views.table.path = str(folder / "table.csv")
        (folder / "table.csv").write_text("clip,smile,frown\na,1.0,0.5\n")
    return config.to_dict()


def steps_of(config: Mapping[str, Any]) -> Steps:
    """Stream -> shape and type of what its networks are given, from views to features, cepstra and standardisation."""
    views = {name: make_view(name, **config.views[name]) for name in views_of(config)}
    check_same_cut(views)
    shapes = {name: (tuple(view.step_shape), view.dtype) for name, view in views.items()}
    steps = {stream: feature_step(config, stream, shapes) for stream in config.system.streams}
    if config.model.num_cepstra and "audio" in steps:
        steps["audio"] = ((config.model.num_cepstra,), "float32")
    return {stream: (shape, "float32" if is_standardized(config, stream) else dtype) for stream, (shape, dtype) in steps.items()}


@functools.cache
def initialised(net: EmotionNet, steps: tuple[tuple[str, tuple[int, ...], str], ...]) -> tuple[Any, Any]:
    """Shapes of the logits and of the variables."""
    batch = {"mask": jax.ShapeDtypeStruct((2,), np.dtype(bool))}
    for stream, shape, dtype in steps:
        batch[stream] = jax.ShapeDtypeStruct((2, NUM_STEPS, *shape), np.dtype(dtype))
        batch[f"{stream}_mask"] = jax.ShapeDtypeStruct((2, NUM_STEPS), np.dtype(bool))
    return jax.eval_shape(lambda key, batch: net.init_with_output(key, batch, train=False), jax.random.key(0), batch)


def network(config: Mapping[str, Any], stage: Stage, steps: Steps, num_classes: int = NUM_CLASSES) -> tuple[Any, Any]:
    given = tuple((stream, *steps[stream]) for stream in stage.streams)
    return initialised(make_net(config, stage, num_classes), given)


@pytest.mark.parametrize("experiment", list(experiments()))
def test_networks_of_all_stages_can_be_made(experiment, tmp_path):
    config = config_of(experiment, tmp_path)
    check_grid(config)
    stages = [stage for stage in stages_of(config) if stage.part not in ("inner", "svm")]
    steps = steps_of(config)
    for fields in {trial.fields for trial in trials_of(config, 1)}:
        made = {}
        for stage in stages:
            own = with_fields(for_stage(config, stage.name), fields)
            logits, variables = network(own, stage, steps)
            assert (logits.shape, logits.dtype.name) == ((2, NUM_CLASSES), "float32")
            made[stage.name] = variables["params"]
            take_over(made[stage.name], {earlier: made[earlier] for earlier in stage.takes_over})
            assert {path[0] for path in stage.frozen} == set(make_net(own, stage, NUM_CLASSES).held)


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_system_that_a_corpus_starts_with_is_one_of_its_own(corpus, tmp_path):
    config = config_of(corpus, tmp_path)
    module = importlib.import_module(f"configs.{corpus}")
    names = {config_of(f"{corpus}:{system}", tmp_path)["system"]["name"] for system in module.SYSTEMS}
    assert config.system.name in names


def num_params(experiment: str, stage: str, folder: Path) -> int:
    config = config_of(experiment, folder)
    (wanted,) = (one for one in stages_of(config) if one.name == stage)
    num_classes = len(label_set(config.corpus.label_set).classes)
    _, variables = network(for_stage(config, stage), wanted, steps_of(config), num_classes)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_parameters_are_as_many_as_the_documents_say(tmp_path):
    """D's audio net in full; the others by hand from the widths that the documents give."""
    assert num_params("ravdess:stacking:audio", "audio", tmp_path) == 395_783
    assert num_params("ravdess:stacking", "audio", tmp_path) == 395_783
    stacked = num_params("ravdess:stacking", "stacked", tmp_path)
    lstms = 4 * 200 * (512 + 200 + 1) + 4 * 100 * (200 + 100 + 1)
    audio_without_classes = 512 * 512 + 512 + 512 * 256 + 256
    assert stacked == audio_without_classes + lstms + (256 + 100) * 256 + 256 + 256 * 7 + 7
    # C: (40, 1) into an LSTM of 123, dense 64 and 32, seven classes
    assert num_params("tess:mfcc_lstm", "audio", tmp_path) == 4 * 123 * (1 + 123 + 1) + 123 * 64 + 64 + 64 * 32 + 32 + 32 * 7 + 7
    # C: 48 x 48 x 3, three convolutions with pooling, dense 512
    convolutions = 9 * 3 * 64 + 64 + 9 * 64 * 128 + 128 + 9 * 128 * 256 + 256
    assert num_params("mixed_images:image_cnn", "video", tmp_path) == convolutions + 6 * 6 * 256 * 512 + 512 + 512 * 7 + 7


def test_encoders_that_a_system_names_take_its_views(tmp_path):
    """Features are as wide as the documents say."""
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
        steps = steps_of(config_of(experiment, tmp_path))
        assert {stream: shape for stream, (shape, _) in steps.items()} == expected, experiment


def test_no_shipped_system_trains_an_encoder_by_default():
    """The frozen path is the published one; what is trained along is asked for."""
    for name in systems.SYSTEMS:
        config = importlib.import_module("configs.demo").get_config(name).to_dict()
        assert all(trained_encoder(config, stream) is None for stream in config.system.streams)
