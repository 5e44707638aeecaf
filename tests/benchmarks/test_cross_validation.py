"""The benchmark against PyTorch and Keras: all sides have the same network, and it prints all rows."""

from __future__ import annotations

import os
import sys

import jax
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is in benchmarks/requirements.txt")

from benchmarks import cross_validation, made_experiment, twins_keras, twins_torch
from benchmarks.peak import Products, matrix_products

SMALL = {"a2": {"audio": (5, 128), "video": (6, 2048)}, "e_audio": {"audio": (8, 13)}, "small_cnn": {"video": (2, 32, 32, 1)}}


@pytest.mark.parametrize("name", cross_validation.SYSTEMS)
def test_twins_have_as_many_parameters(name):
    system = cross_validation.SYSTEMS[name]
    plan = made_experiment.plan(system.config, SMALL[name], num_clips=48, num_folds=3)
    stage = next(one for one in plan.stages if one.name == system.stage)
    batch = {
        key: jax.ShapeDtypeStruct((2, *values.shape[1:]), values.dtype) for key, values in plan.data.only(stage.streams).arrays.items()
    }
    net = plan.blueprint.net(stage, plan.trials[0].fields)
    shapes = jax.eval_shape(lambda key, batch: net.init(key, batch, train=False), jax.random.key(0), batch)["params"]
    ours = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
    twin = twins_torch.TWINS[system.twin](8, 0.0)
    theirs = sum(one.numel() for one in twin.parameters())
    # A GRU of torch has a second bias of 3 H; ours has only its H values that do not add to the first.
    surplus = sum(2 * layer.hidden_size for layer in twin.modules() if isinstance(layer, twins_torch.nn.GRU))
    assert ours == theirs - surplus
    keras_twin = twins_keras.model(system.twin, tuple(SMALL[name].values()), 8, 0.0)
    assert ours == sum(int(np.prod(one.shape)) for one in keras_twin.trainable_variables) - surplus


@pytest.mark.long
def test_it_prints_a_row_a_side(monkeypatch, capsys):
    monkeypatch.setitem(
        cross_validation.SYSTEMS, "small_cnn", made_experiment.System("small_video", SMALL["small_cnn"], 3, "video", "SmallCNN")
    )
    monkeypatch.setattr(cross_validation, "matrix_products", lambda: Products(lambda: 0.0, 1e9))
    monkeypatch.setattr(sys, "argv", ["cross_validation", "--system=small_cnn", "--clips=48", "--rounds=1"])
    cross_validation.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("small_cnn")]
    assert [row[2] for row in rows] == ["products", "ours", "torch", "keras-tensorflow"] and all(float(row[3]) >= 0 for row in rows)


def test_products_are_made_and_counted():
    made = matrix_products(num_turns=1)
    assert np.isfinite(made.run()) and made.flops == 2 * 2048**3 * len(os.sched_getaffinity(0))
