import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled_variables import filled_variables

from avemo_jax.models.emotion_net import BranchSpec, Context, EmotionNet, attention_weights, overlay, take_over
from avemo_jax.models.encoders import ENCODERS
from avemo_jax.models.encoders.spec import EncoderSpec
from avemo_jax.models.fusion import FusionSpec
from avemo_jax.models.recurrent import LSTM

AUDIO = BranchSpec(context_units=(5,), dense_units=(4,))
VIDEO = BranchSpec(encoder="cnn", encoder_units=(3,), context_units=(4,), bidirectional=True, pooling="mean_std", dense_units=())
RICH = BranchSpec(
    encoder="mlp",
    encoder_units=(6,),
    time_conv_channels=5,
    time_conv_stride_steps=2,
    context_units=(4, 3),
    reset_after=False,
    context_batch_norm=True,
    context_dropout=True,
    pooling="attention_mean_std",
    attention_units=3,
)
# A branch with as many steps as its view, as attention over tokens needs.
STEPS = {"context": "none", "pooling": "mean", "dense_units": ()}
LISTENED = BranchSpec(encoder="mlp", encoder_units=(4,), **STEPS)
WATCHED = BranchSpec(encoder="conv_pool", encoder_units=(1, 1), **STEPS)  # 8 x 8 pixels become 2 x 2 x 1 numbers
NETS = {
    "audio": EmotionNet(8, {"audio": AUDIO}),
    "conv": EmotionNet(8, {"audio": BranchSpec(context="conv", context_units=(2, 3), context_activation="relu_elu", dense_units=(6, 5))}),
    "linear": EmotionNet(8, {"audio": BranchSpec(context="lstm", context_units=(5,), context_activation="linear", pooling="last")}),
    "modalities": EmotionNet(8, {"audio": LISTENED, "video": WATCHED}, FusionSpec(kind="token_attention", width=3, dense_units=(5,))),
    "segments": EmotionNet(8, {"audio": LISTENED, "video": WATCHED}, FusionSpec(kind="token_attention", width=3, tokens="segments")),
    "rich": EmotionNet(8, {"audio": RICH}),
    "plain": EmotionNet(8, {"audio": BranchSpec(context="none", pooling="last", dense_units=(), batch_norm=False)}),
    "video": EmotionNet(8, {"video": VIDEO}),
    "concat": EmotionNet(8, {"audio": RICH, "video": VIDEO}, FusionSpec()),
    "tanh_gru": EmotionNet(8, {"audio": AUDIO, "video": VIDEO}, FusionSpec(kind="tanh_gru", width=3, num_units=4)),
    "dot_attention": EmotionNet(8, {"audio": AUDIO, "video": VIDEO}, FusionSpec(kind="dot_attention", width=3)),
}
# One of each kind is compiled for training; "concat" has all layers of a branch.
TRAINED = ("audio", "conv", "concat", "tanh_gru", "dot_attention", "modalities")


def _batch(seed=0):
    """Return four examples; the last is padding of the batch, with random values in it."""
    keys = jax.random.split(jax.random.key(seed), 2)
    return {
        "audio": jax.random.normal(keys[0], (4, 6, 3)),
        "audio_mask": jnp.arange(6) < jnp.array([6, 3, 5, 4])[:, None],
        "video": jax.random.randint(keys[1], (4, 5, 8, 8, 1), 0, 256).astype(jnp.uint8),
        "video_mask": jnp.arange(5) < jnp.array([5, 4, 1, 2])[:, None],
        "label": jnp.zeros(4, jnp.int32),
        "mask": jnp.array([True, True, True, False]),
    }


def _segments(seed=0):
    """Return a batch of streams with the same steps; the second example has a segment without a picture."""
    batch = _batch(seed)
    mask = batch["audio_mask"][:, :5]
    return batch | {"audio": batch["audio"][:, :5], "audio_mask": mask, "video_mask": mask.at[1, 1].set(False)}


def _batch_for(name, seed=0):
    return (_segments if name in ("modalities", "segments") else _batch)(seed)


@pytest.fixture(scope="module")
def all_variables():
    return {name: filled_variables(net, _batch_for(name), train=False) for name, net in NETS.items()}


@functools.cache
def _runner(name):
    """Return a function, compiled once for each net and shape: training loss on real examples, logits, new statistics, gradients."""
    net = NETS[name]

    def run(variables, batch):
        def loss(params):
            given = variables | {"params": params}
            logits, updated = net.apply(given, batch, train=True, rngs={"dropout": jax.random.key(5)}, mutable=["batch_stats"])
            errors = jnp.square(logits - jnp.sin(jnp.arange(8.0)))
            return jnp.sum(jnp.where(batch["mask"][:, None], errors, 0)), (logits, updated)

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    return jax.jit(run)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_every_parameter(name, all_variables):
    (_, (logits, _)), gradients = _runner(name)(all_variables[name], _batch_for(name))
    assert logits.shape == (4, 8)
    dead = [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(gradients) if not jnp.any(leaf)]
    assert dead == []


@pytest.mark.parametrize("name", TRAINED)
def test_padding_changes_nothing(name, all_variables):
    variables, batch = all_variables[name], _batch_for(name)
    (loss, (logits, updated)), gradients = _runner(name)(variables, batch)
    longer = dict(batch)
    for stream, fill in (("audio", jnp.nan), ("video", 77)):
        x, mask = batch[stream], batch[f"{stream}_mask"]
        x = jnp.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - 2)), x, jnp.asarray(fill, x.dtype))
        longer[stream] = jnp.pad(x, ((0, 0), (0, 3), *((0, 0),) * (x.ndim - 2)), constant_values=fill)
        longer[f"{stream}_mask"] = jnp.pad(mask, ((0, 0), (0, 3)))
    # and one more padding example in the batch, without real steps
    for key in ("audio", "video"):
        longer[key] = longer[key].at[3].set(3)
        longer[f"{key}_mask"] = longer[f"{key}_mask"].at[3].set(False)
    (longer_loss, (longer_logits, longer_updated)), longer_gradients = _runner(name)(variables, longer)
    np.testing.assert_allclose(longer_loss, loss, rtol=1e-5)
    np.testing.assert_allclose(longer_logits[:3], logits[:3], atol=2e-5)
    assert jnp.isfinite(longer_logits).all()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), longer_updated, updated)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), longer_gradients, gradients)


@pytest.mark.parametrize("name", TRAINED)
def test_a_batch_of_nothing_gives_finite_outputs_and_gradients(name, all_variables):
    batch = _batch_for(name)
    batch |= {key: jnp.zeros(batch[key].shape, bool) for key in ("mask", "audio_mask", "video_mask")}
    result = _runner(name)(all_variables[name], batch)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
    before = all_variables[name].get("batch_stats", {})
    jax.tree.map(np.testing.assert_array_equal, result[0][1][1].get("batch_stats", {}), before)


@pytest.mark.parametrize("name", ["concat", "dot_attention", "segments"])
def test_outputs_are_in_the_order_of_examples(name, all_variables):
    net, variables, batch = NETS[name], all_variables[name], _batch_for(name)
    order = jnp.array([2, 0, 3, 1])
    apply = jax.jit(lambda batch: net.apply(variables, batch, train=False))
    np.testing.assert_allclose(apply({key: value[order] for key, value in batch.items()}), apply(batch)[order], atol=1e-5)


def test_dropout_rate_is_an_array_over_trials(all_variables):
    net, variables, batch = NETS["plain"], all_variables["plain"], _batch()

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0))
    def logits(variables, rate):
        return net.apply(variables, batch, train=True, dropout_rate=rate, rngs={"dropout": jax.random.key(0)})

    without, half = logits(variables, jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(without, net.apply(variables, batch, train=False), atol=1e-5)
    # each of the three inputs of the last layer is doubled or dropped
    classes = variables["params"]["audio_head"]["classes"]
    inputs = (half - classes["bias"]) @ np.linalg.pinv(classes["kernel"])
    ratio = inputs / ((without - classes["bias"]) @ np.linalg.pinv(classes["kernel"]))
    np.testing.assert_allclose(np.minimum(abs(ratio), abs(ratio - 2)), 0, atol=1e-3)
    assert {0, 2} == set(np.round(np.asarray(ratio).ravel()))


def test_a_fused_net_takes_its_branches_over(all_variables):
    fused, audio, video = (all_variables[name]["params"] for name in ("concat", "rich", "video"))
    taken = take_over(fused, {"audio": audio, "video": video})
    assert jax.tree.structure(taken) == jax.tree.structure(fused)
    jax.tree.map(np.testing.assert_array_equal, taken["audio"], audio["audio"])
    jax.tree.map(np.testing.assert_array_equal, taken["head"], fused["head"])
    assert set(fused) == {"audio", "video", "fusion", "head"}
    assert set(audio) == {"audio", "audio_head"}
    steps = take_over(all_variables["tanh_gru"]["params"], {"audio": all_variables["audio"]["params"]})
    assert set(steps["audio"]) == {"context"}  # layers that a fusion of steps does not use are not taken over


def test_branches_that_differ_are_refused(all_variables):
    with pytest.raises(ValueError, match=r"the fused network expects audio/.*from the audio network.*streams.audio fields"):
        take_over(all_variables["concat"]["params"], {"audio": all_variables["audio"]["params"]})


@pytest.mark.parametrize(("name", "streams"), [("concat", {"audio"}), ("dot_attention", {"fusion"}), ("plain", set())])
def test_attention_weights_sum_to_one_over_real_steps(name, streams, all_variables):
    batch = _batch()
    weights = attention_weights(NETS[name], all_variables[name], batch)
    assert set(weights) == streams
    for stream, found in weights.items():
        mask = batch["video_mask" if stream == "fusion" else f"{stream}_mask"]
        assert found.shape == mask.shape
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        assert not found[~mask].any()
        assert (found[mask] > 0).all()


@pytest.mark.parametrize(
    ("encoder", "step_shape", "num_features"), [("vggish", (96, 64), 128), ("inception_v3", (75, 75, 3), 2048), ("cnn", (96, 64), 7)]
)
def test_encoders_work_step_by_step(encoder, step_shape, num_features):
    spec = EncoderSpec(encoder) if encoder in ENCODERS else None
    net = EmotionNet(8, {"video": BranchSpec(encoder=encoder, encoder_spec=spec, encoder_units=(7,), context_units=(5,))})
    batch = {"video": jnp.zeros((2, 3, *step_shape)), "video_mask": jnp.ones((2, 3), bool)}
    logits, variables = jax.eval_shape(lambda key: net.init_with_output(key, batch, train=False), jax.random.key(0))
    assert logits.shape == (2, 8)
    assert variables["params"]["video"]["context"]["layers"]["layer0"]["kernel"].shape == (num_features, 15)


def test_frames_of_a_step_have_their_own_context():
    spec = BranchSpec(frame_context="lstm", frame_units=4, context="none", pooling="mean", dense_units=())
    net, frames = EmotionNet(8, {"video": spec}), jax.random.normal(jax.random.key(0), (2, 3, 5, 6))
    batch = {"video": frames, "video_mask": jnp.ones((2, 3), bool)}
    variables = net.init(jax.random.key(1), batch, train=False)
    layer = variables["params"]["video"]["context"]["encoder"]["frames"]["layer0"]
    _, expected = LSTM(4).apply({"params": layer}, frames.reshape(6, 5, 6), jnp.ones((6, 5), bool))
    steps = Context(spec).apply(
        {"params": variables["params"]["video"]["context"]}, frames, batch["video_mask"], jnp.ones(2, bool), lambda x: x, train=False
    )[0]
    np.testing.assert_allclose(steps.reshape(6, 4), expected, atol=1e-6)
    with pytest.raises(ValueError, match="steps of several frames"):
        net.init(jax.random.key(1), {"video": frames[:, :, 0], "video_mask": batch["video_mask"]}, train=False)


def test_a_frozen_branch_is_computed_in_training_as_in_prediction():
    """It has neither dropout nor batch statistics, so that a network stacked on it is trained on the inputs of prediction."""
    branch = BranchSpec(context_units=(4, 4), context_batch_norm=True, context_dropout=True, dense_units=(3,))
    fusion = FusionSpec(batch_norm=False)
    batch = _batch() | {"video": _batch()["audio"], "video_mask": _batch()["audio_mask"]}
    net = EmotionNet(8, {"audio": branch, "video": branch}, fusion, frozen=("audio", "video"))
    variables = filled_variables(net, batch, train=False)
    logits, updated = net.apply(variables, batch, train=True, rngs={"dropout": jax.random.key(0)}, mutable=["batch_stats"])
    np.testing.assert_allclose(logits, net.apply(variables, batch, train=False), atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, updated["batch_stats"], variables["batch_stats"])


def test_weights_replace_those_of_a_tree_by_name():
    tree = {"video": {"context": {"a": jnp.zeros(2), "b": jnp.zeros(3)}}}
    laid = overlay(tree, {"video": {"context": {"b": jnp.ones(3)}}})
    assert laid["video"]["context"]["b"].sum() == 3 and laid["video"]["context"]["a"].sum() == 0
    with pytest.raises(ValueError, match=r"video/context/c .*no parameter of that name"):
        overlay(tree, {"video": {"context": {"c": jnp.ones(3)}}})
    with pytest.raises(ValueError, match=r"video/context/a have shape \(3,\), but the network has shape \(2,\)"):
        overlay(tree, {"video": {"context": {"a": jnp.ones(3)}}})


def test_impossible_nets_are_refused_with_a_reason():
    with pytest.raises(ValueError, match=r"encoder to be one of .*'vggish'.* got 'resnet'"):
        BranchSpec(encoder="resnet")
    with pytest.raises(ValueError, match="expected an encoder_spec"):
        BranchSpec(encoder="vggish")
    with pytest.raises(ValueError, match="context_activation to be one of"):
        BranchSpec(context="conv")
    with pytest.raises(ValueError, match=r"one width, got {'audio': 4, 'video': 1} numbers"):
        narrow = BranchSpec(encoder="conv_pool", encoder_units=(1, 1, 1), **STEPS)
        EmotionNet(8, {"audio": LISTENED, "video": narrow}, FusionSpec(kind="token_attention")).init(
            jax.random.key(0), _segments(), train=False
        )
    with pytest.raises(ValueError, match=r"one to one, got {'audio': 6, 'video': 5} steps"):
        NETS["segments"].init(jax.random.key(0), _batch(), train=False)
    with pytest.raises(ValueError, match="pooling to be one of"):
        BranchSpec(pooling="max")
    with pytest.raises(ValueError, match="fusion kind"):
        FusionSpec(kind="product")
    with pytest.raises(ValueError, match="expected one stream, or several and a fusion"):
        EmotionNet(8, {})
    with pytest.raises(ValueError, match="fusion None"):
        EmotionNet(8, {"audio": AUDIO, "video": VIDEO})
    for name in ("fusion", "head", "audio_head", "apply", "frozen", "network"):
        with pytest.raises(ValueError, match=f"reserves the name '{name}' for other parameters; rename the stream"):
            EmotionNet(8, {name: AUDIO})
