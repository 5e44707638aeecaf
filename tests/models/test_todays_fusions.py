"""Gated fusion, attention bottlenecks and the cross-modal transformer: by hand, with missing streams, with padding, and in training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from filled_variables import filled_variables

from avemo_jax.models.fusion import FUSIONS, FusionSpec
from avemo_jax.models.fusion.gated import GatedFusion
from avemo_jax.models.transformer import PreNormBlock

KINDS = ("gated", "bottleneck", "cross_modal")
THREE, WIDTHS, LENGTHS = ("text", "audio", "video"), (3, 2, 4), (5, 3, 6)
# Streams see each other through bottleneck tokens from the second layer on.
SPECS = {kind: FusionSpec(kind=kind, width=4, num_layers=1 + (kind == "bottleneck"), num_heads=2, num_bottlenecks=2) for kind in KINDS}


@functools.cache
def _apply(module):
    return jax.jit(lambda params, values, masks: module.apply({"params": params}, values, masks, jnp.ones(2, bool), train=False)[0])


def _streams(kind):
    """Return values and masks of three streams of two examples: vectors, or steps of which the second example has fewer."""
    rng = np.random.default_rng(0)
    shapes = [(2, width) if FUSIONS[kind].pooled else (2, length, width) for width, length in zip(WIDTHS, LENGTHS, strict=True)]
    masks = [np.arange(length) < np.array([[length], [length - 1]]) for length in LENGTHS]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes], masks


@pytest.fixture(scope="module")
def parameters():
    """Return kind -> its parameters for three streams, none of them zero."""
    found = {}
    for kind, spec in SPECS.items():
        values, masks = _streams(kind)
        found[kind] = filled_variables(spec.module(THREE, "fusion"), values, masks, jnp.ones(2, bool), train=False)["params"]
    return found


def _without_text(kind, params):
    """Return the parameters that a fusion of audio and video alone has, from those of three streams."""
    kept = {name: own for name, own in params.items() if "text" not in name}
    if kind == "gated":
        rows, units = params["gate"]["kernel"][WIDTHS[0] :], 4
        # Each unit has a score for each stream, that of text first.
        kept["gate"] = {
            "kernel": rows.reshape(-1, units, 3)[:, :, 1:].reshape(-1, 2 * units),
            "bias": params["gate"]["bias"].reshape(units, 3)[:, 1:].reshape(-1),
        }
    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_stream_equals_its_removal(kind, parameters):
    values, masks = _streams(kind)
    masks[0] = np.zeros_like(masks[0])
    values[0] = 100 * values[0]  # of no effect
    found = _apply(SPECS[kind].module(THREE, "fusion"))(parameters[kind], values, masks)
    two = _apply(SPECS[kind].module(THREE[1:], "fusion"))(_without_text(kind, parameters[kind]), values[1:], masks[1:])
    if kind == "cross_modal":  # the part of the missing stream is zero
        two = jnp.pad(two, ((0, 0), (4, 0)))
    np.testing.assert_allclose(found, two, atol=1e-5)
    assert (np.abs(found - _apply(SPECS[kind].module(THREE, "fusion"))(parameters[kind], *_streams(kind))) > 1e-3).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_without_any_stream_gives_zeros_and_one_stream_is_enough(kind, parameters):
    apply, (values, masks) = _apply(SPECS[kind].module(THREE, "fusion")), _streams(kind)
    nothing = [np.zeros_like(mask) for mask in masks]
    np.testing.assert_array_equal(apply(parameters[kind], values, nothing), 0)
    alone = apply(parameters[kind], values, [*nothing[:2], masks[2]])
    assert np.isfinite(alone).all() and (np.abs(alone).max(axis=1) > 1e-3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind, parameters):
    apply, (values, masks) = _apply(SPECS[kind].module(THREE, "fusion")), _streams(kind)
    longer_masks = [np.pad(mask, ((0, 0), (0, 3))) for mask in masks]
    longer = values if FUSIONS[kind].pooled else [np.pad(x, ((0, 0), (0, 3), (0, 0)), constant_values=7.0) for x in values]
    np.testing.assert_allclose(apply(parameters[kind], longer, longer_masks), apply(parameters[kind], values, masks), atol=1e-5)
    masked = values if FUSIONS[kind].pooled else [np.where(mask[..., None], x, 50.0) for x, mask in zip(values, masks, strict=True)]
    np.testing.assert_allclose(apply(parameters[kind], masked, masks), apply(parameters[kind], values, masks), atol=1e-5)


def test_two_gated_streams_are_the_published_unit():
    (first, second, _), (one, other, _) = _streams("gated")
    module = GatedFusion(("text", "audio"), 4)
    params = filled_variables(module, [first, second], [one, other], jnp.ones(2, bool), train=False)["params"]
    scores = np.concatenate([first, second], axis=1) @ params["gate"]["kernel"] + params["gate"]["bias"]
    gate = 1 / (1 + np.exp(-(scores[:, 0::2] - scores[:, 1::2])))  # z = sigmoid(W [x_1, x_2]) with W the difference of both scores
    hidden = [np.tanh(x @ params[name]["kernel"] + params[name]["bias"]) for name, x in (("text", first), ("audio", second))]
    expected = gate * hidden[0] + (1 - gate) * hidden[1]
    np.testing.assert_allclose(_apply(module)(params, [first, second], [one, other]), expected, rtol=1e-5)


@pytest.mark.parametrize(("kind", "num_layers", "reached"), [("bottleneck", 1, False), ("bottleneck", 2, True), ("cross_modal", 1, True)])
def test_streams_see_each_other(kind, num_layers, reached, parameters):
    """The part that another stream reads: through the bottleneck tokens from the second layer on, in the cross-modal one at once."""
    module = FusionSpec(kind=kind, width=4, num_layers=num_layers, num_heads=2, num_bottlenecks=2).module(THREE, "fusion")
    values, masks = _streams(kind)
    changed = [values[0] + 1, *values[1:]]
    # The means over streams are linear, so a stream that others do not see adds the same to the vector whatever these hold.
    turned = [values[0], -values[1], values[2]]
    found = [_apply(module)(parameters[kind], given, masks) for given in (values, changed, turned, [changed[0], *turned[1:]])]
    differs = np.abs((found[1] - found[0]) - (found[3] - found[2])).max() > 1e-3
    assert differs == reached


def test_a_block_attends_to_its_source_alone():
    """With a source, a step sees no other step of its own stream, and masked steps of the source have no effect."""
    block, rng = PreNormBlock(2, 8), np.random.default_rng(0)
    x, source = rng.normal(size=(1, 3, 4)).astype(np.float32), rng.normal(size=(1, 5, 4)).astype(np.float32)
    mask = np.arange(5)[None] < 4
    variables = filled_variables(block, x, mask, None, source)
    apply = jax.jit(lambda x, source: block.apply(variables, x, mask, source=source))
    one = apply(x, source)
    np.testing.assert_allclose(apply(x[:, ::-1], source)[:, ::-1], one, atol=1e-5)
    np.testing.assert_allclose(apply(np.concatenate([x[:, :1], 9 * x[:, 1:]], axis=1), source)[:, 0], one[:, 0], atol=1e-5)
    np.testing.assert_allclose(apply(x, np.where(mask[..., None], source, 9.0)), one, atol=1e-5)
    assert (np.abs(apply(x, source + np.float32([0, 0, 0, 1])) - one) > 1e-3).any()


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match=r"width that its 3 heads share equally, got 4; set --config.fusion.width"):
        FusionSpec(kind="bottleneck", width=4, num_heads=3)
    FusionSpec(kind="gated", width=4, num_heads=3)  # has no heads


@pytest.mark.parametrize("kind", KINDS)
def test_four_clips_are_learned_by_heart_with_a_gradient_in_each_stream(kind):
    """The labels are those of an exclusive or of two streams, which neither knows alone; then one of them is missing in the first clip."""
    module, rng = SPECS[kind].module(THREE[:2], "fusion"), np.random.default_rng(0)
    sides = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    label = jnp.asarray([0, 1, 1, 0])
    masks = [np.ones((4, length), bool) for length in LENGTHS[:2]]
    values = []
    for index, (units, length) in enumerate(zip(WIDTHS[:2], LENGTHS, strict=False)):
        shape = (4, units) if FUSIONS[kind].pooled else (4, length, units)
        side = sides[:, index].reshape(4, *(1,) * (len(shape) - 1))
        values.append((side + 0.1 * rng.normal(size=shape)).astype(np.float32))
    fusion = filled_variables(module, values, masks, jnp.ones(4, bool), train=True)["params"]
    width = 8 if kind == "cross_modal" else 4
    start = (fusion, {"kernel": jnp.asarray(rng.normal(size=(width, 2)), jnp.float32), "bias": jnp.zeros(2)})
    optimizer = optax.adam(0.03)

    def loss_of(params, values, masks):
        vector, _ = module.apply({"params": params[0]}, values, masks, jnp.ones(4, bool), train=True)
        return optax.softmax_cross_entropy_with_integer_labels(vector @ params[1]["kernel"] + params[1]["bias"], label).mean()

    @jax.jit
    def train(params, masks):
        def step(carry, _):
            params, state = carry
            loss, gradient = jax.value_and_grad(loss_of, argnums=(0, 1))(params, values, masks)
            updates, state = optimizer.update(gradient[0], state)
            return (optax.apply_updates(params, updates), state), (loss, gradient[1])

        return jax.lax.scan(step, (params, optimizer.init(params)), length=200)[1]

    losses, of_values = train(start, masks)
    assert losses[-1] < 0.05 < losses[0]
    assert all((np.abs(one[0]).max(axis=tuple(range(1, one[0].ndim))) > 1e-6).all() for one in of_values)
    _, of_values = train(start, [masks[0], masks[1] & (np.arange(4) > 0)[:, None]])
    assert (of_values[1][0][0] == 0).all() and (of_values[1][0][1] != 0).any()  # none through the stream that the clip lacks
