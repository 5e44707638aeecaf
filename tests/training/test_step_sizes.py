"""The size of each system's training step is the one that was reviewed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from avemo_jax.experiment.grid import stages_of
from benchmarks.step_sizes import changes, count_operations, experiment_of, names, sizes_of, stored_sizes

STORED = stored_sizes()
# One of each module of configs/systems, which is traced in about a second; the others are variants of them.
QUICK = (
    *("contextual_temporal:audio", "handcrafted_late_fusion:audio", "vgg19_lstm_attention:segments", "image_cnn", "mfcc_lstm:small_corpus"),
    *("image_audio_fusion:vgg16", "stacking:video", "gru_attention", "whisper", "vision_transformer", "small_audio"),
)
REWRITE = "if the growth is wanted, write the file anew with `python -m benchmarks.step_sizes --write` and say why in the commit"


@pytest.mark.skipif(STORED["jax"] != jax.__version__, reason=f"the sizes were traced with JAX {STORED['jax']}; this is {jax.__version__}")
@pytest.mark.parametrize("system", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in names()])
def test_the_step_of_a_system_has_the_size_that_was_reviewed(system):
    own = {name: size for name, size in STORED["steps"].items() if name.split()[0] == system}
    found = changes(own, sizes_of(system))
    assert not found, "\n".join([*found, REWRITE])


def test_every_system_that_trains_a_network_has_a_stored_size():
    classical = {name for name in names() if all(stage.is_classical for stage in stages_of(experiment_of(name)))}
    assert {name.split()[0] for name in STORED["steps"]} == set(names()) - classical
    assert set(QUICK) <= set(names())


def test_operations_inside_loops_and_calls_are_counted_once():
    def step(x):
        looped, _ = jax.lax.scan(lambda carry, _: (carry @ carry, None), x, length=7)
        return jax.jit(jnp.sin)(looped).sum()

    found = count_operations(jax.make_jaxpr(step)(jnp.ones((2, 2))).jaxpr)
    assert found == {"loops": 1, "products": 1, "elementwise": 1, "reductions": 1}


def test_growth_is_named_in_a_sentence():
    before = {"net audio": {"products": 10, "moves": 10, "all": 20}, "old audio": {"all": 1}}
    now = {"net audio": {"products": 20, "moves": 10, "all": 30}}
    assert changes(before, now) == [
        "net audio: its step has 30 operations, +50% from 20: products 10 -> 20",
        "old audio: a step that is no more",
    ]
