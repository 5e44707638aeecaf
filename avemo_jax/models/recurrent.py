"""GRU and LSTM layers: the input projection of all steps as one matrix product, then a scan over the recurrence.

A padded step leaves the state unchanged and outputs zeros, so the reversed direction of a bidirectional layer begins at the last real step,
and no output depends on the padding of the batch.

Layout of the parameters of one direction with D inputs and H units:

    gru    kernel (D, 3H)   recurrent_kernel (H, 3H)   bias (3H,)   recurrent_bias (H,)   gates: update z, reset r, candidate n
    lstm   kernel (D, 4H)   recurrent_kernel (H, 4H)   bias (4H,)                         gates: input i, forget f, cell g, output o

Keras has the same gate order; torch has r, z, n for the GRU. Both have a second bias of full width; except for the part inside the reset
product (`recurrent_bias`) it only adds to the first, and is left out here.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from avemo_jax.models.by_platform import by_platform

ACTIVATIONS = ("tanh", "linear")


def _orthogonal_gates(num_gates: int) -> Callable[..., jax.Array]:
    """Return an initialiser with an orthogonal recurrent matrix for each gate."""

    def init(key, shape, dtype=jnp.float32):
        num_units = shape[0]

        # Sequential over trials: jaxlib 0.10 distributes a batch of QR decompositions over the same thread pool that runs them and waits
        # there, so that as many of them as there are threads deadlock.
        @jax.custom_batching.sequential_vmap
        def orthogonal(gate_key):
            return nn.initializers.orthogonal()(gate_key, (num_units, num_units), dtype)

        return jnp.concatenate([orthogonal(gate_key) for gate_key in jax.random.split(key, num_gates)], axis=1)

    return init


def _scan_steps(step, carry, projected: jax.Array, mask: jax.Array, reverse: bool):
    """Scan `step(carry, x) -> carry` over axis 1 of projected (B, T, G), with an unchanged carry where mask (B, T) is False.

    Return the carry after the last real step and the first element of the carry after each step, (B, T, H), zero at padded steps.
    """

    def masked_step(carry, inputs):
        x, real = inputs
        after = step(carry, x)
        after = tuple(jnp.where(real[:, None], new, old) for new, old in zip(after, carry, strict=True))
        return after, after[0]

    inputs = (projected.swapaxes(0, 1), mask.swapaxes(0, 1))
    carry, outputs = jax.lax.scan(masked_step, carry, inputs, reverse=reverse)
    return carry, jnp.where(mask[:, :, None], outputs.swapaxes(0, 1), 0)


def _unfused(x: jax.Array, index: jax.Array) -> jax.Array:
    """Return a step's row of a scanned array, not fused with the operations that use it.

    In a step that stores nothing for a backward pass, XLA on CPU would fuse the row and compute its address again for every element, in
    loops that are then not vectorised. XLA removes an optimization barrier before fusion, but not a condition that it cannot know to be
    always True.
    """

    def on_cpu(x, index):
        return jax.lax.cond(index >= 0, lambda x: x, jnp.zeros_like, x)

    return by_platform(x, index, cpu=on_cpu, general=lambda x, index: x)


@jax.custom_vjp
def gru_recurrence(projected: jax.Array, kernel: jax.Array, bias: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the states (T, B, H) of a GRU with the reset gate after the recurrent product; a padded step repeats the state before it.

    It has a custom backward pass: autodiff of the scan would add a product to the kernel's gradient at every step; here the steps store
    their gate gradients, and the kernel's gradient is one product over all of them.

    Args:
      projected: (T, B, 3H) float32, input projection with its bias.
      kernel: (H, 3H), gates update, reset, candidate.
      bias: (H,), inside the candidate's reset product.
      mask: (T, B) bool.
    """
    return _gru_forward(projected, kernel, bias, mask, row=_unfused)[0]


def _gru_forward(projected, kernel, bias, mask, row=lambda x, index: x):
    units = kernel.shape[0]

    def step(state, inputs):
        index, x, real = inputs
        x = row(x, index)
        recurrent = state @ kernel
        z, r = jnp.split(jax.nn.sigmoid(x[:, : 2 * units] + recurrent[:, : 2 * units]), 2, axis=-1)
        inner = recurrent[:, 2 * units :] + bias
        candidate = jnp.tanh(x[:, 2 * units :] + r * inner)
        after = jnp.where(real[:, None], candidate + z * (state - candidate), state)
        return after, (after, state, z, r, inner, candidate)

    start = jnp.zeros((projected.shape[1], units), projected.dtype)
    _, (states, *residuals) = jax.lax.scan(step, start, (jnp.arange(mask.shape[0]), projected, mask))
    return states, (*residuals, kernel, mask)


def _gru_backward(residuals, gradient):
    before, z, r, inner, candidate, kernel, mask = residuals
    units = kernel.shape[0]

    def step(d_state, inputs):
        d_output, before, z, r, inner, candidate, real = inputs
        d_state = d_state + d_output
        d_after = jnp.where(real[:, None], d_state, 0)
        d_candidate = d_after * (1 - z) * (1 - candidate * candidate)
        d_z = d_after * (before - candidate) * z * (1 - z)
        d_r = d_candidate * inner * r * (1 - r)
        d_recurrent = jnp.concatenate([d_z, d_r, d_candidate * r], axis=-1)
        d_before = jnp.where(real[:, None], d_after * z, d_state) + d_recurrent @ kernel.T
        return d_before, (d_recurrent, d_candidate)

    inputs = (gradient, before, z, r, inner, candidate, mask)
    _, (d_recurrent, d_candidate) = jax.lax.scan(step, jnp.zeros_like(before[0]), inputs, reverse=True)
    d_projected = jnp.concatenate([d_recurrent[..., : 2 * units], d_candidate], axis=-1)
    d_kernel = jnp.einsum("tbh,tbg->hg", before, d_recurrent)
    return d_projected, d_kernel, d_recurrent[..., 2 * units :].sum((0, 1)), None


gru_recurrence.defvjp(_gru_forward, _gru_backward)


class GRU(nn.Module):
    """One GRU layer in one direction.

    h_t = z * h_(t-1) + (1 - z) * n with z, r = sigmoid(W x + U h + b) and the candidate n by `reset_after`.

    Source: Cho et al. 2014, arXiv 1406.1078, eq. 5 to 8 (reset_after=False); the thesis of system A, section 4.2.1, prints the
    reset gate outside the recurrent product (reset_after=True), which is also what cuDNN, Keras and torch compute.

    Attributes:
      num_units: H.
      reset_after: True: n = tanh(W x + b + r * (U h + c)), c the recurrent bias; False: n = tanh(W x + b + U (r * h)).
      reverse: run from the last real step to the first.
    """

    num_units: int
    reset_after: bool = True
    reverse: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map x (B, T, D) with mask (B, T) bool to outputs (B, T, H) and the state after the last real step (B, H)."""
        units = self.num_units
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), (x.shape[-1], 3 * units))
        recurrent_kernel = self.param("recurrent_kernel", _orthogonal_gates(3), (units, 3 * units))
        bias = self.param("bias", nn.initializers.zeros, (3 * units,))
        if self.reset_after:
            recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (units,))
            inputs = [jnp.swapaxes(x, 0, 1) @ kernel + bias, mask.T]
            if self.reverse:
                inputs = [one[::-1] for one in inputs]
            states = gru_recurrence(inputs[0], recurrent_kernel, recurrent_bias, inputs[1])
            last = states[-1]
            outputs = jnp.swapaxes(states[::-1] if self.reverse else states, 0, 1)
            return jnp.where(mask[:, :, None], outputs, 0), last

        def step_reset_before(carry, x):
            (h,) = carry
            gates = jax.nn.sigmoid(x[:, : 2 * units] + h @ recurrent_kernel[:, : 2 * units])
            z, r = jnp.split(gates, 2, axis=-1)
            candidate = jnp.tanh(x[:, 2 * units :] + (r * h) @ recurrent_kernel[:, 2 * units :])
            return (candidate + z * (h - candidate),)

        zeros = jnp.zeros((x.shape[0], units), x.dtype)
        (last,), outputs = _scan_steps(step_reset_before, (zeros,), x @ kernel + bias, mask, self.reverse)
        return outputs, last


class LSTM(nn.Module):
    """One LSTM layer in one direction: c_t = f * c_(t-1) + i * tanh(g), h_t = o * tanh(c_t).

    Source: Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000, its bias starting at one (Jozefowicz et al. 2015).

    Attributes:
      num_units: H.
      activation: "tanh", or "linear", which leaves both tanh out (Keras' activation="linear": system C).
      reverse: run from the last real step to the first.
    """

    num_units: int
    reverse: bool = False
    activation: str = "tanh"

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map x (B, T, D) with mask (B, T) bool to outputs (B, T, H) and the state after the last real step (B, H)."""
        units, squash = self.num_units, jnp.tanh if self.activation == "tanh" else lambda value: value
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), (x.shape[-1], 4 * units))
        recurrent_kernel = self.param("recurrent_kernel", _orthogonal_gates(4), (units, 4 * units))
        bias = self.param("bias", lambda _, shape: jnp.zeros(shape).at[units : 2 * units].set(1), (4 * units,))

        def step(carry, x):
            h, cell = carry
            i, f, g, o = jnp.split(x + h @ recurrent_kernel, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * squash(g)
            return jax.nn.sigmoid(o) * squash(cell), cell

        zeros = jnp.zeros((x.shape[0], units), x.dtype)
        (last, _), outputs = _scan_steps(step, (zeros, zeros), x @ kernel + bias, mask, self.reverse)
        return outputs, last


class RecurrentStack(nn.Module):
    """Layers of GRU or LSTM one on the other; submodules `layer0`, `layer1`, ... and, bidirectional, `layer0_reverse`, ...

    Attributes:
      cell: "gru" or "lstm".
      units: H of each layer and direction.
      bidirectional: whether each layer runs in both directions, with outputs concatenated to width 2 H.
      reset_after: see `GRU`.
      activation: activation of LSTM layers, one of ACTIVATIONS; see `LSTM`.
    """

    cell: str
    units: tuple[int, ...]
    bidirectional: bool = False
    reset_after: bool = True
    activation: str = "tanh"

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, between: Callable[[jax.Array, int], jax.Array] | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Map x (B, T, D) with mask (B, T) bool to the top layer's outputs (B, T, D') and its last states (B, D').

        Args:
          between: function of the outputs of every layer except the top one, and its index, before the next layer; None for none.

        Raises:
          ValueError: an unknown cell, a GRU without tanh, or no layer.
        """
        if self.cell not in ("gru", "lstm"):
            raise ValueError(f"expected a recurrent cell 'gru' or 'lstm', got {self.cell!r}")
        if self.activation not in (ACTIVATIONS if self.cell == "lstm" else ("tanh",)):
            raise ValueError(
                f"expected the activation of a {self.cell} among {ACTIVATIONS}, 'linear' for an lstm alone; got {self.activation!r}"
            )
        if not self.units:
            raise ValueError("expected at least one recurrent layer, got units=(); for a stream without any, set context=none")
        for index, num_units in enumerate(self.units):
            if index and between is not None:
                x = between(x, index - 1)
            directions = [self._layer(f"layer{index}", num_units, reverse=False)(x, mask)]
            if self.bidirectional:
                directions.append(self._layer(f"layer{index}_reverse", num_units, reverse=True)(x, mask))
            outputs, states = zip(*directions, strict=True)
            x, last = jnp.concatenate(outputs, axis=-1), jnp.concatenate(states, axis=-1)
        return x, last

    def _layer(self, name: str, num_units: int, reverse: bool) -> nn.Module:
        if self.cell == "gru":
            return GRU(num_units, self.reset_after, reverse, name=name)
        return LSTM(num_units, reverse, self.activation, name=name)
