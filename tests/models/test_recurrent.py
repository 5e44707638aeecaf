import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.recurrent import GRU, LSTM, RecurrentStack

LAYERS = [GRU(5), GRU(5, reset_after=False), LSTM(5), RecurrentStack("gru", (5, 5), bidirectional=True)]
IDS = ["gru", "gru_reset_before", "lstm", "bidirectional_stack"]


def _inputs(num_steps=6, seed=0):
    x = np.random.default_rng(seed).normal(size=(3, num_steps, 4)).astype(np.float32)
    mask = np.arange(num_steps) < np.array([num_steps, 4, 1])[:, None]
    return x, mask


@pytest.mark.parametrize("reset_after", [True, False])
def test_two_steps_of_one_unit_by_hand(reset_after):
    params = {
        "kernel": jnp.array([[0.0, 1.0, 0.5]]),
        "recurrent_kernel": jnp.array([[0.4, -0.2, 0.6]]),
        "bias": jnp.array([0.1, 0.0, 0.2]),
    }
    if reset_after:
        params["recurrent_bias"] = jnp.array([-0.8])
    x = jnp.array([[[1.0], [-1.0]]])
    outputs, last = GRU(1, reset_after).apply({"params": params}, x, jnp.ones((1, 2), bool))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    h = 0.0
    for value in (1.0, -1.0):
        z, r = sigmoid(0.1 + 0.4 * h), sigmoid(value - 0.2 * h)
        inner = r * (0.6 * h - 0.8) if reset_after else 0.6 * (r * h)
        h = z * h + (1 - z) * np.tanh(0.5 * value + 0.2 + inner)
    np.testing.assert_allclose(last, [[h]], rtol=1e-6)
    np.testing.assert_allclose(outputs[:, -1], last)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_custom_backward_pass_gives_the_gradient(reverse):
    """It is compared with finite differences of the forward pass, with masks."""
    layer, (x, mask) = GRU(5, reverse=reverse), _inputs()
    variables = filled_variables(layer, x, mask)
    weight = np.random.default_rng(1).normal(size=(3, 6, 5)).astype(np.float32)

    def loss(params, x):
        outputs, last = layer.apply({"params": params}, x, mask)
        return (outputs * weight).sum() + (last * weight[:, 0]).sum()

    jax.test_util.check_grads(loss, (variables["params"], jnp.asarray(x)), order=1, modes=["rev"], atol=2e-2, rtol=2e-2)


def test_lstm_step_by_hand():
    params = {
        "kernel": jnp.array([[0.5, 0.2, 1.0, -0.3]]),
        "recurrent_kernel": jnp.zeros((1, 4)),
        "bias": jnp.array([0.1, 1.0, 0.0, 0.4]),
    }
    _, last = LSTM(1).apply({"params": params}, jnp.array([[[2.0]]]), jnp.ones((1, 1), bool))
    # i = sigmoid(1.1), g = tanh(2), o = sigmoid(-0.2); the cell before it is zero
    cell = np.tanh(2) / (1 + np.exp(-1.1))
    np.testing.assert_allclose(last, [[np.tanh(cell) / (1 + np.exp(0.2))]], rtol=1e-5)


def test_a_linear_lstm_by_hand():
    params = {
        "kernel": jnp.array([[0.5, 0.2, 1.0, -0.3]]),
        "recurrent_kernel": jnp.array([[0.3, -0.4, 0.7, 0.6]]),
        "bias": jnp.array([0.1, 1.0, 0.05, 0.4]),
    }
    outputs, last = LSTM(1, activation="linear").apply({"params": params}, jnp.array([[[2.0], [3.0]]]), jnp.ones((1, 2), bool))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    first_cell = sigmoid(1.1) * 2.05
    first = sigmoid(-0.2) * first_cell
    cell = sigmoid(1.6 - 0.4 * first) * first_cell + sigmoid(1.6 + 0.3 * first) * (3.05 + 0.7 * first)
    expected = sigmoid(-0.5 + 0.6 * first) * cell
    np.testing.assert_allclose(outputs, [[[first], [expected]]], rtol=1e-5)
    np.testing.assert_allclose(last, [[expected]], rtol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_layers_of_different_widths_are_stacked(cell):
    (x, mask), make = _inputs(), {"gru": GRU, "lstm": LSTM}[cell]
    stack = RecurrentStack(cell, (7, 3))
    params = filled_variables(stack, x, mask)["params"]
    assert {name: layer["recurrent_kernel"].shape[0] for name, layer in params.items()} == {"layer0": 7, "layer1": 3}
    below, _ = make(7).apply({"params": params["layer0"]}, x, mask)
    expected, expected_last = make(3).apply({"params": params["layer1"]}, below, mask)
    outputs, last = stack.apply({"params": params}, x, mask)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(last, expected_last, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_padding_changes_nothing(layer):
    x, mask = _inputs()
    variables = filled_variables(layer, x, mask)
    outputs, last = jax.jit(layer.apply)(variables, x, mask)
    longer = np.concatenate([np.where(mask[..., None], x, np.float32(7)), np.full((3, 5, 4), -9, np.float32)], axis=1)
    longer_mask = np.pad(mask, ((0, 0), (0, 5)))
    longer_outputs, longer_last = jax.jit(layer.apply)(variables, longer, longer_mask)
    np.testing.assert_allclose(longer_last, last, atol=1e-6)
    np.testing.assert_allclose(longer_outputs[:, :6], outputs, atol=1e-6)
    assert not longer_outputs[:, 6:].any()
    assert not outputs[2, 1:].any()


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_masking_equals_slicing(layer):
    x, mask = _inputs()
    variables = filled_variables(layer, x, mask)
    outputs, last = jax.jit(layer.apply)(variables, x, mask)
    alone, alone_last = jax.jit(layer.apply)(variables, x[1:2, :4], np.ones((1, 4), bool))
    np.testing.assert_allclose(outputs[1, :4], alone[0], atol=1e-6)
    np.testing.assert_allclose(last[1], alone_last[0], atol=1e-6)


def test_masked_steps_between_real_ones_are_skipped():
    x, _ = _inputs()
    mask = np.array([[True, False, True, True, False, True]] * 3)
    layer = RecurrentStack("gru", (5,), bidirectional=True)
    variables = filled_variables(layer, x, mask)
    _, last = jax.jit(layer.apply)(variables, x, mask)
    _, dense_last = jax.jit(layer.apply)(variables, x[:, [0, 2, 3, 5]], np.ones((3, 4), bool))
    np.testing.assert_allclose(last, dense_last, atol=1e-6)


def test_reverse_equals_forward_on_reversed_steps():
    x, _ = _inputs()
    mask = jnp.ones((3, 6), bool)
    variables = filled_variables(GRU(5), x, mask)
    outputs, last = GRU(5, reverse=True).apply(variables, x, mask)
    expected, expected_last = GRU(5).apply(variables, x[:, ::-1], mask)
    np.testing.assert_allclose(outputs, expected[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(last, expected_last, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_gradients_reach_every_parameter_and_are_finite_without_real_steps(layer):
    x, mask = _inputs()
    variables = filled_variables(layer, x, mask)

    def loss(variables, mask):
        outputs, last = jax.jit(layer.apply)(variables, x, mask)
        return jnp.sum(outputs**2) + jnp.sum(last**2)

    gradient = jax.jit(jax.grad(loss))
    dead = [path for path, leaf in jax.tree.leaves_with_path(gradient(variables, mask)) if not np.any(leaf)]
    assert dead == []
    empty = gradient(variables, np.zeros_like(mask))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(empty))


def test_between_is_applied_after_all_layers_except_the_top_one():
    x, mask = _inputs()
    stack = RecurrentStack("lstm", (5, 5, 5))
    seen = []
    variables = filled_variables(stack, x, mask)
    _, last = stack.apply(variables, x, mask, lambda outputs, index: seen.append(index) or outputs * 0)
    assert seen == [0, 1]
    top = {"params": variables["params"]["layer2"]}
    np.testing.assert_allclose(last, LSTM(5).apply(top, jnp.zeros((3, 6, 5)), mask)[1], atol=1e-6)


def test_impossible_stacks_are_refused_with_a_reason():
    with pytest.raises(ValueError, match=r"activation of a gru .*'linear' for an lstm alone; got 'linear'"):
        RecurrentStack("gru", (5,), activation="linear").init(jax.random.key(0), *_inputs())
    with pytest.raises(ValueError, match=r"at least one recurrent layer, got units=\(\)"):
        RecurrentStack("gru", ()).init(jax.random.key(0), *_inputs())
    with pytest.raises(ValueError, match=r"'gru' or 'lstm', got 'rnn'"):
        RecurrentStack("rnn", (5,)).init(jax.random.key(0), *_inputs())


# Parity with torch and Keras


def _update_first(weights: np.ndarray) -> np.ndarray:
    """Return weights with the gate order r, z, n along the last axis changed to z, r, n."""
    r, z, n = np.split(weights, 3, axis=-1)
    return np.concatenate([z, r, n], axis=-1)


def gru_from_torch(weight_ih, weight_hh, bias_ih, bias_hh):
    """Return the parameters of `GRU` for torch's (3H, D), (3H, H), (3H,), (3H,) with gates r, z, n."""
    bias_ih, bias_hh = _update_first(bias_ih), _update_first(bias_hh)
    units = len(bias_ih) // 3
    return {
        "kernel": _update_first(weight_ih.T),
        "recurrent_kernel": _update_first(weight_hh.T),
        "bias": bias_ih + np.concatenate([bias_hh[: 2 * units], np.zeros(units, np.float32)]),
        "recurrent_bias": bias_hh[2 * units :],
    }


def lstm_from_torch(weight_ih, weight_hh, bias_ih, bias_hh):
    """Return the parameters of `LSTM` for torch's (4H, D), (4H, H), (4H,), (4H,) with gates i, f, g, o."""
    return {"kernel": weight_ih.T, "recurrent_kernel": weight_hh.T, "bias": bias_ih + bias_hh}


def gru_from_keras(kernel, recurrent_kernel, bias):
    """Return the parameters of `GRU` for Keras' (D, 3H), (H, 3H), and (2, 3H) with reset_after or (3H,) without."""
    params = {"kernel": kernel, "recurrent_kernel": recurrent_kernel}
    if bias.ndim == 1:
        return params | {"bias": bias}
    units = bias.shape[1] // 3
    return params | {
        "bias": bias[0] + np.concatenate([bias[1, : 2 * units], np.zeros(units, np.float32)]),
        "recurrent_bias": bias[1, 2 * units :],
    }


@pytest.mark.golden
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_torch(cell, num_layers, bidirectional):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    convert, make = {"gru": (gru_from_torch, torch.nn.GRU), "lstm": (lstm_from_torch, torch.nn.LSTM)}[cell]
    reference = make(13, 24, num_layers, batch_first=True, bidirectional=bidirectional)
    params = {}
    for index in range(num_layers):
        for ours, theirs in {"": "", "_reverse": "_reverse"}.items() if bidirectional else [("", "")]:
            names = [f"{name}_l{index}{theirs}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            params[f"layer{index}{ours}"] = convert(*(getattr(reference, name).detach().numpy() for name in names))
    x = np.random.default_rng(0).normal(size=(4, 30, 13)).astype(np.float32)
    lengths = np.array([30, 17, 5, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(lengths), batch_first=True)
    with torch.no_grad():
        packed_outputs, state = reference(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_outputs, batch_first=True)
    hidden = state[0] if cell == "lstm" else state
    expected_last = np.concatenate(list(hidden.numpy()[-(1 + bidirectional) :]), axis=-1)

    stack = RecurrentStack(cell, (24,) * num_layers, bidirectional)
    outputs, last = stack.apply({"params": params}, x, jnp.arange(30) < lengths[:, None])
    np.testing.assert_allclose(outputs, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(last, expected_last, atol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_equals_keras(reset_after):
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layer = keras.layers.GRU(24, reset_after=reset_after, return_sequences=True, return_state=True, bias_initializer="random_normal")
    x = np.random.default_rng(0).normal(size=(4, 30, 13)).astype(np.float32)
    mask = np.arange(30) < np.array([30, 17, 5, 1])[:, None]
    expected, expected_last = (np.asarray(value) for value in layer(x, mask=mask))
    params = gru_from_keras(*(np.asarray(weight) for weight in layer.get_weights()))
    outputs, last = GRU(24, reset_after).apply({"params": params}, x, mask)
    np.testing.assert_allclose(outputs, np.where(mask[..., None], expected, 0), atol=1e-5)
    np.testing.assert_allclose(last, expected_last, atol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_lstm_equals_keras(activation):
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layer = keras.layers.LSTM(24, activation=activation, return_sequences=True, return_state=True, bias_initializer="random_normal")
    x = np.random.default_rng(0).normal(size=(4, 30, 13)).astype(np.float32)
    mask = np.arange(30) < np.array([30, 17, 5, 1])[:, None]
    expected, expected_last, _ = (np.asarray(value) for value in layer(x, mask=mask))
    kernel, recurrent_kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
    params = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    outputs, last = LSTM(24, activation=activation).apply({"params": params}, x, mask)
    scale = np.abs(expected).max()  # without tanh the values grow
    np.testing.assert_allclose(outputs, np.where(mask[..., None], expected, 0), atol=1e-5 * scale)
    np.testing.assert_allclose(last, expected_last, atol=1e-5 * scale)


DRAWN_SIDE_BY_SIDE = """
import jax
import numpy as np
from avemo_jax.models.recurrent import RecurrentStack
x, mask = np.zeros((2, 3, 8), np.float32), np.ones((2, 3), bool)
init = lambda key: RecurrentStack("gru", (64, 64), bidirectional=True).init(key, x, mask)
keys = jax.random.split(jax.random.key(0), 10)
beside, alone = jax.jit(jax.vmap(init))(keys), jax.jit(init)(keys[7])
assert all(jax.tree.leaves(jax.tree.map(lambda many, one: (many[7] == one).all(), beside, alone)))
print("drawn")
"""


def test_weights_of_many_trials_are_drawn_side_by_side():
    """In a separate process with two threads, on which jaxlib's batched QR decomposition would deadlock."""
    run = subprocess.run([sys.executable, "-c", DRAWN_SIDE_BY_SIDE], capture_output=True, text=True, timeout=120)
    assert run.stdout == "drawn\n", run.stderr


def test_the_forget_gate_of_an_lstm_starts_open():
    variables = LSTM(2).init(jax.random.key(0), jnp.zeros((1, 1, 3)), jnp.ones((1, 1), bool))
    assert variables["params"]["bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
