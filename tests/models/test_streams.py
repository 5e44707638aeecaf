"""Networks with any names and number of streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables
from flax import traverse_util

from avemo_jax.models.emotion_net import BranchSpec, EmotionNet, attention_weights, take_over
from avemo_jax.models.fusion import FUSIONS, FusionSpec

SEQUENCE = BranchSpec(context_units=(4,), dense_units=(8,))
DENSE = BranchSpec(encoder="mlp", encoder_units=(4,), context="none", pooling="mean", dense_units=())
BRANCHES = {"text": SEQUENCE, "video": DENSE, "action_units": SEQUENCE}
FUSED = {
    kind: EmotionNet(5, BRANCHES, FusionSpec(kind=kind, width=3, num_units=4, num_layers=1, num_heads=1, dense_units=(6,)))
    for kind in FUSIONS
}
FUSED["segments"] = EmotionNet(5, BRANCHES, FusionSpec(kind="token_attention", width=3, tokens="segments"))


def batch_of(seed=0):
    """Return four examples with the same steps in all streams; the last one is padding of the batch."""
    rng = np.random.default_rng(seed)
    mask = np.arange(6) < np.array([6, 3, 5, 4])[:, None]
    batch = {name: jnp.asarray(rng.normal(size=(4, 6, 3)), jnp.float32) for name in BRANCHES}
    batch |= {f"{name}_mask": jnp.asarray(mask) for name in BRANCHES}
    batch["text_mask"] = batch["text_mask"].at[1].set(False)  # an example without text
    return batch | {"mask": jnp.array([True, True, True, False])}


@pytest.fixture(scope="module")
def all_variables():
    return {name: filled_variables(net, batch_of(), train=False) for name, net in FUSED.items()}


@pytest.mark.parametrize("name", list(FUSED))
def test_gradients_reach_every_parameter_and_no_padding(name, all_variables):
    net, variables = FUSED[name], all_variables[name]

    @jax.jit
    def run(params, batch):
        def loss(params):
            given = variables | {"params": params}
            logits, _ = net.apply(given, batch, train=True, rngs={"dropout": jax.random.key(5)}, mutable=["batch_stats"])
            return jnp.sum(jnp.where(batch["mask"][:, None], jnp.square(logits - jnp.sin(jnp.arange(5.0))), 0)), logits

        return jax.value_and_grad(loss, has_aux=True)(params)

    batch = batch_of()
    (_, logits), gradients = run(variables["params"], batch)
    assert logits.shape == (4, 5)
    assert [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(gradients) if not jnp.any(leaf)] == []
    dirty = batch | {stream: jnp.where(batch[f"{stream}_mask"][..., None], batch[stream], jnp.nan) for stream in BRANCHES}
    (_, again), same = run(variables["params"], dirty)
    np.testing.assert_allclose(again[:3], logits[:3], atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), same, gradients)


@pytest.mark.parametrize("name", list(FUSED))
def test_examples_are_independent_of_their_order(name, all_variables):
    apply = jax.jit(lambda batch: FUSED[name].apply(all_variables[name], batch, train=False))
    batch, order = batch_of(), jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(apply({key: value[order] for key, value in batch.items()}), apply(batch)[order], atol=1e-5)


def test_every_stream_has_an_effect_and_the_net_fixes_their_order(all_variables):
    net, variables, batch = FUSED["concat"], all_variables["concat"], batch_of()
    logits = net.apply(variables, batch, train=False)
    for name in BRANCHES:
        other = net.apply(variables, batch | {name: batch[name] + 1}, train=False)
        assert (np.abs(other - logits)[0] > 1e-4).any()
    turned = EmotionNet(5, dict(reversed(BRANCHES.items())), net.fusion)
    assert turned.stream_names == ("action_units", "video", "text")
    assert (np.abs(turned.apply(variables, batch, train=False) - logits) > 1e-4).any()  # the dense layer gets the vectors in another order
    again = EmotionNet(5, tuple(BRANCHES.items()), net.fusion)
    assert again == net and hash(again) == hash(net)


def test_a_fused_net_takes_over_the_branches_of_three_nets(all_variables):
    single = {name: filled_variables(EmotionNet(5, {name: spec}), batch_of(), train=False) for name, spec in BRANCHES.items()}
    fused = all_variables["concat"]["params"]
    taken = take_over(fused, {name: own["params"] for name, own in single.items()})
    assert jax.tree.structure(taken) == jax.tree.structure(fused)
    for name, own in single.items():
        assert set(own["params"]) == {name, f"{name}_head"}
        jax.tree.map(np.testing.assert_array_equal, taken[name], own["params"][name])
    jax.tree.map(np.testing.assert_array_equal, taken["head"], fused["head"])


def test_attention_is_reported_by_the_names_of_the_streams(all_variables):
    weights = attention_weights(FUSED["concat"], all_variables["concat"], batch_of())
    assert set(weights) == {"text", "action_units"}  # the video's branch has no attention
    weights = attention_weights(FUSED["dot_attention"], all_variables["dot_attention"], batch_of())
    np.testing.assert_allclose(weights["fusion"].sum(axis=1), 1, rtol=1e-5)


# Parameter paths are a contract, by which checkpoints and converted weights are read.
DENSE_LAYER, GRU_LAYER = ("kernel", "bias"), ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
LAYERS = {
    "audio/context/layers/layer0": GRU_LAYER,
    "video/context/encoder/dense0": DENSE_LAYER,
    "head/dense0": DENSE_LAYER,
    "head/classes": DENSE_LAYER,
}
POOLED = {"audio/pooling/state": ("kernel",), "audio/pooling/steps": ("kernel",), "audio/dense0": DENSE_LAYER}
JOINED = {f"fusion/{name}": DENSE_LAYER for name in ("audio", "video")}
NORM = ("scale", "bias")
BLOCK = {f"attention/{name}": DENSE_LAYER for name in ("query", "value", "out")} | {"attention/key": ("kernel",)}
BLOCK |= {"attention_norm": NORM, "feed_forward_norm": NORM, "expand": DENSE_LAYER, "contract": DENSE_LAYER}
BOTTLENECK_STREAM = {f"blocks_{index}/{layer}": leaves for index in range(2) for layer, leaves in BLOCK.items()}
BOTTLENECK_STREAM |= {"norm": NORM, "project": DENSE_LAYER, "": ("class_token",)}
FUSION_LAYERS = {
    "concat": POOLED | {"fusion/norm": ("scale", "bias")},
    "tanh_gru": JOINED | {"fusion/join": DENSE_LAYER, "fusion/context": GRU_LAYER},
    "dot_attention": JOINED | {"fusion/query": ("kernel",), "fusion/key": ("kernel",)},
    "token_attention": {"fusion/hidden": DENSE_LAYER, "fusion/context": ("kernel",)},
    "gated": POOLED | JOINED | {"fusion/gate": DENSE_LAYER},
    "bottleneck": {"fusion": ("bottleneck",)}
    | {f"fusion/{name}/{layer}": leaves for name in ("audio", "video") for layer, leaves in BOTTLENECK_STREAM.items()},
    "cross_modal": JOINED
    | {f"fusion/{name}_norm": NORM for name in ("audio", "video")}
    | {f"fusion/{name}_self/{layer}": leaves for name in ("audio", "video") for layer, leaves in BLOCK.items()}
    | {
        f"fusion/{pair}{index}/{layer}": leaves
        for pair in ("audio_from_video", "video_from_audio")
        for index in range(2)
        for layer, leaves in (BLOCK | {"source_norm": NORM}).items()
    },
}


@pytest.mark.parametrize("kind", list(FUSIONS))
def test_parameter_paths_of_audio_and_video_do_not_change(kind):
    net = EmotionNet(5, {"audio": SEQUENCE, "video": DENSE}, FusionSpec(kind=kind, dense_units=(2,)))
    batch = batch_of() | {"audio": jnp.zeros((4, 6, 3)), "audio_mask": jnp.ones((4, 6), bool)}
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), batch, train=False))
    expected = {f"{layer}/{leaf}".replace("//", "/") for layer, leaves in (LAYERS | FUSION_LAYERS[kind]).items() for leaf in leaves}
    assert set(traverse_util.flatten_dict(shapes["params"], sep="/")) == expected
    statistics = {"fusion/norm/mean", "fusion/norm/var"} if kind == "concat" else set()
    assert set(traverse_util.flatten_dict(shapes.get("batch_stats", {}), sep="/")) == statistics
