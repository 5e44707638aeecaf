"""Optimisers and schedules with every number traced, against optax and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from avemo_jax.config import SWEPT
from avemo_jax.training.optimizers import Hyper, Plateau, learning_rate_at, make_optimizer

PARAMS = {"kernel": jnp.asarray([[1.0, -2.0]]), "bias": jnp.asarray([0.5])}
GRADIENT = {"kernel": jnp.asarray([[0.3, 0.1]]), "bias": jnp.asarray([-0.2])}


def hyper(**values) -> Hyper:
    return Hyper(**{name: jnp.float32(values.get(name, 0.0)) for name in SWEPT}, seed=jnp.int32(0))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", optax.adamw(0.1, b1=0.8, weight_decay=0.01, mask={"kernel": True, "bias": False})),
        ("adamax", optax.adamaxw(0.1, b1=0.8, weight_decay=0.01, mask={"kernel": True, "bias": False})),
    ],
)
def test_traced_numbers_give_what_optax_gives(name, reference):
    @jax.jit
    def two_steps(values):
        made = make_optimizer(name, values, values.learning_rate, clip_norm=1e9)
        state, params = made.init(PARAMS), PARAMS
        for _ in range(2):
            updates, state = made.update(GRADIENT, state, params)
            params = optax.apply_updates(params, updates)
        return params

    state, params = reference.init(PARAMS), PARAMS
    for _ in range(2):
        updates, state = reference.update(GRADIENT, state, params)
        params = optax.apply_updates(params, updates)
    got = two_steps(hyper(learning_rate=0.1, momentum=0.8, weight_decay=0.01))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_sgd_with_momentum_and_clipping_by_hand():
    made = make_optimizer("sgd", hyper(momentum=0.5), jnp.float32(0.1), clip_norm=0.1)
    state = made.init(PARAMS)
    first, state = made.update(GRADIENT, state, PARAMS)
    second, _ = made.update(GRADIENT, state, PARAMS)
    scale = 0.1 / np.sqrt(0.3**2 + 0.1**2 + 0.2**2)
    np.testing.assert_allclose(first["bias"], [-0.1 * -0.2 * scale], rtol=1e-5)
    np.testing.assert_allclose(second["bias"], [-0.1 * -0.2 * scale * 1.5], rtol=1e-5)


def test_schedules_by_hand():
    start = Plateau.start()

    def rate(schedule, step, plateau=start):
        at = learning_rate_at(schedule, jnp.float32(2.0), jnp.int32(step), total_steps=12, warmup_steps=2, plateau=plateau)
        return pytest.approx(float(at), abs=1e-6)

    assert [rate("constant", step) for step in (0, 1, 7)] == [1.0, 2.0, 2.0]
    assert [rate("cosine", step) for step in (0, 2, 7, 12)] == [1.0, 2.0, 1.0, 0.0]
    assert rate("plateau", 5, start.replace(factor=jnp.float32(0.25))) == 0.5
    with pytest.raises(ValueError, match="linear"):
        rate("linear", 0)
    with pytest.raises(ValueError, match="rmsprop"):
        make_optimizer("rmsprop", hyper(), jnp.float32(0), clip_norm=1.0)


def test_plateau_cuts_after_patience_and_starts_counting_again():
    plateau = Plateau.start()
    factors = []
    for loss in (1.0, 1.1, 1.2, 1.3, 0.9, 1.0):
        plateau = plateau.after_epoch(jnp.float32(loss), patience_epochs=1, factor=0.5)
        factors.append(float(plateau.factor))
    assert factors == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert float(plateau.best_loss) == pytest.approx(0.9)
