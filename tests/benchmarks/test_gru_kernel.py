"""The GRU kernel of the benchmark: its numbers in the interpreter, and its lowering for devices that are not here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from avemo_jax.models.recurrent import gru_recurrence
from benchmarks.gru_kernel import pallas_recurrence


def arrays(num_steps: int, num_rows: int, units: int) -> list[jax.Array]:
    """Return projected inputs, kernel, bias and a mask with a padded start, middle and end."""
    rng = np.random.default_rng(0)
    shapes = ((num_steps, num_rows, 3 * units), (units, 3 * units), (units,))
    made = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    return [*made, jnp.asarray(rng.random((num_steps, num_rows)) < 0.7)]


def loss(recurrence, projected, kernel, bias, mask):
    states = recurrence(projected, kernel, bias, mask)
    return jnp.sin(states).sum(), states


def test_the_kernel_has_the_states_and_gradients_of_the_scan():
    given, found = arrays(6, 3, 5), []  # not a power of two: padded inside
    trials = [jnp.stack([one, 2 * one]) for one in given[:3]]
    for recurrence in (gru_recurrence, pallas_recurrence):
        of_one = jax.value_and_grad(lambda *args, own=recurrence: loss(own, *args), (0, 1, 2), has_aux=True)
        of_trials = jax.jit(jax.vmap(of_one, (0, 0, 0, None)))
        found.append(jax.tree.leaves(of_trials(*trials, given[3])))
    for expected, one in zip(*found, strict=True):
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("platform", "target"), [("cuda", "xla.gpu.triton"), ("tpu", "tpu_custom_call")])
def test_forward_and_backward_lower_for_a_device_that_is_not_here(platform, target):
    given = [jax.ShapeDtypeStruct(one.shape, one.dtype) for one in arrays(4, 32, 64)]
    gradient = jax.jit(jax.grad(lambda *args: loss(pallas_recurrence, *args)[0], (0, 1, 2)))
    text = gradient.trace(*given).lower(lowering_platforms=(platform,)).as_text()
    assert text.count(target) == 2  # one kernel for each pass
