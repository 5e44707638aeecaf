"""Candidates for the recurrence of a GRU on an accelerator, beside the scan of `avemo_jax.models.recurrent.gru_recurrence`.

    pallas             one kernel for all time steps, which reads the recurrent weights once and keeps them on the chip; same numbers
    4 steps unrolled   the scan with four steps in one iteration; same numbers
    bfloat16 products  the scan with operands of its products, so also the recurrent weights, rounded to bfloat16

`benchmarks.gpu --part recurrence` measures them against the scan; nothing here is part of the product. The kernel is written for Triton on
CUDA and for Mosaic on TPUs; on other devices it runs in Pallas' interpreter. On CUDA one program computes a trial, since Triton cannot wait
for other programs between two steps: the weights of one layer then have to fit one multiprocessor, 228 kB of shared memory and 256 kB of
registers on an H100 or H200. 128 units take 197 kB in float32, and the 256 units of E's audio network 786 kB, so these are not measured.

Source: Diamos et al. 2016, Persistent RNNs: stashing recurrent weights on-chip, section 3.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from avemo_jax.models.recurrent import gru_recurrence

MOST_UNITS = 128  # of a layer of which the weights fit a multiprocessor
_LEAST_ROWS = 16  # of a tile of a product in Triton
_NUM_GATES = 3
_dot = functools.partial(jnp.dot, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)


def _forward_kernel(x_ref, weights_ref, bias_ref, mask_ref, states_ref, before_ref, z_ref, r_ref, inner_ref, candidate_ref):
    update, reset, new = (weights_ref[gate] for gate in range(_NUM_GATES))  # read once, used by all steps
    bias = bias_ref[0][None, :]

    def step(index, state):
        is_real = mask_ref[index][:, None] > 0
        z = jax.nn.sigmoid(x_ref[0, index] + _dot(state, update))
        r = jax.nn.sigmoid(x_ref[1, index] + _dot(state, reset))
        inner = _dot(state, new) + bias
        candidate = jnp.tanh(x_ref[2, index] + r * inner)
        after = jnp.where(is_real, candidate + z * (state - candidate), state)
        refs = (states_ref, before_ref, z_ref, r_ref, inner_ref, candidate_ref)
        for ref, value in zip(refs, (after, state, z, r, inner, candidate), strict=True):
            ref[index] = value
        return after

    jax.lax.fori_loop(0, states_ref.shape[0], step, jnp.zeros(states_ref.shape[1:], jnp.float32))


def _backward_kernel(gradient_ref, before_ref, z_ref, r_ref, inner_ref, candidate_ref, weights_ref, mask_ref, d_gates_ref, d_candidate_ref):
    update, reset, new = (weights_ref[gate] for gate in range(_NUM_GATES))  # transposed
    num_steps = gradient_ref.shape[0]

    def step(number, d_state):
        index = num_steps - 1 - number
        is_real = mask_ref[index][:, None] > 0
        before, z, r, inner, candidate = (ref[index] for ref in (before_ref, z_ref, r_ref, inner_ref, candidate_ref))
        d_state = d_state + gradient_ref[index]
        d_after = jnp.where(is_real, d_state, 0.0)
        d_candidate = d_after * (1 - z) * (1 - candidate * candidate)
        d_z = d_after * (before - candidate) * z * (1 - z)
        d_r = d_candidate * inner * r * (1 - r)
        d_inner = d_candidate * r
        for gate, value in enumerate((d_z, d_r, d_inner)):
            d_gates_ref[gate, index] = value
        d_candidate_ref[index] = d_candidate
        return jnp.where(is_real, d_after * z, d_state) + (_dot(d_z, update) + _dot(d_r, reset) + _dot(d_inner, new))

    jax.lax.fori_loop(0, num_steps, step, jnp.zeros(gradient_ref.shape[1:], jnp.float32))


def _call(kernel: Any, inputs: list[jax.Array], outputs: list[tuple[int, ...]], backend: str) -> list[jax.Array]:
    """Run a kernel on the whole arrays; `backend` is "triton", "mosaic" or "interpreter"."""
    options: dict[str, Any] = {"interpret": backend == "interpreter"}
    if backend == "triton":
        from jax.experimental.pallas import triton

        options["compiler_params"] = triton.CompilerParams(num_warps=8, num_stages=1)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in outputs]
    return pl.pallas_call(kernel, out_shape=shapes, **options)(*inputs)


def _by_platform(kernel: Any, inputs: list[jax.Array], outputs: list[tuple[int, ...]]) -> list[jax.Array]:
    """Run a kernel as the device that the program is lowered for needs it."""

    def on(backend: str) -> Any:
        return lambda *arrays: tuple(_call(kernel, list(arrays), outputs, backend))

    return list(jax.lax.platform_dependent(*inputs, cuda=on("triton"), tpu=on("mosaic"), default=on("interpreter")))


def _padded(size: int, *, least: int = 1) -> int:
    """Return the next power of two: Triton takes no other sizes."""
    return max(least, 1 << (size - 1).bit_length())


def _wide(array: jax.Array, num_rows: int, num_units: int) -> jax.Array:
    """Return (..., B, H) with zeros up to the sizes that the kernel takes; zeros stay zeros, since their weights are zeros too."""
    pads = [(0, 0)] * (array.ndim - 2) + [(0, num_rows - array.shape[-2]), (0, num_units - array.shape[-1])]
    return jnp.pad(array, pads)


@jax.custom_vjp
def pallas_recurrence(projected: jax.Array, kernel: jax.Array, bias: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the states (T, B, H) of `gru_recurrence`, whose arguments these are, computed by one kernel."""
    return _pallas_forward(projected, kernel, bias, mask)[0]


def _pallas_forward(projected: jax.Array, kernel: jax.Array, bias: jax.Array, mask: jax.Array):
    num_steps, num_rows, _ = projected.shape
    units = kernel.shape[0]
    rows, width = _padded(num_rows, least=_LEAST_ROWS), _padded(units, least=_LEAST_ROWS)
    gates = _wide(jnp.moveaxis(projected.reshape(num_steps, num_rows, _NUM_GATES, units), 2, 0), rows, width)
    weights = _wide(jnp.moveaxis(kernel.reshape(units, _NUM_GATES, units), 1, 0), width, width)
    wide_bias = jnp.pad(bias, (0, width - units))[None]
    is_real = jnp.pad(mask.astype(jnp.float32), ((0, 0), (0, rows - num_rows)))
    found = _by_platform(_forward_kernel, [gates, weights, wide_bias, is_real], [(num_steps, rows, width)] * 6)
    states, *residuals = (one[:, :num_rows, :units] for one in found)
    return states, (*residuals, kernel, mask)


def _pallas_backward(residuals, gradient):
    before, z, r, inner, candidate, kernel, mask = residuals
    num_steps, num_rows, units = gradient.shape
    rows, width = _padded(num_rows, least=_LEAST_ROWS), _padded(units, least=_LEAST_ROWS)
    transposed = _wide(jnp.moveaxis(kernel.reshape(units, _NUM_GATES, units), 1, 0).swapaxes(1, 2), width, width)
    is_real = jnp.pad(mask.astype(jnp.float32), ((0, 0), (0, rows - num_rows)))
    inputs = [_wide(one, rows, width) for one in (gradient, before, z, r, inner, candidate)]
    outputs = [(_NUM_GATES, num_steps, rows, width), (num_steps, rows, width)]
    d_gates, d_candidate = _by_platform(_backward_kernel, [*inputs, transposed, is_real], outputs)
    d_recurrent = jnp.moveaxis(d_gates[:, :, :num_rows, :units], 0, 2).reshape(num_steps, num_rows, _NUM_GATES * units)
    d_projected = jnp.concatenate([d_recurrent[..., : 2 * units], d_candidate[:, :num_rows, :units]], axis=-1)
    return d_projected, jnp.einsum("tbh,tbg->hg", before, d_recurrent), d_recurrent[..., 2 * units :].sum((0, 1)), None


pallas_recurrence.defvjp(_pallas_forward, _pallas_backward)


Recurrence = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


CANDIDATES = ("scan", "4 steps unrolled", "bfloat16 products", "pallas")


def gradients(name: str) -> Callable[..., Any]:
    """Return a compiled function of (R, T, B, 3H), (R, H, 3H), (R, H) and a mask (T, B): loss and gradients of R trials by a candidate."""
    recurrence: Recurrence = pallas_recurrence if name == "pallas" else gru_recurrence
    precision = "BF16_BF16_F32" if name == "bfloat16 products" else "float32"
    scan = functools.partial(jax.lax.scan, unroll=4) if name == "4 steps unrolled" else jax.lax.scan

    def loss(projected: jax.Array, kernel: jax.Array, bias: jax.Array, mask: jax.Array) -> jax.Array:
        return jnp.square(recurrence(projected, kernel, bias, mask)).mean()

    of_trials = jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1, 2)), (0, 0, 0, None)))

    def run(*arrays: jax.Array) -> Any:
        # The product's scan has no argument for this, and none is added for what has not been measured to help.
        with jax.default_matmul_precision(precision), mock.patch.object(jax.lax, "scan", scan):
            return of_trials(*arrays)

    return run
