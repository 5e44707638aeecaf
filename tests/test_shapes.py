"""Every shipped experiment makes networks whose shapes fit: its views as they are made, its encoders, each stage's network, its classes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from avemo_jax.experiment.features import feature_step
from avemo_jax.experiment.fields import for_stage
from avemo_jax.experiment.live_features import views_of
from avemo_jax.experiment.networks import make_net
from avemo_jax.experiment.plan import stages_of
from avemo_jax.labels import label_set
from data_prep.prepare import make_view

FILES = sorted(
    path.stem for path in (Path(__file__).resolve().parents[1] / "configs").glob("*.py") if path.stem not in ("__init__", "base")
)
NUM_STEPS = 3


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> str:
    """A table of features for the systems that take one."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text("clip," + ",".join(f"unit{number}" for number in range(35)) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def known() -> dict[str, list[tuple[int, ...]]]:
    """Shapes of logits for networks that were made before: corpora share them, and making one takes seconds."""
    return {}


@pytest.mark.parametrize(
    ("file", "system"), [(file, system) for file in FILES for system in importlib.import_module(f"configs.{file}").SYSTEMS], ids=str
)
def test_every_shipped_experiment_initialises(file, system, table, known):
    made = importlib.import_module(f"configs.{file}").get_config(system)
    made.views.table.path = table
    config = made.to_dict()
    num_classes = len(label_set(config["corpus"]["label_set"]).classes)
    views = {name: config["views"][name] for name in views_of(config)}
    key = json.dumps(
        [views, config["model"], config["encoders"], config["system"], config["train"], num_classes], default=str, sort_keys=True
    )
    if key not in known:
        known[key] = logit_shapes(config, num_classes)
    assert known[key] == [(2, num_classes)] * len(known[key])


def logit_shapes(config, num_classes: int) -> list[tuple[int, ...]]:
    """Shape of what each network of an experiment says of two clips; nothing is computed."""
    steps = {}
    for name in views_of(config):
        view = make_view(name, **config["views"][name])
        steps[name] = (tuple(view.step_shape), view.dtype)
    stages = [stage for stage in stages_of(config) if stage.part not in ("inner", "svm")]
    shapes = []
    for stage in stages:
        of_stage = for_stage(config, stage.name)
        batch = {}
        for stream in stage.streams:
            step_shape, dtype = feature_step(of_stage, stream, steps)
            batch |= {stream: jnp.zeros((2, NUM_STEPS, *step_shape), dtype), f"{stream}_mask": jnp.ones((2, NUM_STEPS), bool)}
        net = make_net(of_stage, stage, num_classes)
        logits, _ = jax.eval_shape(lambda key, net=net, batch=batch: net.init_with_output(key, batch, train=False), jax.random.key(0))
        shapes.append(logits.shape)
    return shapes
