"""Estimates of memory, compared with the compiler's report, and the group sizes derived from them."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from small_grid import HYPER, NOTHING, RECIPE

from avemo_jax import parallel
from avemo_jax.models.emotion_net import BranchSpec, EmotionNet
from avemo_jax.training import memory
from avemo_jax.training.execution import Execution, TrialProgram
from avemo_jax.training.memory import Need
from avemo_jax.training.trials import make_inputs, make_trials

NUM_CLIPS, NUM_STEPS, NUM_FEATURES = 60, 40, 24
SPECS = {
    "gru": BranchSpec(context_units=(32,), dense_units=(16,)),
    "mlp": BranchSpec(encoder="mlp", encoder_units=(128,), context="none", pooling="mean"),
}


@pytest.mark.parametrize("name", list(SPECS))
def test_the_estimate_is_near_what_the_compiler_allocates(name):
    """The estimate is not below the need, and not so far above it that half of a device would be unused."""
    rng, clips = np.random.default_rng(0), np.arange(NUM_CLIPS, dtype=np.int32)
    data = {
        "audio": rng.normal(size=(NUM_CLIPS, NUM_STEPS, NUM_FEATURES)).astype(np.float32),
        "audio_mask": np.ones((NUM_CLIPS, NUM_STEPS), bool),
        "label": clips % 4,
        "clip": clips,
        "usable": np.ones(NUM_CLIPS, bool),
    }
    net, recipe = EmotionNet(4, {"audio": SPECS[name]}), dataclasses.replace(RECIPE, num_clips=NUM_CLIPS, batch_size=32)
    trials = make_trials(num_folds=3, seeds=(0,), hyper=HYPER, sweep={})
    inputs = make_inputs(trials, [(clips[:40], clips[40:])] * 3)
    program = TrialProgram(net, recipe, data, Execution("vmap", "scan"), parallel.make_mesh(devices=jax.devices()[:1]), 2)
    examples = {key: jax.ShapeDtypeStruct(data[key].shape[1:], data[key].dtype) for key in ("audio", "audio_mask")}
    state = program.trial_shape(inputs[0], NOTHING)
    need = memory.estimate(net, recipe, state, inputs[0], examples, shared_bytes=memory.tree_bytes(data))
    lanes = program.lanes(inputs)
    states = program.lanes([jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)] * 3)
    stated = program.lower_epoch(lanes, states).compile().memory_analysis()
    allocated = stated.argument_size_in_bytes + stated.output_size_in_bytes - stated.alias_size_in_bytes + stated.temp_size_in_bytes
    assert 0.8 < need.of_batch(3, at_once=3) / allocated < 2.5


def test_bytes_of_a_batch():
    need = Need(shared_bytes=100, trial_bytes=10, step_bytes=50)
    assert need.of_batch(4, at_once=4) == 100 + 4 * 10 + 4 * 50
    assert need.of_batch(4, at_once=2) == 100 + 4 * 10 + 2 * 50
    assert need.of_batch(5, at_once=9, trial_shards=2) == 100 + 3 * 10 + 3 * 50


def test_the_largest_batch_that_fits():
    need = Need(shared_bytes=100, trial_bytes=10, step_bytes=50)
    assert need.largest_batch(340, 9, at_once=9) == 4
    assert need.largest_batch(339, 9, at_once=9) == 3
    assert need.largest_batch(10**9, 9, at_once=9) == 9
    assert need.largest_batch(1, 9, at_once=9) == 1  # at least one, even if it does not fit
    assert need.largest_batch(1, 9, at_once=9, trial_shards=4) == 4
    assert need.largest_batch(340, 9, at_once=9, trial_shards=2) == 8


def test_the_peak_of_a_step_counts_values_that_are_live_together():
    def function(x):  # a and b are live together with their sum, 400 bytes each
        a = x + 1
        b = a * a
        return (b + a).sum()

    assert memory.peak_bytes(jax.make_jaxpr(function)(np.zeros(100, np.float32)).jaxpr) == 1200
    looped = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, _: (c * 2, None), x, length=1000)[0])(np.zeros(100, np.float32))
    assert memory.peak_bytes(looped.jaxpr) == 400  # a loop's temporaries count once


def test_memory_is_that_of_the_config_or_of_the_device():
    assert memory.device_bytes(2.0) == 2 * 2**30
    assert 2**28 < memory.device_bytes(0) < 2**45
    with pytest.raises(ValueError, match="memory_gib must be 0"):
        memory.device_bytes(-1)


def test_trials_use_a_share_of_the_memory_that_the_device_states(monkeypatch):
    """The rest is for the compiler's workspace, validation and fragmentation."""
    monkeypatch.setattr(memory, "_host_bytes", lambda: 1000 * jax.local_device_count())
    assert memory.device_bytes(0) == 850
